"""Calling somebody's code such that futures and coroutines can pass on whatever it raises. It judges nothing."""

import threading
from collections.abc import Callable
from typing import Any

from sagalog.saga.failure import Carried, let_interrupts_through


def let_signals_through(problem: BaseException) -> None:
    """Raise a `KeyboardInterrupt` that a signal may have caused: the process is to end.

    Signals reach the main thread alone, so in any other it is what the code raised, like anything else.
    """
    if threading.current_thread() is threading.main_thread():
        let_interrupts_through(problem)


def carrying(call: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call somebody's function; what it raises that is no `Exception`, or a `StopIteration`, comes as `Carried`."""
    try:
        return call(*arguments)
    except StopIteration as problem:
        raise Carried(problem) from None
    except Exception:
        raise
    except BaseException as problem:
        let_signals_through(problem)
        raise Carried(problem) from None
