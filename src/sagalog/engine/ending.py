"""Which tasks the engine itself told to end: what a task says of its cancellation may be anybody's doing."""

import asyncio
from typing import Any
from weakref import WeakSet

_told: WeakSet[asyncio.Future[Any]] = WeakSet()


def end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task of the engine, and keep in mind that it was the engine that did."""
    _told.add(task)
    task.cancel()


def is_told_to_end() -> bool:
    """Tell whether the engine told the current task to end."""
    return asyncio.current_task() in _told


def is_cancelled_by_others() -> bool:
    """Tell whether the current task was cancelled by code that is not ours, such as a handler that cancels them all."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and task not in _told
