"""The public names: `from sagalog import Saga, Retry, StepContext, Refused`; importing it loads no I/O.

Each name is loaded when it is first used. So the command line, whose help needs none of them, starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagalog.errors import Refused, SagalogError
    from sagalog.messages import Command, Event
    from sagalog.saga.children.notes import ChildResult
    from sagalog.saga.choreography.declare import Choreography
    from sagalog.saga.context import StepContext
    from sagalog.saga.declare import Saga
    from sagalog.saga.messages.handlers import MessageContext
    from sagalog.saga.messages.participants import Participant
    from sagalog.saga.retry import Retry

__all__ = [
    "ChildResult",
    "Choreography",
    "Command",
    "Event",
    "MessageContext",
    "Participant",
    "Refused",
    "Retry",
    "Saga",
    "SagalogError",
    "StepContext",
]
__version__ = "0.1.0"

_HOMES = {
    "Choreography": "sagalog.saga.choreography.declare",
    "ChildResult": "sagalog.saga.children.notes",
    "Command": "sagalog.messages",
    "Event": "sagalog.messages",
    "MessageContext": "sagalog.saga.messages.handlers",
    "Participant": "sagalog.saga.messages.participants",
    "Refused": "sagalog.errors",
    "Retry": "sagalog.saga.retry",
    "Saga": "sagalog.saga.declare",
    "SagalogError": "sagalog.errors",
    "StepContext": "sagalog.saga.context",
}


def __getattr__(name: str) -> object:
    """Return a public name from the module that defines it; raises `AttributeError` for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sagalog' has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
