"""The router: it reads messages from the log by position and routes them in batches, each in one transaction.

A consumer's new position and what became of the messages are written in the same transaction. Whatever goes wrong, the
batch is read and routed again from the position in the store.

Consumers at the same position are routed together. A consumer in trouble is routed apart, with its own pauses, and
delays no other. Its messages are then routed one by one. If one fails while the store accepts other writes, it is set
aside to be routed later, so that those behind it go on.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from sagalog.engine.backoff import Backoff, rest_after
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.own_pace import PAUSES, TRIES_IN_ALL, OwnPace
from sagalog.engine.bus.reading import Page, Reading
from sagalog.engine.bus.reads_beside import ReadsBeside
from sagalog.engine.bus.redelivery import Redelivery
from sagalog.engine.bus.route_batch import Batch, Found, Routes
from sagalog.engine.bus.route_writing import RouteWriting
from sagalog.engine.hint import Hint
from sagalog.engine.message_log import WAITS_FOR
from sagalog.engine.recovery import Recovery
from sagalog.engine.reentry import enter
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.unmatched import cut_down, parked_row
from sagalog.errors import BatchTooLarge, StoreError, WriteRefused
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.failure import described
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.store import Advance, Route, UnmatchedRow

logger = logging.getLogger("sagalog.engine")

BATCH = 500
# So far, or so many seconds, a consumer reads on before it is written that there was nothing for it: a commit for each
# saga would cost more than to read as much again after a crash.
MOST_UNWRITTEN = 5_000
LONGEST_UNWRITTEN = 10.0
# How often a batch is computed again because another worker has started one of its sagas meanwhile.
MOST_RACES = 10


class Router:
    """The loop that routes messages for all consumers of this process."""

    def __init__(
        self,
        surroundings: Surroundings,
        consumers: Consumers,
        routes: Sequence[Routes],
        reading: Reading,
        vocabulary: Vocabulary,
        routed: Callable[[Route, Mapping[str, Envelope]], None],
        unsure: Callable[[Route], None],
        recovery: Recovery,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._consumers = consumers
        self._routes = {one.consumer: one for one in routes}
        self._reading = reading
        # Up to where each consumer has read without finding anything, which is not written yet.
        self._passed: dict[str, int] = {}
        self._write_at = 0.0
        self._poll = surroundings.limits.poll / 1e6
        self._hint = Hint()
        self._writing = RouteWriting(surroundings, consumers, routed, unsure)
        self._redelivery = Redelivery(
            surroundings, consumers, self._routes, vocabulary, self._writing, recovery.recovered
        )
        # The consumers that are routed apart from the others.
        self._paces: dict[str, OwnPace] = {}
        self._reads = ReadsBeside(surroundings, reading, self._hint.give)
        self._recovery = recovery
        recovery.add(self._hurry)
        recovery.add_taker(self._take)

    def hint(self) -> None:
        """Look for messages now instead of at the next poll."""
        self._hint.give()

    def _take(self) -> None:
        """Take consumers now, because a worker that may have had some is dead."""
        self._consumers.look_again()
        self._hint.give()

    def _hurry(self) -> None:
        """Retry at once, because the store works again."""
        self._consumers.hurry()
        self._redelivery.hurry()
        for pace in self._paces.values():
            pace.resumes_at = 0.0
        self._hint.give()

    def redeliver(self) -> None:
        """Look now for messages that are to be routed again."""
        self._redelivery.ask()
        self._hint.give()

    def doubt(self) -> None:
        """Let positions and messages set aside be read again, because a write failed or its outcome is unknown."""
        self._consumers.doubt()
        self._redelivery.doubt()

    async def run(self) -> None:
        """Route messages until cancelled."""
        enter(self._blocking)
        try:
            await self._run()
        finally:
            self._reads.keep(())

    async def _run(self) -> None:
        backoff = Backoff(PAUSES)
        while True:
            self._hint.forget()
            try:
                moved = await self._round()
            except Exception as problem:
                # No message was skipped, and the next try may succeed.
                if not backoff.has_begun:
                    trace = None if isinstance(problem, StoreError) else problem
                    text = "messages could not be routed, trying again: %s"
                    logger.warning(text, described(problem), exc_info=trace)
                self.doubt()
                await asyncio.sleep(backoff.pause())
                continue
            if backoff.has_begun:
                logger.warning("messages are routed again")
                backoff.reset()
                self._recovery.recovered()
            if not moved:
                await self._wait()

    async def _wait(self) -> None:
        now = asyncio.get_running_loop().time()
        pauses = [pace.resumes_at - now for pace in self._paces.values() if pace.resumes_at > now]
        await self._hint.wait(min([self._poll, *pauses]))

    async def _round(self) -> bool:
        """Route one batch for each consumer whose turn it is; return False if there was nothing to do."""
        if not await self._consumers.take():
            return False
        await self._redelivery.know()
        now = asyncio.get_running_loop().time()
        owned = self._consumers.owned
        self._paces = {name: pace for name, pace in self._paces.items() if name in owned}
        self._reads.keep(self._paces)
        together: dict[tuple[int, int, bool], list[str]] = {}
        apart: list[str] = []
        for name, row in owned.items():
            pace = self._paces.get(name)
            if pace is None:
                place = (row.position, self._reads_after(name, row.position), self._reading.wants_notes(name))
                together.setdefault(place, []).append(name)
            elif now >= pace.resumes_at:
                apart.append(name)
        moved = False
        for (position, after, _), names in sorted(together.items()):
            moved |= await self._go_together(position, after, names)
        for name in apart:
            moved |= await self._go_apart(name, self._paces[name])
        return moved | await self._redelivery.look()

    def _reads_after(self, name: str, position: int) -> int:
        """Return where a consumer reads on that is at this position."""
        return max(position, self._passed.get(name, 0))

    def _is_to_be_written(self, passed: int) -> bool:
        """Tell whether it is to be written now that so much of the log held nothing."""
        now = asyncio.get_running_loop().time()
        if passed < MOST_UNWRITTEN and (not passed or now < self._write_at):
            return False
        self._write_at = now + LONGEST_UNWRITTEN
        return True

    async def _go_together(self, position: int, after: int, names: list[str]) -> bool:
        """Route what is above `after` for these consumers, which are at `position`; return whether to go on at once."""
        try:
            page = await self._blocking.read(self._reading.page, names, after, BATCH)
            if page.found or self._is_to_be_written(page.position - position):
                await self._move(position, names, page.found, page.position)
            else:
                self._passed |= dict.fromkeys(names, page.position)
            return bool(page.found) or page.is_full
        except Exception as problem:
            self.doubt()
            trace = None if isinstance(problem, StoreError) else problem
            who = ", ".join(names)
            text = "what is above position %d could not be routed for %s, trying again: %s"
            logger.warning(text, position, who, described(problem), exc_info=trace)
            # From now on each is routed apart, so that neither a message nor a consumer delays another.
            for name in names:
                self._paces[name] = OwnPace(BATCH)
                if isinstance(problem, BatchTooLarge):
                    self._paces[name].size.too_large(BATCH)
            return True

    async def _go_apart(self, name: str, pace: OwnPace) -> bool:
        """Route messages for a consumer in trouble; return whether it goes on at once."""
        time = asyncio.get_running_loop().time
        began = time()
        pace.failed_itself = False
        try:
            moved = await self._advance(name, pace)
        except Exception as problem:
            self.doubt()
            took = time() - began
            rests = pace.failed_itself and await self._writing.passes()
            pause = pace.failed(time(), rest_after(took, is_outage=not rests))
            logger.info("%s does not go on for %g s: %s", name, pause, described(problem))
            return False
        if moved is None:
            return False
        if pace.is_smooth:
            del self._paces[name]
            logger.warning("messages are routed for %s again", name)
        return moved

    async def _advance(self, name: str, pace: OwnPace) -> bool | None:
        """Route what has been read for a consumer; return whether it goes on at once, or None during the read."""
        row = self._consumers.owned.get(name)
        if row is None:
            return False
        limit = pace.size.now
        try:
            page = self._reads.take(name, self._reads_after(name, row.position), limit)
        except BatchTooLarge as problem:
            if limit == 1:
                raise
            pace.size.too_large(limit)
            logger.info("%s reads at most %d messages at once: %s", name, pace.size.now, described(problem))
            return True
        if page is None:
            return None
        alone = [one for one in page.found if one[0] <= pace.alone_upto]
        if alone:
            return await self._move_one_by_one(name, row.position, alone, pace)
        if page.found:
            await self._move_apart(name, row.position, page, pace)
        else:
            self._passed[name] = page.position
        pace.passed()
        return bool(page.found) or page.is_full

    async def _move_apart(self, name: str, position: int, page: Page, pace: OwnPace) -> None:
        """Route a batch; if it fails and is itself to blame, its messages will be routed one by one."""
        found = page.found
        try:
            await self._move(position, [name], found, page.position)
        except Exception as problem:
            if isinstance(problem, BatchTooLarge) and len(found) > 1:
                pace.size.too_large(len(found))
            elif await self._writing.is_to_blame(name, problem):
                pace.alone_upto = found[-1][0]
            else:
                pace.failed_itself = True
            raise

    async def _move_one_by_one(self, name: str, position: int, found: Found, pace: OwnPace) -> bool:
        """Route messages one by one, setting aside one that fails too often; return False if the consumer is lost."""
        for one in found:
            try:
                written = await self._move(position, [name], [one], one[0])
            except Exception as problem:
                self.doubt()
                if not await self._writing.is_to_blame(name, problem):
                    pace.failed_itself = True
                    raise
                tries = pace.failed_alone(position)
                if not pace.has_had_its_tries():
                    raise
                written = await self._set_aside(name, position, one, problem, tries)
                pace.set_aside()
            if not written:
                return False
            position = one[0]
        if position >= pace.alone_upto:
            pace.passed()
        return True

    async def _move(self, position: int, names: list[str], found: Found, upto: int) -> bool:
        """Route messages and move the consumers to `upto`; return False if one is lost or at another position."""
        for _ in range(MOST_RACES):
            batch = Batch()
            for name in names:
                await self._route(name, found, batch)
            route = batch.route(self._advances(names, position, upto))
            outcome = await self._writing.write(route, found, batch.begun)
            if outcome == "written":
                self._moved(names, upto, batch.parked)
            if outcome != "exists":
                return outcome == "written"
        raise WriteRefused("the key of a saga that is to be started is taken")

    async def _route(self, name: str, found: Found, batch: Batch) -> None:
        """Add to the batch what one consumer does with messages.

        Unreadable messages that it would take are parked. Messages behind one that was set aside are set aside, too.
        """
        plain = [one for one in found if not isinstance(one[1], Unreadable)]
        if self._redelivery.has_any_aside:
            plain = [one for one in plain if self._redelivery.first(name, one[1]) is None]
        await self._routes[name].route(plain, batch)
        if len(plain) == len(found):
            return
        for one in found:
            if isinstance(one[1], Unreadable):
                if await self._takes(name, one):
                    batch.parked.append(parked_row(self._clock, name, one[1], one[0], one[1].problem))
                continue
            first = self._redelivery.first(name, one[1])
            if first is not None and await self._takes(name, one):
                reason = f"{WAITS_FOR} {first} of the same correlation id, which could not be routed yet"
                batch.parked.append(self._redelivery.aside_row(name, one, reason))

    async def _takes(self, name: str, one: tuple[int, Envelope]) -> bool:
        """Tell whether a consumer does anything with a message."""
        alone = Batch()
        await self._routes[name].route([one], alone)
        return bool(alone)

    def _advances(self, names: Sequence[str], position: int, upto: int) -> list[Advance]:
        return [Advance(name, self._consumers.worker_id, position, upto) for name in names]

    def _moved(self, names: Sequence[str], upto: int, parked: Sequence[UnmatchedRow]) -> None:
        for name in names:
            self._consumers.moved(name, upto)
        self._redelivery.is_aside(parked)

    async def _set_aside(
        self, name: str, position: int, one: tuple[int, Envelope], problem: Exception, tries: int
    ) -> bool:
        """Set a message aside so that the consumer goes on; if that keeps failing, park it by its digest.

        Return False if the consumer is lost.
        """
        why = f"it could not be routed yet: {described(problem)}"
        advances = self._advances([name], position, one[0])
        aside = [self._redelivery.aside_row(name, one, why)]
        try:
            written = await self._writing.write(Route(advances, parked=aside), [one]) == "written"
        except Exception:
            if tries < TRIES_IN_ALL:
                raise
            why = f"it could not be routed: {described(problem)}"
            aside = [cut_down(parked_row(self._clock, name, one[1], one[0], why))]
            written = await self._writing.write(Route(advances, parked=aside), [one]) == "written"
        if written:
            self._moved([name], one[0], aside)
        return written
