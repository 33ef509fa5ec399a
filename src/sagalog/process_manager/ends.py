"""Stops what a process manager has started: completely and once, even if tasks are cancelled meanwhile."""

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

# Code that cancels every task also cancels a call that stops something here. That call is made again after a pause.
PAUSE = 0.05
# A limit, in case that code never ceases to cancel.
MOST_TIMES = 1000


class Ends:
    """The calls that stop what was started, made in reverse order; `last` is called when all others are done."""

    def __init__(self, last: Callable[[], None]) -> None:
        self._calls: list[Callable[[], Any]] = [last]
        self._loop = asyncio.get_running_loop()
        self._ending: Loop | None = None
        self._since = 0.0
        self._reached: asyncio.Future[None] = self._loop.create_future()
        # How many callers wait for the end, and the first error, which each of them raises.
        self._waiters = 0
        self._problem: BaseException | None = None

    def add(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Add a call that stops something; it is made before those added earlier, and awaited if awaitable."""
        self._calls.append(partial(call, *arguments))

    async def begin(self, opening: Coroutine[Any, Any, None]) -> None:
        """Await `opening`; if it raises, stop what it has started by then."""
        try:
            await opening
        except GeneratorExit:
            # The event loop was abandoned, so nothing can be awaited.
            raise
        except BaseException:
            await self.reach()
            raise

    async def reach(self) -> None:
        """Stop everything; raises the first error, after all calls were made.

        The work is done in a task of its own, which goes on if a caller is cancelled. Later callers wait for the same
        task.
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
        """Return how much is left of `seconds`, counted from when stopping began; 0 if it is over."""
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
        """Make one call in a task of its own, again if that task is cancelled by foreign code.

        Raises `TimeoutError` after too many cancellations.
        """
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
    """Wait until the future is done, even if the waiting task is cancelled, as it is when the event loop ends."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,))
