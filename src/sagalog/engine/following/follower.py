"""Follows an application: reads its log, translates, and writes messages and position in one transaction.

It reads and translates the next batch while one is written. A process that has lost the consumer cannot write, because
each write names the expected position and owner.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.bus.redelivery import MOST_REFUSALS
from sagalog.engine.bus.redelivery import PAUSES as PAUSES_OF_ONE
from sagalog.engine.bus.route_writing import is_of_the_write
from sagalog.engine.consumer_release import ConsumerRelease
from sagalog.engine.following.parked_lanes import Again, Parked, ParkedLanes
from sagalog.engine.following.translation import Entry, Translation
from sagalog.engine.hint import is_set_within
from sagalog.engine.recovery import Recovery, is_of_the_store
from sagalog.engine.reentry import enter
from sagalog.engine.setbacks import Setbacks
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import BatchTooLarge, SourceUnavailable, StoreError, WriteRefused
from sagalog.saga.failure import described
from sagalog.source import Source
from sagalog.store import Advance, Route, UnmatchedRow

logger = logging.getLogger("sagalog.engine")

Since = Literal["start", "now"]
# The outcome of trying parked notifications again; "lost": another worker has the consumer.
Outcome = Literal["written", "nothing", "lost"]

PAGE = 500
LARGEST_BATCH = 10_000
# The position of a consumer that has begun and read nothing. 0 means not begun: only then `since="now"` is applied.
BEGUN = -1
# A position moved over ids without a message is written with the next batch, or after so many ids or seconds.
PASSED_BY = 1_000
SELDOM = 1.0
PAUSES = Pauses(0.1, 5.0)
NOT_YET = "it could not be written yet: "


class Holder(Protocol):
    """The worker of this process, which owns the consumer under its lease."""

    consumer_release: ConsumerRelease

    @property
    def worker_id(self) -> str:
        """Return the worker's present id; it takes another one when it loses its lease."""
        ...

    async def ready(self, worker_id: str) -> bool:
        """Wait until the lease holds; return False if the worker has another id by now."""
        ...


class Follow(Struct, frozen=True):
    """What is followed, from where, and with at most how many events (`batch`) in one transaction."""

    source: Source
    translation: Translation
    since: Since
    batch: int


class Chunk(Struct, frozen=True):
    """Entries that were read and translated ahead, the position of the last one, and whether there are more."""

    entries: list[Entry]
    position: int
    more: bool


