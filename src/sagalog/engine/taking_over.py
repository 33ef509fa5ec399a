"""What workers owned that are dead: their leases end and their sagas are free for everybody. It claims none."""

import asyncio
import logging

from sagalog.clock import Clock
from sagalog.engine.apart import Apart
from sagalog.engine.backoff import Backoff
from sagalog.engine.blocking import Blocking
from sagalog.saga.failure import described
from sagalog.store import Store

logger = logging.getLogger("sagalog.engine")

LONGEST_PAUSE = 5.0
# How many are looked at one by one in a round.
MOST_AT_ONCE = 100


class TakingOver:
    """Free the sagas of the dead: all of a round in one write, or one by one while something is wrong with one of them.

    `apart` frees one by one; `poll` is in seconds.
    """

    def __init__(self, store: Store, blocking: Blocking, clock: Clock, poll: float, apart: Apart) -> None:
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._poll = poll
        self._apart = apart
        self._backoff = Backoff(poll, LONGEST_PAUSE)
        self._next = 0.0

    async def look(self) -> None:
        """Free some, if it is time to look; raises only if the store does nothing at all."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._next:
            return
        try:
            await self._blocking.write(self._store.free, self._clock.now(), self._apart.resting())
        except Exception as problem:
            self._next = loop.time() + self._backoff.pause()
            logger.info("sagas of the dead are freed one by one: %s", described(problem))
            lost = await self._blocking.read(self._store.lost, self._clock.now(), MOST_AT_ONCE, self._apart.resting())
            await self._apart.each(lost, self._free)
        else:
            self._next = loop.time() + self._poll
            self._backoff.reset()

    async def _free(self, saga_id: str) -> None:
        await self._blocking.write(self._store.free_these, self._clock.now(), [saga_id])
