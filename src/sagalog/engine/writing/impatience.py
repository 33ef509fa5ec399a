"""Callers with a limited time to wait for a write: they get an error in time that its outcome is unknown."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from sagalog.errors import BatchTooLarge, StoreUnavailable

Awaited = asyncio.Future[Any]


class Impatience:
    """Futures that get the store's error after `seconds`, while the write itself goes on.

    `problem_of` returns the error that keeps a write from being written, if there was one.
    """

    def __init__(self, seconds: float, problem_of: Callable[[object], Exception | None]) -> None:
        self._seconds = seconds
        self._problem_of = problem_of
        self._loop = asyncio.get_running_loop()
        # Until when each future waits, the future, and the write that it waits for.
        self._waiting: deque[tuple[float, Awaited, object]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: Awaited, write: object) -> None:
        """Limit the wait for this future, which stands for a write."""
        self._waiting.append((self._loop.time() + self._seconds, future, write))

    def look(self) -> None:
        """End the waits that took too long; there is one timer for all."""
        now = self._loop.time()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _, future, write = self._waiting.popleft()
            if not future.done():
                problem = self._problem_of(write)
                # After a refusal the outcome is unknown, too: the next try may be accepted.
                kind = type(problem) if isinstance(problem, StoreUnavailable) else StoreUnavailable
                # The size of a batch does not concern a caller with a single write.
                kind = StoreUnavailable if issubclass(kind, BatchTooLarge) else kind
                future.set_exception(
                    kind(
                        f"nobody knows yet whether this was written, after {self._seconds:g} s "
                        f"({problem or 'the store is slow'}); trying again with the same key is safe"
                    )
                )
        self._timer = self._loop.call_later(min(1.0, self._seconds / 4), self.look)

    def end(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()
