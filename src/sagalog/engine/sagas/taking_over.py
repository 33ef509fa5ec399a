"""Freeing the sagas of dead workers and ending their leases, at once if they show no sign of life. It claims none."""

import asyncio
import logging
from collections.abc import Callable

from sagalog.engine.backoff import Backoff, Pauses, is_worth_saying
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.life_watch import LifeWatch, is_gone
from sagalog.engine.sagas.one_by_one import OneByOne
from sagalog.engine.surroundings import Surroundings
from sagalog.saga.failure import described
from sagalog.store import SilentWorker

logger = logging.getLogger("sagalog.engine")

LONGEST_PAUSE = 5.0
# How many sagas are freed one by one in a round.
MOST_AT_ONCE = 100


class TakingOver:
    """Frees the sagas of dead workers: all of a round in one write, or one by one while one of them is in trouble.

    `lease` is that of our worker. `freed` is called when a lease was ended, so that what else the dead worker
    owned can be taken.
    """

    def __init__(
        self, surroundings: Surroundings, one_by_one: OneByOne, lease: WorkerLease, freed: Callable[[], None]
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._poll = surroundings.limits.poll / 1e6
        self._one_by_one = one_by_one
        self._lease = lease
        self._freed = freed
        self._life = LifeWatch(self._poll, is_gone)
        self._backoff = Backoff(Pauses(self._poll, LONGEST_PAUSE))
        self._next = 0.0
        # How many times in a row freeing all at once failed.
        self._failures = 0

    async def look(self) -> None:
        """Free some sagas, if it is time to; raise only if the store takes no write at all."""
        time = asyncio.get_running_loop().time
        if time() < self._next:
            return
        try:
            asked = time()
            await self._end_leases(await self._free_all(), asked, time())
        except Exception as problem:
            self._next = time() + self._backoff.pause()
            self._say(problem)
            if await self._one_by_one.each(await self._lost(), self._free):
                # Some could be freed, so the next try comes soon: one saga in trouble must not delay the others.
                self._backoff.reset()
                self._next = time() + self._poll
        else:
            self._next = time() + self._poll
            self._backoff.reset()
            if self._failures:
                logger.warning("what dead workers owned is freed again")
            self._failures = 0

    async def _free_all(self) -> list[SilentWorker]:
        but = self._one_by_one.resting()
        return await self._blocking.write(self._store.free, self._clock.now(), but, self._lease.worker_id)

    async def _end_leases(self, silent: list[SilentWorker], asked: float, answered: float) -> None:
        """End the leases of those who have shown no sign of life for long enough, and free what they own."""
        over = self._life.over(silent, asked, answered, self._lease.shown_since)
        for lease in over:
            logger.warning("worker %s shows no sign of life; its sagas go on elsewhere", lease.worker_id)
            await self._blocking.write(self._store.end_lease, lease)
        if over:
            await self._free_all()
        if over or self._life.has_news:
            self._freed()

    async def _lost(self) -> list[str]:
        try:
            return await self._blocking.read(
                self._store.lost, self._clock.now(), MOST_AT_ONCE, self._one_by_one.resting()
            )
        except Exception as problem:
            # The table of leases may be locked; claiming does not need it.
            logger.debug("it is not known what dead workers owned: %s", described(problem))
            return []

    def _say(self, problem: Exception) -> None:
        """Log it more and more seldom: a lease that cannot be removed may stay for days, and does no harm."""
        self._failures += 1
        level = logging.WARNING if is_worth_saying(self._failures) else logging.DEBUG
        logger.log(level, "what dead workers owned is freed one by one for now: %s", described(problem))

    async def _free(self, saga_id: str) -> None:
        await self._blocking.write(self._store.free_these, self._clock.now(), [saga_id])
