"""Tasks of the engine that restart: one that was cancelled by other code, or failed, is begun anew."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sagalog.engine.ending import end

logger = logging.getLogger("sagalog.engine")

# Seconds before a restart. Code that keeps cancelling all tasks must not keep the event loop busy, and an event loop
# that is about to be closed is left alone.
PAUSE = 0.05
# Seconds before a restart after an unexpected failure, which may come again at once.
PAUSE_AFTER_FAILURE = 1.0


class Loop:
    """Something that runs until it returns, or for ever, in a task called `name`.

    `before_again` is called before each restart; the outcome of what it was doing is then unknown.
    """

    def __init__(
        self, run: Callable[[], Coroutine[Any, Any, None]], name: str, before_again: Callable[[], None] = lambda: None
    ) -> None:
        self._run = run
        self._name = name
        self._before_again = before_again
        self._ended = False
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        # Done when there will be no restart; the task alone cannot show that.
        self._over: asyncio.Future[None] = self._loop.create_future()
        self.task = self._begin()

    def _begin(self) -> asyncio.Task[None]:
        task = self._loop.create_task(self._run(), name=self._name)
        task.add_done_callback(self._has_ended)
        return task

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        problem = None if task.cancelled() else task.exception()
        if self._ended or not (task.cancelled() or problem):
            self._is_over()
        elif problem is None:
            self._again = self._loop.call_later(PAUSE, self._begin_again)
            logger.error("%s was cancelled by code that is not sagalog's, and is begun anew", self._name)
        else:
            self._again = self._loop.call_later(PAUSE_AFTER_FAILURE, self._begin_again)
            logger.error("%s failed, and is begun anew", self._name, exc_info=problem)

    def _is_over(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _begin_again(self) -> None:
        self._before_again()
        self.task = self._begin()

    def end(self) -> None:
        """Cancel it, and restart it no more."""
        self._ended = True
        if self._again is not None:
            self._again.cancel()
        if self.task.done():
            self._is_over()
        end(self.task)

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.end()
        await asyncio.gather(self.task, return_exceptions=True)

    async def ended(self) -> None:
        """Wait until it has returned, also after restarts; a cancellation of the caller takes effect only then."""
        cancelled: asyncio.CancelledError | None = None
        while not self._over.done():
            try:
                await asyncio.wait((self._over,))
            except asyncio.CancelledError as problem:
                cancelled = problem
        if cancelled is not None:
            raise cancelled
