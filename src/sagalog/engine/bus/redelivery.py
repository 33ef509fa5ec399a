"""Messages that are routed again: those that a person redelivers, and those that the router has set aside.

A message that was set aside is a row of `saga_unmatched` that needs no person. It is tried again, with growing pauses,
for as long as its error may pass. If the database refuses it, it is parked for a person after `MOST_REFUSALS` tries.
Later messages for the same consumer with the same correlation id wait behind it, so their order is kept.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from sagalog.engine.backoff import Backoff, Pauses, rest_after
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.route_batch import Batch, Found, Routes
from sagalog.engine.bus.route_writing import RouteWriting, is_passing
from sagalog.engine.bus.unmatched_messages import mended_message, with_message
from sagalog.engine.cycle import Decision
from sagalog.engine.recovery import is_of_the_store
from sagalog.engine.setbacks import Setbacks
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.unmatched import INTAKE, parked_row, unknown
from sagalog.errors import BatchTooLarge, StoreError, WriteRefused
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.store import Advance, Route, UnmatchedRow

logger = logging.getLogger("sagalog.engine")

PAGE = 500
# Messages that a person redelivers are not urgent: it took a person to notice them.
POLLS_BETWEEN_LOOKS = 10
# The pauses before a message that cannot be routed is tried again.
PAUSES = Pauses(0.2, 60.0)
# A refused message is parked after so many tries, not at once: somebody may mend a table or a trigger meanwhile.
MOST_REFUSALS = 6
LONGEST_PAUSE_OF_THE_STORE = 2.0
# Shorter for an outage of the whole store, so that all goes on soon after it has ended.
LONGEST_PAUSE_IN_AN_OUTAGE = 5.0
# In seconds. A lane may be long, and messages that are routed for the first time get their turn between two looks.
LONGEST_LOOK = 0.05
# The limits of one transaction: messages, and characters of JSON.
AT_ONCE = 20
LARGEST_AT_ONCE = 256 * 1024

Lane = tuple[str, str | None]


class Redelivery:
    """The messages to be routed again for the consumers of this process, and those that wait behind them."""

    def __init__(
        self,
        surroundings: Surroundings,
        consumers: Consumers,
        routes: Mapping[str, Routes],
        vocabulary: Vocabulary,
        writing: RouteWriting,
        recovered: Callable[[], None],
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._consumers = consumers
        self._routes = routes
        self._vocabulary = vocabulary
        self._writing = writing
        self._recovered = recovered
        self._poll = surroundings.limits.poll / 1e6
        # By the event loop's time, so that setting the system clock cannot delay it.
        self._look_at = 0.0
        self._setbacks = Setbacks(lambda: asyncio.get_running_loop().time(), PAUSES)
        pauses_of_the_store = Pauses(self._poll, LONGEST_PAUSE_OF_THE_STORE)
        # The consumers for which nothing can be written for now.
        self._troubled = Setbacks(lambda: asyncio.get_running_loop().time(), pauses_of_the_store)
        self._backoff = Backoff(pauses_of_the_store)
        # The message that was set aside first, by lane; and the worker and consumers for which that was read.
        self._first: dict[Lane, str] = {}
        self._known: tuple[str, ...] = ()
        # The lanes still to be looked at, and those to which rows were added since they were read.
        self._lanes: deque[Sequence[UnmatchedRow]] = deque()
        self._is_looking = False
        self._grown: set[Lane] = set()
        self._size = BatchSize(PAGE)

    def ask(self) -> None:
        """Let the next `look` read what waits, without waiting for its time."""
        self._look_at = 0.0

    def hurry(self) -> None:
        """Let the next `look` try messages that failed before, without waiting for their pauses."""
        self._setbacks.hurry()
        self._troubled.hurry()
        self.ask()

    def doubt(self) -> None:
        """Let `know` read again what is set aside, because a write failed or its outcome is unknown."""
        self._known = ()

    async def know(self) -> None:
        """Read what is set aside for the consumers of this process, unless it is known."""
        names = self._names()
        if self._known != (self._consumers.worker_id, *names):
            await self._read(names)
            if self._first:
                self._look_at = min(self._look_at, asyncio.get_running_loop().time() + PAUSES.first)
            # A look under way goes on with the lanes just read; otherwise they wait until the next look is due.
            if not self._is_looking:
                self._lanes.clear()

    @property
    def has_any_aside(self) -> bool:
        """Tell whether any message is set aside."""
        return bool(self._first)

    def first(self, consumer: str, envelope: Envelope) -> str | None:
        """Return the id of the message behind which this one has to wait; None if it need not."""
        return self._first.get((consumer, envelope.correlation_id))

    def aside_row(self, consumer: str, one: tuple[int, Envelope], reason: str) -> UnmatchedRow:
        """Return the row that sets a message aside."""
        return replace(parked_row(self._clock, consumer, one[1], one[0], reason), status="redelivering")

    def is_aside(self, rows: Sequence[UnmatchedRow]) -> None:
        """Record rows that were written; some of them may set messages aside."""
        for row in rows:
            if row.status == "redelivering":
                self._first.setdefault(_lane(row), row.message_id)
                self._grown.add(_lane(row))
                self._look_at = min(self._look_at, asyncio.get_running_loop().time() + PAUSES.first)

    def _names(self) -> list[str]:
        owned = self._consumers.owned
        return [name for name in self._routes if name in owned]

    async def _read(self, names: Sequence[str]) -> None:
        """Read what is to be routed again, in lanes; a message that a person redelivers is a lane of its own."""
        worker_id = self._consumers.worker_id
        rows: list[UnmatchedRow] = []
        is_last = False
        while not is_last:
            page, is_last = await self._page([*names, INTAKE], rows[-1].unmatched_id if rows else "")
            rows += page
        lanes: dict[Lane, list[UnmatchedRow]] = {}
        for row in rows:
            lanes.setdefault(_lane(row), []).append(row)
        for lane in lanes.values():
            lane.sort(key=lambda row: row.position or 0)
        self._first = {key: lane[0].message_id for key, lane in lanes.items() if lane[0].actor is None}
        self._known = (worker_id, *names)
        self._grown.clear()
        self._setbacks.keep({row.unmatched_id for row in rows})
        self._lanes = deque(lanes.values())

    async def _page(self, names: Sequence[str], after: str) -> tuple[list[UnmatchedRow], bool]:
        """Return the next rows after an unmatched id, and whether they are the last ones."""
        while True:
            limit = self._size.now
            try:
                page = await self._blocking.read(self._store.redelivering, names, limit, after)
            except BatchTooLarge:
                if limit == 1:
                    raise
                self._size.too_large(limit)
            else:
                self._size.passed()
                return page, len(page) < limit

    async def look(self) -> bool:
        """Route some of the due messages again, if it is time; return whether to look again at once."""
        time = asyncio.get_running_loop().time
        if not self._is_looking and (time() < self._look_at or not await self._begin()):
            return False
        until = time() + LONGEST_LOOK
        moved = False
        while self._lanes and time() < until:
            moved |= await self._route_lane(self._lanes.popleft(), until)
        self._is_looking = bool(self._lanes)
        return moved or self._is_looking

    async def _begin(self) -> bool:
        """Read what is to be routed again; return False if it cannot be read now."""
        now = asyncio.get_running_loop().time()
        try:
            await self._read(self._names())
        except Exception as problem:
            # This must not stop the routing of new messages.
            if not self._backoff.has_begun:
                trace = None if isinstance(problem, StoreError) else problem
                text = "nothing can be routed again for now, trying again: %s"
                logger.warning(text, described(problem), exc_info=trace)
            self._consumers.doubt()
            self.doubt()
            self._look_at = now + self._backoff.pause()
            return False
        self._backoff.reset()
        # Look often if any message is set aside, and the less often the more rows there are.
        often = any(lane[0].actor is None for lane in self._lanes)
        scale = 1 + sum(map(len, self._lanes)) / PAGE
        self._look_at = now + self._poll * scale * (1 if often else POLLS_BETWEEN_LOOKS)
        return True

    async def _route_lane(self, lane: Sequence[UnmatchedRow], until: float) -> bool:
        """Route the messages of a lane again, in order, until one fails or the time is over; False if none was."""
        done = 0
        while done < len(lane):
            if done and asyncio.get_running_loop().time() >= until:
                # Other lanes get their turn first.
                self._lanes.append(lane[done:])
                return True
            if self._troubled.waits(lane[done].consumer) or self._setbacks.waits(lane[done].unmatched_id):
                return done > 0
            # After one success more are likely, and in one transaction they cost less.
            passed = await self._route_together(lane[done : done + AT_ONCE], until) if done else 0
            if not passed and not await self._route(lane[done]):
                return done > 0
            done += passed or 1
        key = _lane(lane[0])
        if key not in self._grown:
            self._first.pop(key, None)
        return True

    async def _route_together(self, lane: Sequence[UnmatchedRow], until: float) -> int:
        """Route messages of a lane again in one transaction; return how many were: 0 if anything fails."""
        batch = Batch()
        found: list[tuple[int, Envelope]] = []
        size = 0
        try:
            for row in lane:
                whole = await with_message(self._store, self._blocking, row)
                if whole is None or whole.position is None or self._setbacks.waits(row.unmatched_id):
                    break
                found.append((whole.position, msgspec.json.decode(whole.message, type=Envelope)))
                size += len(whole.message)
                if size >= LARGEST_AT_ONCE or asyncio.get_running_loop().time() >= until:
                    break
            stays = self._stays(lane[0].consumer)
            if len(found) <= 1 or not stays:
                return 0
            await self._routes[lane[0].consumer].route(found, batch)
            route = batch.route(stays, [row.unmatched_id for row in lane[: len(found)]])
            return len(found) if await self._writing.write(route, found, batch.begun) == "written" else 0
        except Exception as problem:
            logger.info("messages for %s are routed again one by one: %s", lane[0].consumer, described(problem))
            self._consumers.doubt()
            return 0

    async def _route(self, row: UnmatchedRow) -> bool:
        """Route one message again; return whether it is settled, by being routed or parked."""
        time = asyncio.get_running_loop().time
        began = time()
        try:
            whole = await with_message(self._store, self._blocking, row)
            if whole is None:
                # A person has settled it.
                return True
            row = whole
            again = await self._again(row)
            outcome = "conflict" if again is None else await self._writing.write(*again)
            if outcome == "exists":
                raise WriteRefused("the key of the saga that it starts is taken")
            if outcome == "written":
                self._troubled.forget(row.consumer)
                if self._setbacks.forget(row.unmatched_id):
                    self._recovered()
            return outcome == "written"
        except Exception as problem:
            self._consumers.doubt()
            is_to_blame = await self._writing.is_to_blame(row.consumer, problem)
            took = time() - began
            if is_to_blame:
                return await self._failed(row, problem, rest_after(took))
            # Only this consumer pauses; the others go on.
            rest = rest_after(took, is_outage=not await self._writing.passes())
            setback = self._troubled.add(row.consumer, counts=True, at_least=rest)
            if setback.counted == 1:
                trace = None if isinstance(problem, StoreError) else problem
                text = "nothing can be routed again for %s for now, trying again: %s"
                logger.warning(text, row.consumer, described(problem), exc_info=trace)
            self.doubt()
            self._look_at = min(self._look_at, setback.until)
            return False

    async def _failed(self, row: UnmatchedRow, problem: Exception, rest: float) -> bool:
        """Let a message be tried again after a pause, or park it; return whether it was parked."""
        refused = not is_passing(problem)
        at_most = LONGEST_PAUSE_IN_AN_OUTAGE if is_of_the_store(problem) else math.inf
        setback = self._setbacks.add(row.unmatched_id, refused, 0.0 if refused else rest, at_most)
        if setback.counted < MOST_REFUSALS:
            if setback.counted <= 1:
                logger.warning("message %s is not routed yet, trying again: %s", row.message_id, described(problem))
            return False
        parked = replace(row, status="parked", reason=f"it could not be routed: {described(problem)}")
        try:
            stays = self._stays(row.consumer)
            if stays is None:
                return False
            route = Route(stays, parked=[parked], redelivered=[row.unmatched_id])
            if await self._writing.write(route, ()) != "written":
                return False
            # If a person redelivers it, its tries are counted from the start.
            self._setbacks.forget(row.unmatched_id)
            return True
        except StoreError as second:
            logger.error("message %s can be neither routed nor parked: %s", row.message_id, described(second))
            return False

    def _stays(self, consumer: str) -> Sequence[Advance] | None:
        """Return an `Advance` that moves nothing and makes the write fail if the consumer was lost.

        Empty for messages parked at intake, which have no consumer; None if the consumer is already lost.
        """
        if consumer == INTAKE:
            return ()
        here = self._consumers.owned.get(consumer)
        if here is None:
            return None
        return [Advance(consumer, self._consumers.worker_id, here.position, here.position)]

    async def _again(self, row: UnmatchedRow) -> tuple[Route, Found, Sequence[Decision]] | None:
        """Return the write for a message that is routed again, the message, and the sagas that it starts.

        The write may park it again. None if the consumer is lost.
        """
        batch = Batch()
        try:
            envelope = msgspec.json.decode(row.message, type=Envelope)
        except (msgspec.MsgspecError, RecursionError) as problem:
            mended = await mended_message(self._store, self._blocking, row)
            if mended is None:
                return self._parked(row, f"it cannot be delivered, since it is no message: {problem}; discard it")
            envelope = mended
        if row.consumer == INTAKE:
            if envelope.name not in self._vocabulary:
                return self._parked(row, unknown(envelope))
            batch.messages.append(envelope)
            return batch.route((), (row.unmatched_id,)), (), ()
        position = row.position
        if position is None:
            # A row that a saga parked has no position, so it is looked up.
            known = await self._blocking.read(self._store.find_message, envelope.id)
            if known is None:
                return self._parked(row, "it cannot be delivered, since the log does not have it; discard it")
            position = known[0]
        found = [(position, envelope)]
        await self._routes[row.consumer].route(found, batch)
        stays = self._stays(row.consumer)
        return None if stays is None else (batch.route(stays, (row.unmatched_id,)), found, batch.begun)

    def _parked(self, row: UnmatchedRow, why: str) -> tuple[Route, Found, Sequence[Decision]]:
        parked = replace(row, status="parked", reason=why)
        return Route((), parked=[parked], redelivered=[row.unmatched_id]), (), ()


def _lane(row: UnmatchedRow) -> Lane:
    """Return the lane in which a message keeps its order; one that a person redelivers has a lane of its own."""
    return (row.consumer, row.correlation_id) if row.actor is None else (row.unmatched_id, None)
