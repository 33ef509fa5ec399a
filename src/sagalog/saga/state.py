"""What a saga is after some of its events: values that `evolve` makes and everything else only reads.

They hold nothing but values and so make no circles: the garbage collector need not look at them.
"""

from typing import Literal

from msgspec import Raw, Struct

from sagalog.saga.events import ErrorInfo
from sagalog.saga.transitions import Status

# The action of a step. Absent: not begun, or its first attempt is under way (which the event before it implies).
ActionStatus = Literal["open", "retrying", "succeeded", "refused", "unknown", "skipped"]
# The compensation of a step. "none": not asked for (yet). "skipped": planned, then the action turned out refused.
UndoStatus = Literal["none", "pending", "retrying", "compensated", "failed", "waived", "skipped"]


class StepState(Struct, frozen=True, omit_defaults=True, gc=False):
    """One step: how its action went and, once the saga is rolled back, how its compensation goes.

    `forgiven` and `undo_forgiven` are the attempts that a resume took out of the retry budgets. `epoch` counts the
    times the step had to be undone: a success that arrives after an empty compensation asks for one more.
    """

    action: ActionStatus = "open"
    attempts: int = 0
    began: int | None = None
    ended: int | None = None
    result: Raw | None = None
    error: ErrorInfo | None = None
    retry_at: int | None = None
    forgiven: int = 0
    late: bool = False
    undo: UndoStatus = "none"
    undo_attempts: int = 0
    undo_began: int | None = None
    undo_ended: int | None = None
    undo_error: ErrorInfo | None = None
    undo_retry_at: int | None = None
    undo_forgiven: int = 0
    epoch: int = 0


class SagaState(Struct, frozen=True, omit_defaults=True, gc=False):
    """One saga after `version` events. `cause` is why it was rolled back and stays to the end of its history."""

    saga: str
    definition_version: int
    digest: str
    key: str
    run: int
    input: Raw
    correlation_id: str
    causation_id: str | None
    started: int
    deadline: int | None
    status: Status
    version: int
    updated: int
    steps: dict[str, StepState]
    settled: int = 0
    rolling_back: bool = False
    plan: tuple[str, ...] = ()
    cause: ErrorInfo | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    pending: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    ended: int | None = None
    refused_starts: int = 0


UNTOUCHED = StepState()
