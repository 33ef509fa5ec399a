"""Waiting for a signal that ends the process, as an orchestrator or a person at the keyboard sends it."""

import asyncio
import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from sagalog.errors import NotRunning

logger = logging.getLogger("sagalog")


@contextmanager
def first_signal() -> Generator[asyncio.Event]:
    """Give an event that SIGTERM or SIGINT sets; a second signal ends the process at once.

    Raises `NotRunning` where no signal ever comes.
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
            # Whichever comes next. Python's own answer to SIGINT would wait for the handlers that run in threads.
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
