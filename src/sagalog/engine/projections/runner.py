"""The projections of this process: each takes its turns in a loop of its own, and delays nobody."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from sagalog.engine.backoff import Backoff, Pauses, is_worth_saying
from sagalog.engine.hint import Hint
from sagalog.engine.loops import Loop
from sagalog.engine.projections.applying import Turned
from sagalog.engine.projections.generations import ensure
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.reentry import enter
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import DefinitionError, StoreError, WaitTimeout
from sagalog.saga.failure import described
from sagalog.store.projections import ProjectionRow

logger = logging.getLogger("sagalog.engine")

PAUSES = Pauses(0.1, 5.0)
# How often, in seconds, it is looked whether there are other generations than before.
LOOK_AT_GENERATIONS = 1.0
# How often, in seconds, somebody who waits looks where a projection is that another process drives.
LOOK_AT_OTHERS = 0.02


class Projections:
    """The projections that were declared for this process, and where each is."""

    def __init__(self, surroundings: Surroundings, projecting: Sequence[Projecting], is_worker: bool) -> None:
        self._blocking = surroundings.blocking
        self._is_worker = is_worker
        self._projecting = projecting
        self._running = [_Running(one, surroundings) for one in projecting] if is_worker else []
        self._loops: list[Loop] = []

    async def open(self) -> None:
        """Open the databases, and make what is missing; raises `DefinitionError` for SQL that cannot be run.

        A database that does not answer, or in which this role may make no tables, is tried again later: nobody else
        waits for it.
        """
        for one in self._projecting:
            try:
                await self._blocking.handler(one.database.open)
                if self._is_worker:
                    await self._blocking.handler(partial(ensure, one))
            except StoreError as problem:
                logger.warning("projection %s does not go on for now: %s", one.projection.name, problem)

    def start(self) -> None:
        """Start to take turns."""
        self._loops += [Loop(one.run, f"sagalog-projection-{one.name}") for one in self._running]

    def hint(self) -> None:
        """Look for news now."""
        for one in self._running:
            one.hint.give()

    async def stop(self, grace: float) -> None:
        """Let what was written be read for at most `grace` seconds, stop, and close the databases."""
        for one in self._running:
            one.stop()
        await asyncio.gather(*(_ended(loop, grace) for loop in self._loops))
        for projecting in self._projecting:
            await self._blocking.handler(projecting.database.close)

    async def caught_up(self, name: str, position: int | None, timeout: float) -> int:
        """Wait until readers of a projection see what is at a position of the log; return how far they see.

        Raises `DefinitionError` for a name that was not declared, and `WaitTimeout`.
        """
        found = [one for one in self._projecting if one.projection.name == name]
        if not found:
            known = ", ".join(sorted({one.projection.name for one in self._projecting})) or "none"
            raise DefinitionError(f"no projection is called {name!r}; this process manager has: {known}")
        wanted = position if position is not None else await self._blocking.read(found[0].store.head)
        try:
            async with asyncio.timeout(timeout):
                return await self._reach(name, found[0], wanted)
        except TimeoutError:
            row = await self._blocking.handler(partial(_live, found[0]))
            raise WaitTimeout(
                f"projection {name} has not reached position {wanted:,} within {timeout:g} s: {_where(row)}"
            ) from None

    async def _reach(self, name: str, projecting: Projecting, wanted: int) -> int:
        running = [one for one in self._running if one.name == name]
        while True:
            for one in running:
                one.hint.give()
            row = await self._blocking.handler(partial(_live, projecting))
            if row is not None and row.position >= wanted:
                return row.position
            if running:
                await running[0].moved.wait(LOOK_AT_OTHERS)
            else:
                await asyncio.sleep(LOOK_AT_OTHERS)


async def _ended(loop: Loop, grace: float) -> None:
    await asyncio.wait([loop.task], timeout=grace)
    await loop.stop()


class _Running:
    """One projection, whose generations take turns one after the other, the live one first."""

    def __init__(self, projecting: Projecting, surroundings: Surroundings) -> None:
        self._projecting = projecting
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._poll = surroundings.limits.follow_poll / 1e6
        self._lag_alarm = surroundings.limits.lag_alarm
        self._is_late = False
        self.name = projecting.projection.name
        self.hint = Hint()
        self.moved = Hint()
        self._stopping = False
        self._backoff = Backoff(PAUSES)
        self._failed = 0
        self._generations: list[int] = []
        self._look_at = 0.0

    def stop(self) -> None:
        """Let `run` end after the turn under way."""
        self._stopping = True
        self.hint.give()

    async def run(self) -> None:
        """Take turns until `stop` is called, and then until all is read; after an error it pauses and tries again."""
        enter(self._blocking)
        while True:
            self.hint.forget()
            was_stopping = self._stopping
            pause = await self._round_or_pause()
            if was_stopping and (pause > 0 or self._failed):
                return
            if pause > 0 and not self._stopping:
                await self.hint.wait(pause)

    async def _round_or_pause(self) -> float:
        """Take a round of turns; return how long to wait for the next one, longer after failures, in seconds."""
        try:
            pause = await self._round()
        except Exception as problem:
            self._look_at = 0.0
            self._failed += 1
            if is_worth_saying(self._failed):
                text = "projection %s does not go on for now, trying again: %s"
                trace = None if isinstance(problem, StoreError) else problem
                logger.warning(text, self.name, described(problem), exc_info=trace)
            return self._backoff.pause()
        self._backoff.reset()
        self._failed = 0
        return pause

    async def _round(self) -> float:
        """Take a turn for each generation; return how long to wait for the next round, in seconds."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._look_at:
            self._generations = await self._blocking.handler(self._find)
            self._look_at = loop.time() + LOOK_AT_GENERATIONS
        pause = self._poll
        for generation in self._generations:
            turned = await self._blocking.handler(partial(self._projecting.turn, generation))
            if turned.row is None:
                self._look_at = 0.0
                continue
            self._watch(turned)
            if turned.more:
                pause = 0.0
            elif turned.due_at is not None:
                pause = min(pause, max(0.0, (turned.due_at - self._clock.now()) / 1e6))
        self.moved.give()
        self.moved.forget()
        return pause

    def _watch(self, turned: Turned) -> None:
        """Log once that the live generation is too far behind, and once that it no longer is."""
        row = turned.row
        if row is None or row.status != "live" or row.reflects is None:
            return
        behind = self._clock.now() - row.reflects if turned.more else 0
        if behind > self._lag_alarm and not self._is_late:
            text = "projection %s is %.0f s behind, at position %d of %d"
            logger.warning(text, self.name, behind / 1e6, row.position, row.head)
        elif self._is_late and not turned.more:
            logger.warning("projection %s has caught up, at position %d", self.name, row.position)
        self._is_late = behind > self._lag_alarm or (self._is_late and turned.more)

    def _find(self) -> list[int]:
        projecting = self._projecting
        version, order = projecting.projection.version, {"live": 0, "building": 1, "old": 2}
        projecting.database.open()
        mine: list[ProjectionRow] = []
        for _ in range(2):
            with projecting.database.reading() as transaction:
                rows = transaction.generations(self.name)
            mine = [one for one in rows if one.version == version and one.status in order]
            if mine or ensure(projecting) is None:
                break
        return [one.generation for one in sorted(mine, key=lambda one: order[one.status])]


def _live(projecting: Projecting) -> ProjectionRow | None:
    projecting.database.open()
    with projecting.database.reading() as transaction:
        rows = transaction.generations(projecting.projection.name)
    return next((one for one in rows if one.status == "live"), None)


def _where(row: ProjectionRow | None) -> str:
    if row is None:
        return "it is not there yet; is there a worker that has it?"
    if row.paused_at is not None:
        return f"it is at {row.position:,}, paused by {row.paused_by} ({row.paused_reason})"
    failed = f"; {row.error_type}: {row.error_text}" if row.error_type else ""
    return f"it is at {row.position:,}{failed}"
