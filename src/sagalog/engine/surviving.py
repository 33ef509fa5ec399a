"""What may end a loop of the engine, and what must not: anybody's code runs in some of them, and may raise anything."""

import asyncio


def raise_if_ending(problem: BaseException) -> None:
    """Raise `problem` again if it is our own cancellation, or a person's interrupt; everything else is to be survived.

    A cancellation that somebody's code raised by itself is a failure like others.
    """
    task = asyncio.current_task()
    if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
        raise problem
    if isinstance(problem, KeyboardInterrupt):
        raise problem