class Follower:
    """Follows one application, as long as the worker owns its consumer."""

    def __init__(
        self,
        follow: Follow,
        surroundings: Surroundings,
        holder: Holder,
        recovery: Recovery,
        published: Callable[[], None],
    ) -> None:
        self._follow = follow
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._holder = holder
        self._limits = surroundings.limits
        self._published = published
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._backoff = Backoff(PAUSES)
        self._try_at = 0.0
        self._size = BatchSize(follow.batch)
        self._setbacks = Setbacks(self._loop.time, PAUSES_OF_ONE)
        recovery.add(self._setbacks.hurry)
        self.consumer = f"follow:{follow.translation.follow}"
        self._lanes = ParkedLanes(follow.translation.follow, follow.source, surroundings)

    def stop(self) -> None:
        """Let `run` end after the write under way."""
        self._stop.set()

    def leave(self) -> None:
        """Release the consumer, so that another worker can follow; call it when `run` has ended."""
        self._holder.consumer_release.add([self.consumer])

    async def run(self) -> None:
        """Follow until `stop` is called; after any error it pauses and tries again."""
        enter(self._blocking)
        while not self._stop.is_set():
            try:
                worker_id = self._holder.worker_id
                position = await self._take(worker_id)
                if position is None:
                    await is_set_within(self._stop, self._limits.poll / 1e6)
                else:
                    await self._own(worker_id, position)
                continue
            except (StoreError, SourceUnavailable) as problem:
                if isinstance(problem, BatchTooLarge):
                    self._size.too_large(self._size.now)
                if not self._backoff.has_begun:
                    logger.warning("%s does not go on for now, trying again: %s", self.consumer, problem)
            except Exception:
                logger.exception("%s does not go on for now, trying again", self.consumer)
            await is_set_within(self._stop, self._backoff.pause())

    async def _take(self, worker_id: str) -> int | None:
        """Take the consumer if it is free; return its position, or None if this worker does not own it."""
        if not await self._holder.ready(worker_id):
            return None
        rows = await self._blocking.read(self._store.consumers)
        owner = next((row.owner for row in rows if row.consumer == self.consumer), None)
        if owner not in (None, worker_id) and self._loop.time() < self._try_at:
            return None
        # Only a write finds out whether the other worker's lease has run out, so it is tried less often than a read.
        self._try_at = self._loop.time() + self._limits.lease / 4e6
        taken = await self._blocking.write(
            self._store.take_consumers, worker_id, [self.consumer], self._clock.now(), False
        )
        return next((row.position for row in taken if row.consumer == self.consumer), None)

    async def _own(self, worker_id: str, position: int) -> None:
        """Follow from a position until the consumer is lost or `stop` is called."""
        source = self._follow.source
        head = await self._blocking.handler(source.head)
        if head < position:
            raise SourceUnavailable(
                f"the log of {source.name} ends at {head}, and {position} was read of it already; is it the same "
                "database? Follow another one under another name"
            )
        own = _Own(worker_id, position, self._loop.time())
        if position == 0:
            begun = (head if self._follow.since == "now" else 0) or BEGUN
            if not await self._write(own, begun, []):
                return
        await self._lanes.load()
        ahead = self._read_ahead(own.position)
        try:
            reached, pending = own.position, deque[Entry]()
            while not self._stop.is_set() and self._holder.worker_id == worker_id:
                chunk = await ahead
                self._goes_on()
                pending += chunk.entries
                reached = chunk.position
                if chunk.more:
                    ahead = self._read_ahead(reached)
                if not await self._write_full(own, pending, chunk) or not await self._try_parked(own):
                    return
                if not chunk.more:
                    await is_set_within(self._stop, self._limits.follow_poll / 1e6)
                    ahead = self._read_ahead(reached)
        except asyncio.CancelledError:
            ahead.cancel()
            raise
        finally:
            # The application may be closed as soon as this returns, so no read may still be running.
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()

    def _read_ahead(self, after: int) -> "asyncio.Future[Chunk]":
        return self._blocking.handler(partial(self._prepare, after))

    def _prepare(self, after: int) -> Chunk:
        """Read and translate the next entries of the log; blocking."""
        page = self._follow.source.read(max(after, 0), max(self._follow.batch, PAGE))
        now = self._clock.now()
        entries = [self._follow.translation.entry(notification, now) for notification in page.notifications]
        return Chunk(entries, max(after, page.position), page.more)

    async def _write_full(self, own: "_Own", pending: "deque[Entry]", chunk: Chunk) -> bool:
        """Write full batches, and at the end of the log all pending entries; return False if the consumer was lost."""
        size = self._size.now
        while pending and (len(pending) >= size or not chunk.more) and not self._stop.is_set():
            batch = [pending.popleft() for _ in range(min(size, len(pending)))]
            if not await self._write_apart(own, batch[-1].notification.id if pending else chunk.position, batch):
                return False
            self._size.passed()
        passed_by = 0 if pending else chunk.position - own.position
        if passed_by >= PASSED_BY or (passed_by and self._loop.time() - own.written_at >= SELDOM):
            return await self._write(own, chunk.position, [])
        return True

    async def _write_apart(self, own: "_Own", position: int, batch: Sequence[Entry]) -> bool:
        """Write a batch; if the database refuses it, halve it until each refused entry is alone and is set aside.

        Return False if the consumer was lost.
        """
        try:
            return await self._write(own, position, batch)
        except StoreError as problem:
            too_large = isinstance(problem, BatchTooLarge) and len(batch) > 1
            if too_large or not await self._is_of_the_write(own, problem):
                raise
        if len(batch) == 1:
            return await self._write_or_set_aside(own, position, batch[0])
        middle = len(batch) // 2
        first, second = batch[:middle], batch[middle:]
        return await self._write_apart(own, first[-1].notification.id, first) and (
            await self._write_apart(own, position, second)
        )

    async def _write_or_set_aside(self, own: "_Own", position: int, entry: Entry) -> bool:
        """Write one notification again; if that fails, set it aside to be tried later.

        Return False if the consumer was lost.
        """
        try:
            return await self._write(own, position, [entry])
        except StoreError as problem:
            if not await self._is_of_the_write(own, problem):
                raise
            aside = Entry(entry.notification, error=f"{NOT_YET}{described(problem)}", is_aside=True)
            return await self._write(own, position, [aside])

    async def _is_of_the_write(self, own: "_Own", problem: Exception) -> bool:
        """Tell whether the content of the failed write caused the problem, rather than the store or the consumer."""
        stays = Advance(self.consumer, own.worker_id, own.position, own.position)
        return await is_of_the_write(problem, self._store, self._blocking, stays)

    async def _write(self, own: "_Own", position: int, batch: Sequence[Entry]) -> bool:
        """Write a batch and the new position; return False if another worker has the consumer."""
        messages, failed = self._lanes.divide(batch)
        parked = [self._lanes.row(entry) for entry in failed]
        advance = Advance(self.consumer, own.worker_id, own.position, position)
        route = Route(advances=(advance,), messages=messages, parked=parked)
        if await self._blocking.write(self._store.route, route) != "written":
            return False
        own.position, own.written_at = position, self._loop.time()
        self._lanes.parked(failed)
        for entry in failed:
            logger.warning("%s: notification %d is parked: %s", self.consumer, entry.notification.id, entry.error)
        if messages:
            self._published()
        return True

    async def _try_parked(self, own: "_Own") -> bool:
        """Try parked notifications again, if it is time; return False if the consumer was lost."""
        seldom = SELDOM * (1 + self._lanes.number / PAGE)
        if not self._lanes.number or self._loop.time() - own.tried_at < seldom:
            return True
        lanes = [lane for lane in await self._lanes.load() if not self._setbacks.waits(lane[0].row.unmatched_id)]
        own.tried_at = self._loop.time()
        outcome: Outcome = "nothing"
        try:
            outcome = await self._write_again(own, lanes, LARGEST_BATCH)
        except StoreError as problem:
            if not await self._is_of_the_write(own, problem):
                raise
            # A notification that cannot be written must not delay those of other aggregates.
            for lane in lanes:
                outcome = await self._try_one_by_one(own, lane)
                if outcome == "lost":
                    break
        if outcome == "written":
            await self._lanes.load()
        return outcome != "lost"

    async def _try_one_by_one(self, own: "_Own", lane: Sequence[Parked]) -> Outcome:
        """Try the parked notifications of one aggregate in order, up to the first that cannot be written."""
        outcome: Outcome = "nothing"
        for parked in lane:
            try:
                outcome = await self._write_again(own, [[parked]], 1)
            except StoreError as problem:
                if not await self._is_of_the_write(own, problem):
                    raise
                return await self._set_back(own, parked.row, problem)
            if outcome != "written":
                break
        return outcome

    async def _set_back(self, own: "_Own", row: UnmatchedRow, problem: StoreError) -> Outcome:
        """Let a notification be tried again after a pause; if it was refused too often, park it."""
        at_most = PAUSES.longest if is_of_the_store(problem) else math.inf
        setback = self._setbacks.add(row.unmatched_id, isinstance(problem, WriteRefused), at_most=at_most)
        if setback.counted < MOST_REFUSALS:
            return "written"
        reason = described(problem)
        parked = replace(row, status="parked", reason=reason, actor=None, settled_reason=None, settled_at=None)
        logger.warning("%s: %s is parked: %s", self.consumer, row.message_id, reason)
        return await self._route_again(own, Again([], [], [parked]))

    async def _write_again(self, own: "_Own", lanes: Sequence[Sequence[Parked]], limit: int) -> Outcome:
        """Translate parked notifications again, and write the outcome."""
        translate = self._follow.translation.entry
        again = await self._blocking.handler(partial(self._lanes.again, lanes, limit, translate))
        if not again.done and not again.parked:
            return "nothing"
        return await self._route_again(own, again) if await self._lanes.settle(again.done) else "nothing"

    async def _route_again(self, own: "_Own", again: Again) -> Outcome:
        route = Route(
            advances=(Advance(self.consumer, own.worker_id, own.position, own.position),),
            messages=again.messages,
            parked=again.parked,
            redelivered=[row.unmatched_id for row in again.done],
        )
        if await self._blocking.write(self._store.route, route) != "written":
            return "lost"
        self._published()
        return "written"

    def _goes_on(self) -> None:
        if self._backoff.has_begun:
            logger.warning("%s goes on", self.consumer)
            self._backoff.reset()


class _Own(Struct):
    """The state of a consumer while it is owned; times are those of the event loop."""

    worker_id: str
    position: int
    written_at: float
    tried_at: float = 0.0
