"""How what a process manager has begun is ended, in full and once, whoever is cancelled meanwhile. It knows no part."""

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
    """How what was begun is ended: what was begun last, first. `last` is called when all is ended."""

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
        """Let this be called, and awaited if it can be, before all that was added until now."""
        self._calls.append(partial(call, *arguments))

    async def begin(self, opening: Coroutine[Any, Any, None]) -> None:
        """Await what begins, and end what it had begun by then if it raises."""
        try:
            await opening
        except GeneratorExit:
            # The loop was given up with all that is on it, so nothing can be waited for.
            raise
        except BaseException:
            await self.reach()
            raise

    async def reach(self) -> None:
        """End all; raises the first error, after everything else has been ended too.

        That goes on in a task of its own, also when whoever waits for it is cancelled. Whoever comes second waits for
        the same end.
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
        """Return what is left of so many seconds that began when the end did."""
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
        """End one thing, in a task of its own: whoever cancels every task must not leave it half ended."""
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
    """Wait for something to its end, whoever cancels whoever waits, and be it the end of the event loop."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,))
