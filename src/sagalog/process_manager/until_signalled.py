"""Working until SIGTERM or SIGINT comes, from an orchestrator or from a person at the keyboard."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

from sagalog.errors import AlreadyRunning, NotRunning

logger = logging.getLogger("sagalog")


class UntilSignalled:
    """Does the work of `ProcessManager.run`: it waits for SIGTERM or SIGINT, one call at a time."""

    def __init__(self) -> None:
        self._waits = False

    async def run(self, opens: AbstractAsyncContextManager[object], is_open: bool) -> None:
        """Wait for the signal; if `opens` is not open yet, open it before and close it afterwards.

        Raises `AlreadyRunning` if a call is waiting already, and `NotRunning` outside of the main thread, which gets no
        signals.
        """
        if self._waits:
            raise AlreadyRunning("run() waits for a signal already; call it once")
        with first_signal() as stop:
            self._waits = True
            try:
                if is_open:
                    await stop.wait()
                else:
                    async with opened_unless(stop, opens):
                        await stop.wait()
            finally:
                self._waits = False


@asynccontextmanager
async def opened_unless(stop: asyncio.Event, opens: AbstractAsyncContextManager[object]) -> AsyncGenerator[bool]:
    """Keep `opens` open inside the block and yield True; yield False, with nothing open, if `stop` is set too early."""
    async with AsyncExitStack() as closing:
        scope = asyncio.timeout(None)
        heeding = asyncio.create_task(stop.wait())
        heeding.add_done_callback(partial(_end_unless_cancelled, scope))
        try:
            async with scope:
                await closing.enter_async_context(opens)
                # Cancelled inside the scope, because a scope that has ended can no longer be rescheduled.
                heeding.cancel()
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            heeding.cancel()
        yield not scope.expired()


def _end_unless_cancelled(scope: asyncio.Timeout, heeding: "asyncio.Task[Any]") -> None:
    if not heeding.cancelled():
        # The scope may just have ended by itself.
        with suppress(RuntimeError):
            scope.reschedule(0)


@contextmanager
def first_signal() -> Generator[asyncio.Event]:
    """Yield an event that SIGTERM or SIGINT sets; a second signal ends the process at once.

    Raises `NotRunning` outside of the main thread, because only that one gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NotRunning(
            "run() works until a signal comes, and signals come to the main thread only, found thread "
            f"{threading.current_thread().name}; call run() in the main thread, or use `async with manager:` here and "
            "end it by an event of your own"
        )
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stopped(number: signal.Signals) -> None:
        stop.set()
        for one in before:
            # The default actions, because Python's own handler of SIGINT would wait for saga handlers in threads.
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)
        logger.info("%s: no new sagas are claimed, running steps may end", number.name)

    try:
        for number in before:
            loop.add_signal_handler(number, stopped, number)
        yield stop
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)
