"""Telling a cancellation by the engine from one by other code, and ending tasks of the engine.

Users' code runs in some of these tasks. It may raise anything and cancel any task; that must not end the engine.
"""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

# A task that goes on after a cancellation is cancelled again after this many seconds.
TELL_AGAIN = 10.0

# When the engine last cancelled each task, by the time of its event loop.
_told: WeakKeyDictionary[asyncio.Future[Any], float] = WeakKeyDictionary()


def end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task of the engine, and note that the engine did."""
    _told[task] = task.get_loop().time()
    task.cancel()


def end_patiently(task: "asyncio.Future[Any]") -> None:
    """Cancel a task, unless that was done just now: a handler that is cancelled may need time to clean up."""
    if task not in _told or task.get_loop().time() >= _told[task] + TELL_AGAIN:
        end(task)


def is_told_to_end() -> bool:
    """Tell whether the engine has cancelled the current task."""
    return asyncio.current_task() in _told


def is_cancelled_by_others() -> bool:
    """Tell whether other code than the engine cancelled the current task, such as a handler that cancels all tasks."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and task not in _told


def raise_if_ending(problem: BaseException) -> None:
    """Raise `problem` again if the engine cancelled the current task, or a person interrupts; else return.

    A `CancelledError` that users' code raised by itself is a failure like any other.
    """
    task = asyncio.current_task()
    if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
        raise problem
    if isinstance(problem, KeyboardInterrupt):
        raise problem
