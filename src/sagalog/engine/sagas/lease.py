"""The lease of this process's worker: begun, renewed, lost and begun anew under another name. It owns no saga.

Others judge the lease by the time that is written in the store and by their clocks. We judge it by the safer of two: by
our clock, which runs on while the machine sleeps, and by the time of the event loop since it was renewed, which nobody
can set. A clock that is set back makes us hold nothing for longer than we asked for.
"""

import asyncio
import logging
import os
import socket

from sagalog.clock import new_id
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import StoreError
from sagalog.harmless import harmless
from sagalog.store import Lease

logger = logging.getLogger("sagalog.engine")

LONGEST_HOST = 255


class WorkerLease:
    """One worker's lease, as long as the limits say, and who the worker is now."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._length = surroundings.limits.lease
        self._until = 0
        self._loop = asyncio.get_running_loop()
        # When it ends by the time of the event loop.
        self._ends = 0.0
        # When it is renewed next, by the time of the event loop.
        self._renew_at = 0.0
        self._news = asyncio.Event()
        self._ended = False
        self.worker_id = ""

    @property
    def holds(self) -> bool:
        """Tell whether the lease has not run out, by this machine's clock and by the time that has passed."""
        return self._clock.now() < self._until and self._loop.time() < self._ends

    def held_by(self, worker_id: str) -> bool:
        """Tell whether the lease is `worker_id`'s and holds; any thread may ask."""
        return worker_id == self.worker_id and self.holds

    async def begin(self) -> None:
        """Lease under a new name."""
        now, ends = self._clock.now(), self._loop.time() + self._length / 1e6
        # A name of a machine is whatever bytes somebody gave it.
        host = harmless(socket.gethostname(), LONGEST_HOST)
        lease = Lease(new_id(self._clock), host, os.getpid(), now, now + self._length)
        await self._blocking.renew(self._store.register, lease)
        # Only now: nothing may be owned by a worker that has no lease, for nobody would ever take it over.
        self.worker_id = lease.worker_id
        self._holds_until(lease.lease_until, ends)

    async def keep(self) -> None:
        """Renew for ever, three times in each length."""
        while True:
            await asyncio.sleep(max(0.0, self._renew_at - self._loop.time()))
            self._renew_at = self._loop.time() + self._length / 3e6
            try:
                await self._renew()
            except StoreError as problem:
                logger.warning("the lease could not be renewed: %s", problem)
                await self._begin_anew()
            except Exception:
                # Whatever it is, a later attempt may succeed while the lease still holds.
                logger.exception("the lease could not be renewed")

    def renew_soon(self) -> None:
        """Renew now: whoever cancels what keeps the lease must not keep it from being renewed in time."""
        self._renew_at = 0.0

    async def _renew(self) -> None:
        # Before it is asked for: the answer may take its time.
        until, ends = self._clock.now() + self._length, self._loop.time() + self._length / 1e6
        if until == self._until:
            # A renewal that changes nothing would not be seen: the clock may have been set back by just so much.
            until += 1
        if await self._blocking.renew(self._store.renew, self.worker_id, until):
            self._holds_until(until, ends)
            return
        logger.error("the lease of worker %s was taken away; its sagas go on elsewhere", self.worker_id)
        await self.begin()

    def _holds_until(self, until: int, ends: float) -> None:
        self._until, self._ends = until, ends
        self._renew_at = self._loop.time() + self._length / 3e6
        self._news.set()

    async def _begin_anew(self) -> None:
        """Lease under another name once the lease has run out: it may be its row alone that cannot be written.

        What is owned under the old name goes on wherever it is taken over, as when the lease was taken away.
        """
        if self.holds:
            return
        lost = self.worker_id
        try:
            await self.begin()
        except StoreError:
            # The store takes nothing, then; so the lease may still be there when it is back.
            return
        logger.error("the lease of worker %s ran out and cannot be renewed; its sagas go on elsewhere", lost)

    async def wait(self, worker_id: str) -> bool:
        """Wait until the lease holds; False if it is not `worker_id`'s any more, or has been ended."""
        while worker_id == self.worker_id and not self._ended:
            if self.holds:
                return True
            self._news.clear()
            await self._news.wait()
        return False

    def end(self) -> None:
        """Let nobody wait for the lease any longer; the store is told by whoever gives the sagas back."""
        self._ended = True
        self._news.set()
