"""Ending what a process manager has begun: completely and once, whatever is cancelled meanwhile. It knows no part."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from sagalog.engine.loops import Loop
from sagalog.saga.failure import described

logger = logging.getLogger("sagalog.engine")

# Whoever cancels every task cancels also what ends something here: that is ended anew, after so many seconds. The bound
# is for those who would go on cancelling for ever.
PAUSE = 0.05
MOST_TIMES = 1000


class Ends:
    """The ends of all that was begun, called in reverse order. `last` is called when all has ended."""

    def __init__(self, last: Callable[[], None]) -> None:
        self._calls: list[Callable[[], Any]] = [last]
        self._loop = asyncio.get_running_loop()
        self._ending: Loop | None = None
        self._since = 0.0
        self._reached: asyncio.Future[None] = self._loop.create_future()
        # How many wait for the end, and the first error, of which they are told.
        self._waiters = 0
        self._problem: BaseException | None = None

    def add(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Add an end, which is called, and awaited if it is awaitable, before those added earlier."""
        self._calls.append(partial(call, *arguments))

    async def begin(self, opening: Coroutine[Any, Any, None]) -> None:
        """Await a beginning; if it raises, end what it had begun by then."""
        try:
            await opening
        except GeneratorExit:
            # The loop was given up with all that is on it, so nothing can be waited for.
            raise
        except BaseException:
            await self.reach()
            raise

    async def reach(self) -> None:
        """End all; raise the first error after everything else has been ended, too.

        It runs in a task of its own, which goes on if the caller is cancelled. A second caller waits for the same task.
        """
        if self._reached.done():
            return
        if self._ending is None:
            self._since = self._loop.time()
            self._ending = Loop(self._reach, "sagalog-close")
        self._waiters += 1
        try:
            await asyncio.wait((self._reached,))
        finally:
            self._waiters -= 1
        if self._problem is not None:
            raise self._problem

    def left(self, seconds: float) -> float:
        """Return how many of so many seconds are left, counted from when the ending began."""
        return max(0.0, self._since + seconds - self._loop.time())

    async def _reach(self) -> None:
        while self._calls:
            try:
                await self._end(self._calls.pop())
            except GeneratorExit:
                raise
            except BaseException as problem:
                self._problem = self._problem or problem
        if self._problem is not None and not self._waiters:
            text = "the process manager was closed, and not without trouble: %s"
            logger.error(text, described(self._problem), exc_info=self._problem)
        self._reached.set_result(None)

    async def _end(self, call: Callable[[], Any]) -> None:
        """Call one end in a task of its own, so that code that cancels all tasks does not leave it half done."""
        for _ in range(MOST_TIMES):
            task = asyncio.create_task(_called(call))
            await _is_over(task)
            if not task.cancelled() or not task.cancelling():
                task.result()
                return
            await _is_over(asyncio.ensure_future(asyncio.sleep(PAUSE)))
        raise TimeoutError(f"{call!r} was cancelled {MOST_TIMES} times by code that is not sagalog's, and is given up")


async def _called(call: Callable[[], Any]) -> None:
    ending = call()
    if inspect.isawaitable(ending):
        await ending


async def _is_over(future: "asyncio.Future[Any]") -> None:
    """Wait until a task has ended, ignoring cancellations of the caller, even by the end of the event loop."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,))
