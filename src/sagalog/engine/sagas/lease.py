"""The lease of this process's worker: begun, renewed, lost and begun anew under another name. It owns no saga.

Others judge the lease by the time written in the store and by their clocks. We take the safer of two measures: our
clock, which runs on while the machine sleeps, and the time of the event loop since the renewal, which nobody can set.
So a clock that is set back does not let us hold the lease for longer than we asked for.

The store may show others a sign of life. If it is lost, the worker begins nothing until it has another one, under the
same name if nobody has taken its lease away.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from sagalog.clock import new_id
from sagalog.engine.sagas.life_watch import this_host
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import StoreError
from sagalog.saga.failure import described
from sagalog.store import Lease

logger = logging.getLogger("sagalog.engine")

# How often in a row a lost sign of life is asked for.
TRIES = 2


class WorkerLease:
    """The lease of one worker, and the present name of the worker.

    `has_news` is called when the lease is renewed or ended, with whether it was begun anew under another name.
    """

    def __init__(self, surroundings: Surroundings, has_news: Callable[[bool], None] = lambda _: None) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._length = surroundings.limits.lease
        self._poll = surroundings.limits.poll / 1e6
        self._until = 0
        self._loop = asyncio.get_running_loop()
        # When it ends by the time of the event loop.
        self._ends = 0.0
        # When it is renewed next, by the time of the event loop.
        self._renew_at = 0.0
        self._has_news = has_news
        self._news = asyncio.Event()
        self._ended = False
        self._is_silent = False
        self.worker_id = ""
        # Since when, by the time of the event loop, others see that we live, but for what they did not see at all.
        self.shown_since = 0.0

    @property
    def holds(self) -> bool:
        """Tell whether the lease has not run out, and the sign of life is not lost."""
        return self._has_time and self._store.shows_life(self.worker_id)

    @property
    def _has_time(self) -> bool:
        """Tell whether the lease has not run out, by the wall clock and by the event loop's time."""
        return self._clock.now() < self._until and self._loop.time() < self._ends

    def held_by(self, worker_id: str) -> bool:
        """Tell whether `worker_id` has the lease and it holds; callable from any thread."""
        # Asked before each attempt, so without the properties that say the same.
        return (
            worker_id == self.worker_id
            and self._clock.now() < self._until
            and self._loop.time() < self._ends
            and self._store.shows_life(worker_id)
        )

    async def begin(self) -> None:
        """Begin a lease under a new name."""
        now, ends = self._clock.now(), self._loop.time() + self._length / 1e6
        lease = Lease(new_id(self._clock), this_host(), os.getpid(), now, now + self._length)
        await self._blocking.renew(self._store.register, lease)
        # Set after the write: sagas of a worker without a lease would never be taken over.
        before, self.worker_id = self.worker_id, lease.worker_id
        self._holds_until(lease.lease_until, ends, is_anew=before != "")
        if before:
            await self._blocking.renew(self._store.end_sign, before)

    async def keep(self) -> None:
        """Renew the lease three times in each length, and at once if the sign of life is lost, until cancelled."""
        while True:
            pause = self._renew_at - self._loop.time()
            await asyncio.sleep(max(0.0, min(pause, self._poll)))
            if self._loop.time() < self._renew_at:
                await self._show_life_again()
                continue
            self._renew_at = self._loop.time() + self._length / 3e6
            try:
                await self._renew()
            except StoreError as problem:
                logger.warning("the lease could not be renewed: %s", problem)
                await self._begin_anew()
            except Exception:
                # After any error a later attempt may succeed while the lease still holds.
                logger.exception("the lease could not be renewed")

    async def _show_life_again(self) -> None:
        """Show others a new sign of life if it is lost, before they take the lease away; called at each poll."""
        if not self._has_time or self._store.shows_life(self.worker_id):
            self._is_silent = False
            return
        if not self._is_silent:
            self._is_silent = True
            text = "worker %s has lost its sign of life, and begins nothing until it has another one"
            logger.info(text, self.worker_id)
        for _ in range(TRIES):
            try:
                await self._renew()
                self.shown_since = self._loop.time()
                return
            except Exception as problem:
                # What cut off the sign has often cut off the connection that renews, which is then replaced.
                logger.debug("no sign of life yet: %s", described(problem))

    def renew_soon(self) -> None:
        """Renew now; called when other code cancelled the renewal, so that the lease is renewed in time."""
        self._renew_at = 0.0

    async def _renew(self) -> None:
        # Computed before the write, since its answer may take time.
        until, ends = self._clock.now() + self._length, self._loop.time() + self._length / 1e6
        if until == self._until:
            # Other workers see a renewal only if the time changes; a clock that was set back may give the same time.
            until += 1
        if await self._blocking.renew(self._store.renew, self.worker_id, until):
            self._holds_until(until, ends)
            return
        logger.error("the lease of worker %s was taken away; its sagas go on elsewhere", self.worker_id)
        await self.begin()

    def _holds_until(self, until: int, ends: float, is_anew: bool = False) -> None:
        self._until, self._ends = until, ends
        self._renew_at = self._loop.time() + self._length / 3e6
        self._news.set()
        self._has_news(is_anew)

    async def _begin_anew(self) -> None:
        """Lease under another name once the lease has run out, since only its row may be in trouble.

        Sagas owned under the old name are taken over, as after the loss of a lease.
        """
        if self.holds:
            return
        lost = self.worker_id
        try:
            await self.begin()
        except StoreError:
            # The store takes no writes, so the old lease may still be there when it does.
            return
        logger.error("the lease of worker %s ran out and cannot be renewed; its sagas go on elsewhere", lost)

    async def wait(self, worker_id: str) -> bool:
        """Wait until the lease holds; return False if `worker_id` does not have it any more, or it was ended."""
        while worker_id == self.worker_id and not self._ended:
            if self.holds:
                return True
            self._news.clear()
            await self._news.wait()
        return False

    def end(self) -> None:
        """End all waits for the lease; the store learns of its end when the sagas are given back."""
        self._ended = True
        self._news.set()
        self._has_news(False)
