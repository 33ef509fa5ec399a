"""What calls of handlers need, those of steps and those of messages."""

from typing import Any

from msgspec import Struct

from sagalog.engine.calls.failures import Failures
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns

Services = dict[type, Any]


class CallResources(Struct, frozen=True, eq=False):
    """The services that handlers ask for, the threads and tasks that run them, and how their exceptions are judged."""

    services: Services
    turns: Turns
    failures: Failures
    own_tasks: OwnTasks
