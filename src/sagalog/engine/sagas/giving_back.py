"""Giving back sagas: all that are to be given back at one moment go into one write. It claims none.

Sagas that cannot be given back go to the end of the queue, and fewer are tried at once: one of them may be locked.
"""

import asyncio
import logging
from collections.abc import Iterable
from itertools import islice

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.sagas.driven import Driven
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import StoreError
from sagalog.saga.failure import described

logger = logging.getLogger("sagalog.engine")

# A thousand rows take a few milliseconds, so no other writer waits for long.
MOST_AT_ONCE = 1000
PAUSES = Pauses(0.05, 5.0)


class GivingBack:
    """The queue of sagas to give back, which nobody here drives.

    It holds `turn` during a write. Otherwise a retry after a lost answer could give back a saga claimed anew meanwhile.
    """

    def __init__(self, surroundings: Surroundings, lease: WorkerLease, driven: Driven) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._lease = lease
        self._turn = driven.turn
        self._waiting: dict[str, None] = {}
        self._wanted = asyncio.Event()
        self._size = BatchSize(MOST_AT_ONCE)

    def __contains__(self, saga_id: str) -> bool:
        return saga_id in self._waiting

    def add(self, saga_ids: Iterable[str]) -> None:
        """Give these sagas back soon."""
        self._waiting |= dict.fromkeys(saga_ids)
        self._wanted.set()

    def keep(self, saga_id: str) -> None:
        """Do not give this saga back, since it is driven here again."""
        self._waiting.pop(saga_id, None)

    async def run(self) -> None:
        """Give back sagas until cancelled; retry what failed."""
        backoff = Backoff(PAUSES)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                try:
                    async with self._turn:
                        await self._give_back_some()
                    backoff.reset()
                except Exception as problem:
                    if not backoff.has_begun:
                        level = logging.WARNING if isinstance(problem, StoreError) else logging.ERROR
                        number = len(self._waiting)
                        logger.log(level, "%d sagas could not be given back yet: %s", number, described(problem))
                    await asyncio.sleep(backoff.pause())

    async def _give_back_some(self) -> None:
        some = list(islice(self._waiting, self._size.now))
        if not some:
            return
        try:
            await self._blocking.write(self._store.release, self._lease.worker_id, some)
        except Exception:
            self._size.too_large(len(some))
            self._waiting |= {saga_id: self._waiting.pop(saga_id) for saga_id in some if saga_id in self._waiting}
            raise
        self._size.passed()
        for saga_id in some:
            self._waiting.pop(saga_id, None)
