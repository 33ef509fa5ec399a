"""Leases that are over though the time in them is not: of workers that died while their clocks were ahead.

A live worker renews its lease three times in each length, and each renewal changes the time in it. So a lease that has
not changed for longer than its length is over, by the time of our event loop, which nobody can set. The unchanged time
is counted from the answer to the first look to the question of the last one, whatever happened to us in between.
"""

import asyncio
import logging
from collections.abc import Callable

from sagalog.engine.surroundings import Surroundings
from sagalog.saga.failure import described
from sagalog.store import HeldLease

logger = logging.getLogger("sagalog.engine")

# After this many missed looks the watch starts again: other workers may have been stopped together with us.
MISSED = 3


class LeaseWatch:
    """Watches all leases, and ends those that nobody renews; `own` returns the name of ours."""

    def __init__(self, surroundings: Surroundings, own: Callable[[], str]) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._own = own
        self._pause = surroundings.limits.lease / 3e6
        self._looked = 0.0
        self._next = 0.0
        # The last lease seen of each worker, and since when it has not changed.
        self._seen: dict[str, tuple[HeldLease, float]] = {}

    async def look(self) -> None:
        """Look at the leases, if it is time to; errors of the store are logged, not raised."""
        time = asyncio.get_running_loop().time
        asked = time()
        if asked < self._next:
            return
        self._next = asked + self._pause
        try:
            leases = await self._blocking.read(self._store.leases)
            over = self._over(leases, asked, time())
            for lease in over:
                logger.warning(
                    "worker %s has not renewed its lease for %g s, though it ends later: its clock was ahead; its "
                    "sagas go on elsewhere",
                    lease.worker_id,
                    (lease.length or 0) / 1e6,
                )
                await self._blocking.write(self._store.end_lease, lease)
        except Exception as problem:
            # `TakingOver` reports what is wrong with the store.
            logger.debug("the leases could not be looked at: %s", described(problem))

    def _over(self, leases: list[HeldLease], asked: float, answered: float) -> list[HeldLease]:
        """Return the leases that have not changed for longer than their length, and remember all leases."""
        if asked - self._looked > (MISSED + 1) * self._pause:
            self._seen.clear()
        self._looked = asked
        before, self._seen = self._seen, {}
        over: list[HeldLease] = []
        for lease in leases:
            known, since = before.get(lease.worker_id, (None, answered))
            self._seen[lease.worker_id] = (lease, since if known == lease else answered)
            # `WorkerLease` judges our own lease. Leases begun by older versions have no known length.
            if known != lease or lease.length is None or lease.worker_id == self._own():
                continue
            if asked - since > lease.length / 1e6:
                over.append(lease)
        return over
