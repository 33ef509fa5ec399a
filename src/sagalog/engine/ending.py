"""Which tasks the engine itself told to end, and what may end a loop of the engine, and what must not.

Anybody's code runs in some of the tasks: it may raise anything, and a cancellation may be anybody's doing.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

# Who goes on although it was told to end is told again after so many seconds.
TELL_AGAIN = 10.0

# When each was told last, by the time of its event loop.
_told: WeakKeyDictionary[asyncio.Future[Any], float] = WeakKeyDictionary()


def end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task of the engine, and keep in mind that it was the engine that did."""
    _told[task] = task.get_loop().time()
    task.cancel()


def end_patiently(task: "asyncio.Future[Any]") -> None:
    """Tell a task to end, unless it was told so just now: what a handler does then may take its time."""
    if task not in _told or task.get_loop().time() >= _told[task] + TELL_AGAIN:
        end(task)


async def end_all(tasks: "Iterable[asyncio.Future[Any]]") -> None:
    """End tasks, and wait until each has: what a handler does when it is cancelled takes its time.

    Nobody else may begin the same meanwhile; so whoever waits is kept here, also if told once more to end.
    """
    running: set[asyncio.Future[Any]] = {task for task in tasks if not task.done()}
    for task in running:
        end(task)
    while running:
        try:
            _, running = await asyncio.wait(running)
        except asyncio.CancelledError:
            running = {task for task in running if not task.done()}


def is_told_to_end() -> bool:
    """Tell whether the engine told the current task to end."""
    return asyncio.current_task() in _told


def is_cancelled_by_others() -> bool:
    """Tell whether the current task was cancelled by code that is not ours, such as a handler that cancels them all."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and task not in _told


def raise_if_ending(problem: BaseException) -> None:
    """Raise `problem` again if the current task is cancelled, or a person interrupts; everything else is survived.

    A cancellation that somebody's code raised by itself is a failure like others.
    """
    task = asyncio.current_task()
    if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
        raise problem
    if isinstance(problem, KeyboardInterrupt):
        raise problem
