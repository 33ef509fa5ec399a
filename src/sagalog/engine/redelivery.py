"""Messages that are routed again: what a person lets go, and what the router has set aside. It reads no positions.

What is set aside is a row of `saga_unmatched` that nobody has to settle: it is tried again with pauses that grow, for
as long as its error may pass. What the database refuses is parked for a person at the last of so many times. What comes
after it for the same consumer, with the same correlation id, waits behind it, so that their order stays what it was.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from sagalog.clock import Clock
from sagalog.engine.backoff import Backoff
from sagalog.engine.blocking import Blocking
from sagalog.engine.consumers import Consumers
from sagalog.engine.door import DOOR, parked_row, unknown
from sagalog.engine.mended import mended_message
from sagalog.engine.route_batch import Batch, Found, Routes
from sagalog.engine.route_writing import RouteWriting, is_passing
from sagalog.engine.setbacks import Setbacks
from sagalog.errors import StoreError, WriteRefused
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.saga.vocabulary import Vocabulary
from sagalog.store import Advance, Route, Store, UnmatchedRow

logger = logging.getLogger("sagalog.engine")

PAGE = 500
# What waits for a person's hand may wait some polls more.
POLLS_BETWEEN_LOOKS = 10
# What cannot be routed is tried again after so many seconds, each time twice as many. What is refused is parked at the
# last of so many times, after some seconds: a table may be altered meanwhile, or a trigger replaced.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 60.0
MOST_REFUSALS = 6
LONGEST_PAUSE_OF_THE_STORE = 2.0

Lane = tuple[str, str | None]


class Redelivery:
    """Route again what waits for that, for the consumers of this process; and know who has to wait behind it."""

    def __init__(
        self,
        store: Store,
        blocking: Blocking,
        clock: Clock,
        consumers: Consumers,
        routes: Mapping[str, Routes],
        vocabulary: Vocabulary,
        writing: RouteWriting,
        poll: int,
    ) -> None:
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._consumers = consumers
        self._routes = routes
        self._vocabulary = vocabulary
        self._writing = writing
        self._poll = poll / 1e6
        # Times of the event loop, which no clock that is set can keep from coming.
        self._look_at = 0.0
        self._setbacks = Setbacks(lambda: asyncio.get_running_loop().time(), FIRST_PAUSE, LONGEST_PAUSE)
        self._backoff = Backoff(self._poll, LONGEST_PAUSE_OF_THE_STORE)
        # The message that was set aside first, by consumer and correlation id; and whose these are.
        self._first: dict[Lane, str] = {}
        self._known: tuple[str, ...] = ()

    def ask(self) -> None:
        """Look now."""
        self._look_at = 0.0

    def doubt(self) -> None:
        """Ask the store what is set aside before anything else is routed: a write failed, or nobody knows."""
        self._known = ()

    async def know(self) -> None:
        """Find out what is set aside for the consumers of this process, if that is not known."""
        names = self._names()
        if self._known != (self._consumers.worker_id, *names):
            await self._read(names)

    @property
    def has_any_aside(self) -> bool:
        """Tell whether anything has to wait at all."""
        return bool(self._first)

    def first(self, consumer: str, envelope: Envelope) -> str | None:
        """Return the message behind which this one has to wait, if there is one."""
        return self._first.get((consumer, envelope.correlation_id))

    def aside_row(self, consumer: str, one: tuple[int, Envelope], reason: str) -> UnmatchedRow:
        """Return the row that sets a message aside."""
        return replace(parked_row(self._clock, consumer, one[1], one[0], reason), status="redelivering")

    def is_aside(self, rows: Sequence[UnmatchedRow]) -> None:
        """Say that rows are written, some of which may set messages aside."""
        for row in rows:
            if row.status == "redelivering":
                self._first.setdefault((row.consumer, row.correlation_id), row.message_id)
                self._look_at = min(self._look_at, asyncio.get_running_loop().time() + FIRST_PAUSE)

    def _names(self) -> list[str]:
        owned = self._consumers.owned
        return [name for name in self._routes if name in owned]

    async def _read(self, names: Sequence[str]) -> list[list[UnmatchedRow]]:
        """Read what is to be routed again, in lanes: what was set aside in order, the rest each by itself."""
        worker_id = self._consumers.worker_id
        rows: list[UnmatchedRow] = []
        after = ""
        while True:
            page = await self._blocking.read(self._store.redelivering, [*names, DOOR], PAGE, after)
            rows += page
            if len(page) < PAGE:
                break
            after = page[-1].unmatched_id
        lanes: dict[Lane, list[UnmatchedRow]] = {}
        for row in rows:
            lanes.setdefault(_lane(row), []).append(row)
        for lane in lanes.values():
            lane.sort(key=lambda row: row.position or 0)
        self._first = {key: lane[0].message_id for key, lane in lanes.items() if lane[0].actor is None}
        self._known = (worker_id, *names)
        self._setbacks.keep({row.unmatched_id for row in rows})
        return list(lanes.values())

    async def look(self) -> bool:
        """Route again what is due, if it is time to look; returns whether anything became of it."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return False
        try:
            lanes = await self._read(self._names())
            moved = [await self._route_lane(lane) for lane in lanes]
        except Exception as problem:
            # It must not keep messages from being routed for the first time.
            if not self._backoff.has_begun:
                trace = None if isinstance(problem, StoreError) else problem
                text = "nothing can be routed again for now, trying again: %s"
                logger.warning(text, described(problem), exc_info=trace)
            self._consumers.doubt()
            self.doubt()
            self._look_at = now + self._backoff.pause()
            return False
        self._backoff.reset()
        # What is set aside is looked at often, unless that is much.
        often = any(lane[0].actor is None for lane in lanes)
        scale = 1 + sum(map(len, lanes)) / PAGE
        self._look_at = now + self._poll * scale * (1 if often else POLLS_BETWEEN_LOOKS)
        return any(moved)

    async def _route_lane(self, lane: Sequence[UnmatchedRow]) -> bool:
        """Route messages again, one after the other up to one that cannot be; raises if it is the store that fails."""
        for number, row in enumerate(lane):
            if self._setbacks.waits(row.unmatched_id) or not await self._route(row):
                return number > 0
        self._first.pop(_lane(lane[0]), None)
        return True

    async def _route(self, row: UnmatchedRow) -> bool:
        """Route one message again; returns whether it is settled, if only by being parked."""
        try:
            again = await self._again(row)
            outcome = "conflict" if again is None else await self._writing.write(*again)
            if outcome == "exists":
                raise WriteRefused("the key of the saga that it starts is taken")
            return outcome == "written"
        except Exception as problem:
            self._consumers.doubt()
            if not await self._writing.is_to_blame(row.consumer, problem):
                raise
            return await self._failed(row, problem)

    async def _failed(self, row: UnmatchedRow, problem: Exception) -> bool:
        """Let a message be tried again after a pause, or park it; returns whether it is parked."""
        refused = not is_passing(problem)
        setback = self._setbacks.add(row.unmatched_id, counts=refused)
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
            # A person may let it go before anybody looks, and then its tries are counted anew.
            self._setbacks.forget(row.unmatched_id)
            return True
        except StoreError as second:
            logger.error("message %s can be neither routed nor parked: %s", row.message_id, described(second))
            return False

    def _stays(self, consumer: str) -> Sequence[Advance] | None:
        """Return what holds a write to who has the consumer, whose position stays; None if it is lost."""
        if consumer == DOOR:
            return ()
        here = self._consumers.owned.get(consumer)
        if here is None:
            return None
        return [Advance(consumer, self._consumers.worker_id, here.position, here.position)]

    async def _again(self, row: UnmatchedRow) -> tuple[Route, Found] | None:
        """Return what becomes of a message that is routed again, and that; it may well be parked. None: not ours."""
        batch = Batch()
        try:
            envelope = msgspec.json.decode(row.message, type=Envelope)
        except (msgspec.MsgspecError, RecursionError) as problem:
            mended = await mended_message(self._store, self._blocking, row)
            if mended is None:
                return self._parked(row, f"it cannot be delivered, since it is no message: {problem}; discard it")
            envelope = mended
        if row.consumer == DOOR:
            if envelope.name not in self._vocabulary:
                return self._parked(row, unknown(envelope))
            batch.messages.append(envelope)
            return batch.route((), (row.unmatched_id,)), ()
        position = row.position
        if position is None:
            # A saga that could not take it knows only the message.
            known = await self._blocking.read(self._store.find_message, envelope.id)
            if known is None:
                return self._parked(row, "it cannot be delivered, since the log does not have it; discard it")
            position = known[0]
        found = [(position, envelope)]
        await self._routes[row.consumer].route(found, batch)
        stays = self._stays(row.consumer)
        return None if stays is None else (batch.route(stays, (row.unmatched_id,)), found)

    def _parked(self, row: UnmatchedRow, why: str) -> tuple[Route, Found]:
        parked = replace(row, status="parked", reason=why)
        return Route((), parked=[parked], redelivered=[row.unmatched_id]), ()


def _lane(row: UnmatchedRow) -> Lane:
    """Return with which others a message keeps its order: with none, if a person has let it go."""
    return (row.consumer, row.correlation_id) if row.actor is None else (row.unmatched_id, None)
