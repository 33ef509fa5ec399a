"""What a transport delivers: into the log once, or into `saga_unmatched` with a reason. It knows no broker.

A message may be forgotten by the broker only when one of the two is durable. What failed is delivered again, a bounded
number of times; while the store is away that number does not count, because parking needs the store as well.
"""

import logging
from collections.abc import Awaitable, Callable

from sagalog.clock import Clock
from sagalog.cloudevents import Unreadable, decode
from sagalog.engine.door import DOOR, parked_row, raw_row
from sagalog.errors import NotRunning, SagalogError, StoreError
from sagalog.messages import Envelope
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
TAKEN = Receipt(True)


class Receiving:
    """Receive for one transport; a call never raises."""

    def __init__(self, name: str, handle: Handle, park: Park, clock: Clock, most: int = MOST_DELIVERIES) -> None:
        self._name = name
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
            await self._park(raw_row(self._clock, f"transport:{self._name}", _text_of(incoming), found.reason))
            return TAKEN
        try:
            await self._handle(found)
        except (StoreError, NotRunning):
            raise
        except SagalogError as problem:
            # It says what is wrong with the message: no later attempt can end otherwise.
            await self._park(parked_row(self._clock, DOOR, found, None, str(problem)))
        except Exception as problem:
            if incoming.deliveries < self._most:
                logger.warning("message %s from %s failed and is asked for again", found.id, self._name, exc_info=True)
                return Receipt(False, min(FIRST_PAUSE * 2 ** (incoming.deliveries - 1), LONGEST_PAUSE))
            reason = f"failed when it was delivered {incoming.deliveries} times: {type(problem).__name__}: {problem}"
            await self._park(parked_row(self._clock, DOOR, found, None, reason))
        return TAKEN


def _text_of(incoming: Incoming) -> bytes:
    """Return a message that could not be read as text: its attributes, an empty line, its body."""
    lines = [f"{name}: {ascii(value)[1:-1]}\n" for name, value in sorted(incoming.attributes.items())]
    return "".join(lines).encode("utf-8", "replace") + b"\n" + incoming.body
