"""What handlers are called with, those of steps and those of messages alike."""

from typing import Any

from msgspec import Struct

from sagalog.engine.calls.failures import Failures
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns

Services = dict[type, Any]


class CallResources(Struct, frozen=True, eq=False):
    """The services that handlers ask for, threads and tasks to run them in, and who judges what they raise."""

    services: Services
    turns: Turns
    failures: Failures
    own_tasks: OwnTasks
