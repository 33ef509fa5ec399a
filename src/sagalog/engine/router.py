"""Messages from the log to those who are to take them: read by position, routed in batches, each batch one transaction.

It never moves a consumer past a message without having written what became of it, in the same transaction. Whatever
goes wrong, the batch is read and routed again from where the store says the consumer is.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from sagalog.clock import Clock
from sagalog.engine.backoff import Backoff
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.blocking import Blocking
from sagalog.engine.consumers import Consumers
from sagalog.engine.door import DOOR, parked_row, unknown
from sagalog.engine.message_log import log_routed
from sagalog.errors import BatchTooLarge, StoreError, WriteRefused
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.store import Advance, Append, ConsumerRow, InboxRow, Route, Store, UnmatchedRow

logger = logging.getLogger("sagalog.engine")

BATCH = 500
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
# How often a message that cannot be routed is tried alone before it is parked: what stood in its way may be gone.
TRIES = 4
# A message that is to be routed again waits for a person's hand, so it may wait some polls more.
POLLS_BETWEEN_REDELIVERIES = 10

Found = Sequence[tuple[int, Envelope]]


class Batch:
    """What consumers make of some messages, until it is written."""

    def __init__(self) -> None:
        self.starts: list[Append] = []
        self.inbox: list[InboxRow] = []
        self.messages: list[Envelope] = []
        self.parked: list[UnmatchedRow] = []

    def route(self, advances: Sequence[Advance], redelivered: Sequence[str] = ()) -> Route:
        """Return it as one write."""
        return Route(advances, self.starts, self.inbox, self.messages, self.parked, redelivered)


class Routes(Protocol):
    """What one consumer makes of messages."""

    consumer: str

    async def route(self, found: Found, batch: Batch) -> None:
        """Add to `batch` what is to become of messages that stand at these positions; it may look into the store."""
        ...


class Router:
    """Route messages for the consumers that this process has."""

    def __init__(
        self,
        store: Store,
        blocking: Blocking,
        clock: Clock,
        consumers: Consumers,
        routes: Sequence[Routes],
        knows: Callable[[str], bool],
        routed: Callable[[Route, Mapping[str, Envelope]], None],
        poll: int,
    ) -> None:
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._consumers = consumers
        self._routes = {one.consumer: one for one in routes}
        self._knows = knows
        self._routed = routed
        self._poll = poll
        self._hint = asyncio.Event()
        # A time of the event loop, which no clock that is set can keep from coming.
        self._redeliver_at = 0.0
        self._size = BatchSize(BATCH)
        # How often what stands behind a consumer's position could not be routed alone.
        self._failures: dict[tuple[str, int], int] = {}

    def hint(self) -> None:
        """Look for messages now instead of at the next poll."""
        self._hint.set()

    def redeliver(self) -> None:
        """Look now for messages that are to be routed again."""
        self._redeliver_at = 0.0
        self._hint.set()

    async def run(self) -> None:
        """Route for ever."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            self._hint.clear()
            try:
                moved = await self._round()
            except Exception as problem:
                # Whatever it is: nothing has been passed over, and it may go better the next time.
                trace = None if isinstance(problem, StoreError) else problem
                if not backoff.has_begun:
                    text = "messages could not be routed, trying again: %s"
                    logger.warning(text, described(problem), exc_info=trace)
                if isinstance(problem, BatchTooLarge):
                    self._size.too_large(self._size.now)
                self._consumers.doubt()
                await asyncio.sleep(backoff.pause())
                continue
            if backoff.has_begun:
                logger.warning("messages are routed again")
                backoff.reset()
            if not moved:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll / 1e6):
                await self._hint.wait()
        except TimeoutError:
            # Nobody called: the poll is the backstop.
            return

    async def _round(self) -> bool:
        """Route one batch for each group of consumers that stand at the same position; False if there was none."""
        if not await self._consumers.take():
            return False
        groups: dict[int, list[str]] = {}
        for name, row in self._consumers.owned.items():
            if name in self._routes:
                groups.setdefault(row.position, []).append(name)
        moved = False
        for position, names in sorted(groups.items()):
            moved |= await self._advance(position, names)
        now = asyncio.get_running_loop().time()
        if now >= self._redeliver_at:
            self._redeliver_at = now + POLLS_BETWEEN_REDELIVERIES * self._poll / 1e6
            moved |= await self._redeliver()
        return moved

    async def _advance(self, position: int, names: list[str]) -> bool:
        """Route the messages above `position` for these consumers; returns whether there were any."""
        found = await self._blocking.read(self._store.read_messages, position, self._size.now)
        if not found:
            return False
        try:
            await self._move(position, names, found)
        except Exception as problem:
            if _is_passing(problem):
                raise
            # One message that cannot be routed must not hold up the others, and one consumer no other.
            logger.warning("messages above position %d are routed one by one: %s", position, described(problem))
            for name in names:
                await self._move_one_by_one(position, name, found)
        self._size.passed()
        return True

    async def _move(self, position: int, names: list[str], found: Found, why: str | None = None) -> bool:
        """Route messages and move consumers behind them; `why` says that the messages are to be parked instead."""
        batch = Batch()
        for name in names:
            if why is None:
                await self._routes[name].route(found, batch)
            else:
                batch.parked += [parked_row(self._clock, name, envelope, at, why) for at, envelope in found]
        end = found[-1][0]
        advances = [Advance(name, self._consumers.worker_id, position, end) for name in names]
        written = await self._write(batch.route(advances), found)
        if written:
            for name in names:
                self._consumers.moved(name, end)
        return written

    async def _move_one_by_one(self, position: int, name: str, found: Found) -> None:
        for one in found:
            try:
                written = await self._move(position, [name], [one])
            except Exception as problem:
                if _is_passing(problem) or not self._is_given_up(name, position):
                    raise
                written = await self._pass(position, name, one, problem)
            if not written:
                return
            self._failures.pop((name, position), None)
            position = one[0]

    def _is_given_up(self, name: str, position: int) -> bool:
        """Count one more failure of what stands behind a position; tells whether it has had all its tries."""
        tries = self._failures[name, position] = self._failures.get((name, position), 0) + 1
        return tries >= TRIES

    async def _pass(self, position: int, name: str, one: tuple[int, Envelope], problem: Exception) -> bool:
        """Park a message that cannot be routed, so that the consumer goes on; by its digest if need be."""
        why = f"it could not be routed: {described(problem)}"
        try:
            return await self._move(position, [name], [one], why)
        except Exception as second:
            if _is_passing(second):
                raise
            batch = Batch()
            batch.parked.append(cut_down(parked_row(self._clock, name, one[1], one[0], why)))
            advance = Advance(name, self._consumers.worker_id, position, one[0])
            written = await self._write(batch.route([advance]), [one])
            if written:
                self._consumers.moved(name, one[0])
            return written

    async def _write(self, route: Route, found: Found) -> bool:
        """Write what was made of a batch; False if it has to be made again, since something was otherwise."""
        outcome = await self._blocking.write(self._store.route, route)
        if outcome == "written":
            log_routed(route)
            self._routed(route, {envelope.id: envelope for _, envelope in found})
            return True
        if outcome == "conflict":
            self._consumers.doubt()
        return False

    async def _redeliver(self) -> bool:
        """Route what a person wants to be routed again, message by message; False if there was nothing."""
        owned = self._consumers.owned
        names = [name for name in self._routes if name in owned]
        rows = await self._blocking.read(self._store.redelivering, [*names, DOOR], BATCH)
        moved = False
        for row in rows:
            try:
                moved |= await self._write(*await self._again(row, owned))
            except Exception as problem:
                if _is_passing(problem):
                    raise
                batch = Batch()
                why = f"it could not be routed: {described(problem)}"
                batch.parked.append(replace(row, status="parked", reason=why))
                moved |= await self._write(batch.route(()), ())
        return moved

    async def _again(self, row: UnmatchedRow, owned: Mapping[str, ConsumerRow]) -> tuple[Route, Found]:
        """Return what becomes of a message that is routed again, and that: it may well be parked once more."""
        batch = Batch()
        try:
            envelope = msgspec.json.decode(row.message, type=Envelope)
        except (msgspec.MsgspecError, RecursionError) as problem:
            why = f"it cannot be delivered, since it is no message: {problem}; discard it"
            batch.parked.append(replace(row, status="parked", reason=why))
            return batch.route(()), ()
        if row.consumer == DOOR:
            if not self._knows(envelope.name):
                batch.parked.append(replace(row, status="parked", reason=unknown(envelope)))
                return batch.route(()), ()
            batch.messages.append(envelope)
            return batch.route((), (row.unmatched_id,)), ()
        position = row.position
        if position is None:
            # A saga that could not take it knows only the message.
            known = await self._blocking.read(self._store.find_message, envelope.id)
            if known is None:
                why = "it cannot be delivered, since the log does not have it; discard it"
                batch.parked.append(replace(row, status="parked", reason=why))
                return batch.route(()), ()
            position = known[0]
        found = [(position, envelope)]
        await self._routes[row.consumer].route(found, batch)
        here = owned[row.consumer].position
        advance = Advance(row.consumer, self._consumers.worker_id, here, here)
        return batch.route([advance], () if batch.parked else (row.unmatched_id,)), found


def _is_passing(problem: Exception) -> bool:
    """Tell whether an error is of the store and not of what was to be written: the same may be written later."""
    return isinstance(problem, StoreError) and not isinstance(problem, WriteRefused)


def cut_down(row: UnmatchedRow) -> UnmatchedRow:
    """Return the row of a message that no database takes as it is: its digest for its id, and all texts in ASCII."""
    return replace(
        row,
        message_id=digest_id(row.message_id),
        kind="unreadable",
        name=ascii(row.name)[1:-1][:200],
        source=ascii(row.source)[1:-1][:200],
        reason=ascii(row.reason)[1:-1],
        correlation_id=None,
        causation_id=None,
        message=ascii(row.message)[1:-1],
    )


def digest_id(message_id: str) -> str:
    """Return the id under which a message is parked whose own id no database takes."""
    return "raw-" + hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
