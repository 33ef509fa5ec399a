"""Telling what rests that the store takes writes again after trouble, so that nobody rests for what is over.

It finds out nothing itself: whoever has written something after trouble says so. Where that happens all the time, since
it is of some rows only, it is passed on less and less often: a rest is there to spare the others.
"""

import asyncio
import logging
from collections.abc import Callable

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.errors import StoreFull, StoreReadOnly

logger = logging.getLogger("sagalog.engine")

# Between two times that it is passed on.
PAUSES = Pauses(1.0, 60.0)
# After so long without trouble it is passed on at once again.
CALM = 2 * PAUSES.longest


def is_of_the_store(problem: BaseException) -> bool:
    """Tell whether an error is of the whole store as a rule, and over for everybody at once."""
    return isinstance(problem, StoreFull | StoreReadOnly)


class Recovery:
    """Those who are to be called soon after the store has been written again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[], None]] = []
        self._backoff = Backoff(PAUSES)
        self._told_at = -CALM
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, listener: Callable[[], None]) -> None:
        """Let something be called from now on."""
        self._listeners.append(listener)

    def recovered(self) -> None:
        """Say that something has been written after trouble."""
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
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._listeners.clear()
