"""What a transport delivers: into the log once, or into `saga_unmatched` with a reason. It knows no broker.

A message may be forgotten by the broker only when one of the two is durable. What failed is delivered again, a bounded
number of times; while the store is away that number does not count, because parking needs the store as well.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable

import msgspec

from sagalog.clock import Clock, new_id
from sagalog.cloudevents import Unreadable, decode
from sagalog.errors import NotRunning, SagalogError, StoreError
from sagalog.messages import Envelope
from sagalog.saga.identifiers import MAX_LENGTH
from sagalog.store import UnmatchedRow
from sagalog.transport import Incoming, Receipt

logger = logging.getLogger("sagalog.engine")

Handle = Callable[[Envelope], Awaitable[bool]]
Park = Callable[[UnmatchedRow], Awaitable[None]]

MOST_DELIVERIES = 5
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
# How long the broker keeps a message while the store cannot be written, in seconds.
STORE_PAUSE = 1.0
# What is kept of a body that cannot be read, in characters: enough to see what it was.
KEPT_TEXT = 16 * 1024
TAKEN = Receipt(True)


class Receiving:
    """Receive for one transport; a call never raises."""

    def __init__(self, name: str, handle: Handle, park: Park, clock: Clock, most: int = MOST_DELIVERIES) -> None:
        self._name = name
        self._consumer = f"transport:{name}"
        self._handle = handle
        self._park = park
        self._clock = clock
        self._most = most
        self._trouble = False

    async def __call__(self, incoming: Incoming) -> Receipt:
        """Take one message, and say whether it is taken."""
        found = decode(incoming.attributes, incoming.body, self._clock.now(), self._name)
        try:
            receipt = await self._take(found, incoming)
        except (StoreError, NotRunning) as problem:
            if not self._trouble:
                self._trouble = True
                logger.warning("what comes over %s waits there: %s", self._name, problem)
            return Receipt(False, STORE_PAUSE)
        except Exception:
            logger.exception("a message from %s could be neither taken nor parked", self._name)
            return Receipt(False, LONGEST_PAUSE)
        if self._trouble and receipt.taken:
            self._trouble = False
            logger.warning("what comes over %s is taken again", self._name)
        return receipt

    async def _take(self, found: Envelope | Unreadable, incoming: Incoming) -> Receipt:
        if isinstance(found, Unreadable):
            await self._park(self._unreadable(found, incoming))
            return TAKEN
        try:
            await self._handle(found)
        except (StoreError, NotRunning):
            raise
        except SagalogError as problem:
            # It says what is wrong with the message: no later attempt can end otherwise.
            await self._park(self._refused(found, str(problem)))
        except Exception as problem:
            if incoming.deliveries < self._most:
                logger.warning("message %s from %s failed and is asked for again", found.id, self._name, exc_info=True)
                return Receipt(False, min(FIRST_PAUSE * 2 ** (incoming.deliveries - 1), LONGEST_PAUSE))
            reason = f"failed when it was delivered {incoming.deliveries} times: {type(problem).__name__}: {problem}"
            await self._park(self._refused(found, _plain(reason)))
        return TAKEN

    def _refused(self, envelope: Envelope, reason: str) -> UnmatchedRow:
        return UnmatchedRow(
            unmatched_id=new_id(self._clock),
            consumer=self._consumer,
            message_id=envelope.id,
            kind=envelope.kind,
            name=envelope.name,
            source=envelope.source,
            reason=reason,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.causation_id,
            position=None,
            message=msgspec.json.encode(envelope).decode(),
            parked_at=self._clock.now(),
        )

    def _unreadable(self, unreadable: Unreadable, incoming: Incoming) -> UnmatchedRow:
        attributes = incoming.attributes
        # It may have no id, or one that no store can keep; the same message must be the same row all the same.
        seen = msgspec.json.encode(sorted((ascii(name), ascii(value)) for name, value in attributes.items()))
        digest = hashlib.sha256(seen + b"\0" + incoming.body).hexdigest()
        text = incoming.body[: KEPT_TEXT * 4].decode("utf-8", "replace")[:KEPT_TEXT]
        headers = ", ".join(f"{name}={value}" for name, value in sorted(attributes.items()))
        return UnmatchedRow(
            unmatched_id=new_id(self._clock),
            consumer=self._consumer,
            message_id=f"unreadable-{digest[:32]}",
            kind=_plain(attributes.get("messagekind", "event"))[:20],
            name=_plain(attributes.get("type", ""))[:MAX_LENGTH],
            source=_plain(attributes.get("source", ""))[:MAX_LENGTH],
            reason=unreadable.reason,
            correlation_id=None,
            causation_id=None,
            position=None,
            message=_plain(f"{headers[:2000]}\n\n{text}"),
            parked_at=self._clock.now(),
        )


def _plain(text: str) -> str:
    """Return text that every store can keep: no NUL, no lone surrogate."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
