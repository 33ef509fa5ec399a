"""Takes in what a transport delivers: into the log once, or into `saga_unmatched` with a reason. It knows no broker.

A message is acknowledged to the broker only when one of the two is durable. A message that fails is delivered again, a
limited number of times. While the store is away no failure is counted, because parking needs the store as well.
"""

import logging
from collections.abc import Awaitable, Callable

from sagalog.clock import Clock
from sagalog.cloudevents import Unreadable, decode
from sagalog.engine.backoff import Pauses
from sagalog.engine.ending import raise_if_ending
from sagalog.engine.unmatched import INTAKE, parked_row, raw_row
from sagalog.errors import NotRunning, SagalogError, StoreError, StoreUnavailable
from sagalog.messages import Envelope
from sagalog.saga.failure import described, text_of
from sagalog.store import UnmatchedRow
from sagalog.transport import Incoming, Receipt

logger = logging.getLogger("sagalog.engine")

HandleMessage = Callable[[Envelope], Awaitable[bool]]
ParkRow = Callable[[UnmatchedRow], Awaitable[None]]

MOST_DELIVERIES = 5
PAUSES = Pauses(0.2, 30.0)
# The seconds after which the broker delivers a message again while the store cannot be written.
STORE_PAUSE = 1.0
# The limit of messages whose failures are remembered.
MOST_REMEMBERED = 10_000
TAKEN = Receipt(True)


class Receiving:
    """Takes in the messages of one transport. A call raises only when this process ends the task that makes it."""

    def __init__(
        self, name: str, handle: HandleMessage, park: ParkRow, clock: Clock, most: int = MOST_DELIVERIES
    ) -> None:
        self._name = name
        self._handle = handle
        self._park = park
        self._clock = clock
        self._most = most
        self._trouble = False
        # How often each message has failed here. The broker's own count is of no use: it also goes up while the store
        # is away, and some brokers have none.
        self._failures: dict[str, int] = {}

    async def __call__(self, incoming: Incoming) -> Receipt:
        """Take in one message; return whether it was taken, or after which pause to deliver it again."""
        try:
            receipt = await self._take(incoming)
        except (StoreUnavailable, NotRunning) as problem:
            if not self._trouble:
                self._trouble = True
                logger.warning("what comes over %s waits there: %s", self._name, problem)
            return Receipt(False, STORE_PAUSE)
        except BaseException as problem:
            raise_if_ending(problem)
            logger.exception("a message from %s could be neither taken nor parked", self._name)
            return Receipt(False, PAUSES.longest)
        if self._trouble and receipt.taken:
            self._trouble = False
            logger.warning("what comes over %s is taken again", self._name)
        return receipt

    async def _take(self, incoming: Incoming) -> Receipt:
        found = decode(incoming.attributes, incoming.body, self._clock.now(), self._name)
        if isinstance(found, Unreadable):
            await self._park_raw(incoming, found.reason)
            return TAKEN
        try:
            await self._handle(found)
        except (StoreUnavailable, NotRunning):
            raise
        except BaseException as problem:
            raise_if_ending(problem)
            receipt = await self._failed(found, incoming, problem)
            if not receipt.taken:
                return receipt
        self._failures.pop(found.id, None)
        return TAKEN

    async def _failed(self, found: Envelope, incoming: Incoming, problem: BaseException) -> Receipt:
        """Return a receipt that asks for the message again, or park it and return that it was taken."""
        if isinstance(problem, SagalogError) and not isinstance(problem, StoreError):
            # The error is about the message itself, so another attempt cannot help.
            await self._park_message(found, incoming, text_of(problem))
            return TAKEN
        failures = self._failures.get(found.id, 0) + 1
        if failures < self._most:
            self._remember(found.id, failures)
            logger.warning("message %s from %s failed and is asked for again", found.id, self._name, exc_info=problem)
            return Receipt(False, PAUSES.after(failures))
        # The count is dropped only after parking: if parking fails, the next delivery tries to park again.
        await self._park_message(
            found, incoming, f"failed when it was delivered {failures} times: {described(problem)}"
        )
        return TAKEN

    def _remember(self, message_id: str, failures: int) -> None:
        self._failures[message_id] = failures
        if len(self._failures) > MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]

    async def _park_message(self, found: Envelope, incoming: Incoming, reason: str) -> None:
        try:
            await self._park(parked_row(self._clock, INTAKE, found, None, reason))
        except StoreUnavailable:
            raise
        except StoreError as problem:
            # A message that the store refuses as it is can still be kept as its raw bytes, under a short id.
            await self._park_raw(incoming, f"{reason}; the store refuses it as a message: {problem}")

    async def _park_raw(self, incoming: Incoming, reason: str) -> None:
        source = f"transport:{self._name}"
        try:
            await self._park(raw_row(self._clock, source, _text_of(incoming), reason))
        except StoreUnavailable:
            raise
        except StoreError:
            plain = _text_of(incoming).decode("ascii", "backslashreplace")
            await self._park(raw_row(self._clock, source, plain, ascii(reason)[1:-1]))


def _text_of(incoming: Incoming) -> bytes:
    """Return a message in the form in which it is parked raw: its attributes, an empty line, its body."""
    lines = [f"{ascii(name)[1:-1]}: {ascii(value)[1:-1]}\n" for name, value in sorted(incoming.attributes.items())]
    return "".join(lines).encode("utf-8", "replace") + b"\n" + incoming.body
