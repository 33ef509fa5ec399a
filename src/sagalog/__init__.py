"""What a saga is declared with: `from sagalog import Saga, Retry, StepContext, Refused`; importing it loads no I/O."""

from sagalog.errors import Refused, SagalogError
from sagalog.messages import Command, Event
from sagalog.saga.context import StepContext
from sagalog.saga.declare import Saga
from sagalog.saga.retry import Retry

__all__ = ["Command", "Event", "Refused", "Retry", "Saga", "SagalogError", "StepContext"]
__version__ = "0.1.0"
