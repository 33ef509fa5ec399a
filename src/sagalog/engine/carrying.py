"""Calls of users' code. What no future or coroutine can pass on, such as `StopIteration`, is wrapped as `Carried`."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from sagalog.saga.failure import Carried, is_a, let_interrupts_through


def let_signals_through(problem: BaseException) -> None:
    """Raise a `KeyboardInterrupt` that a signal may have caused, so that the process ends.

    Signals are only handled in the main thread. In any other thread the code itself raised it, like any exception.
    """
    if threading.current_thread() is threading.main_thread():
        let_interrupts_through(problem)


def carried(problem: BaseException) -> BaseException:
    """Return what users' code has raised, as a `Carried` if it is a `StopIteration` or no `Exception`.

    A `CancelledError` is returned as it is.
    """
    if is_a(problem, (Exception, asyncio.CancelledError)) and not is_a(problem, StopIteration):
        return problem
    let_signals_through(problem)
    return Carried(problem)


def carrying(call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    """Call a user's function; raise `Carried` in place of a `StopIteration` and of what is no `Exception`."""
    try:
        return call(*arguments, **named)
    except StopIteration as problem:
        raise Carried(problem) from None
    except Exception:
        raise
    except BaseException as problem:
        let_signals_through(problem)
        raise Carried(problem) from None
