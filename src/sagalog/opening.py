"""Lets a caller give up the opening of a store: code that waits inside checks here whether it should go on.

An opening runs in a thread of its own, and a thread cannot be stopped from outside.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from sagalog.errors import NotRunning

logger = logging.getLogger("sagalog.stores")

LOOK_AGAIN_SECONDS: Final = 0.1
FIRST_SAID_SECONDS: Final = 0.5
SAID_AGAIN_SECONDS: Final = 60.0

_given_up: ContextVar[Callable[[], bool] | None] = ContextVar("sagalog_opening_given_up", default=None)


@contextmanager
def unless(given_up: Callable[[], bool]) -> Generator[None]:
    """Let openings inside the block, in this thread, end soon after `given_up` returns true."""
    token = _given_up.set(given_up)
    try:
        yield
    finally:
        _given_up.reset(token)


def is_opening() -> bool:
    """Tell whether this thread is opening something that can be given up."""
    return _given_up.get() is not None


def is_given_up() -> bool:
    """Tell whether the opening in this thread was given up."""
    given_up = _given_up.get()
    return given_up is not None and given_up()


def check_wanted() -> None:
    """Raise `NotRunning` if the opening was given up."""
    if is_given_up():
        raise NotRunning("the opening was given up")


def look_again(seconds: float = LOOK_AGAIN_SECONDS) -> None:
    """Wait `seconds` before another try; raises `NotRunning` if the opening was given up."""
    check_wanted()
    time.sleep(seconds)
    check_wanted()


class Said:
    """Limits how often waiting is reported: soon, and then once a minute."""

    def __init__(self) -> None:
        self._next = time.monotonic() + FIRST_SAID_SECONDS

    def is_due(self) -> bool:
        """Tell whether it is time to report."""
        return time.monotonic() >= self._next

    def say(self, text: str, *values: object) -> None:
        """Log what is waited for."""
        self._next = time.monotonic() + SAID_AGAIN_SECONDS
        logger.warning(text, *values)
