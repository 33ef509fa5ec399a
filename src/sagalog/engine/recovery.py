"""Ending pauses early once the store takes writes again after trouble, or once a dead worker's lease was ended.

It detects nothing itself: it is called by code that has written something after a failure. That may happen all the
time, if only some rows are in trouble. Then pauses are ended early less and less often, since they spare the others.
"""

import asyncio
import logging
from collections.abc import Callable

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.errors import StoreFull, StoreReadOnly

logger = logging.getLogger("sagalog.engine")

# Pauses between two calls of the callbacks.
PAUSES = Pauses(1.0, 60.0)
# Seconds without trouble after which the callbacks are called at once again.
CALM = 2 * PAUSES.longest


def is_of_the_store(problem: BaseException) -> bool:
    """Tell whether such an error is usually one of the whole store, which ends for all writes at once."""
    return isinstance(problem, StoreFull | StoreReadOnly)


class Recovery:
    """Callbacks that are called soon after the store has been written again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[], None]] = []
        self._takers: list[Callable[[], None]] = []
        self._backoff = Backoff(PAUSES)
        self._told_at = -CALM
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, listener: Callable[[], None]) -> None:
        """Add a callback."""
        self._listeners.append(listener)

    def add_taker(self, taker: Callable[[], None]) -> None:
        """Add a callback for when a dead worker's lease was ended: what it owned can be taken."""
        self._takers.append(taker)

    def freed(self) -> None:
        """Report that the lease of a dead worker was ended."""
        for taker in self._takers:
            taker()

    def recovered(self) -> None:
        """Report that something was written after trouble."""
        if self._timer is not None:
            return
        now = self._loop.time()
        if now - self._told_at > CALM:
            self._backoff.reset()
            self._next = now
        if now >= self._next:
            self._tell()
        else:
            self._timer = self._loop.call_at(self._next, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = self._loop.time()
        self._next = self._told_at + self._backoff.pause()
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """Make no calls any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._listeners.clear()
        self._takers.clear()
