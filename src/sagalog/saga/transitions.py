"""Which event takes a saga from which status to which other one: the whole state machine as data.

The diagram in the docs is drawn from `TRANSITIONS`, and a property test holds decide and evolve to it.
"""

from typing import Final, Literal

Status = Literal["started", "pending", "compensating", "completed", "failed", "stuck"]

STATUSES: Final[tuple[Status, ...]] = (
    "started",
    "pending",
    "compensating",
    "completed",
    "failed",
    "stuck",
)
OPEN: Final[frozenset[Status]] = frozenset(("started", "pending", "compensating"))
FORWARD: Final[frozenset[Status]] = frozenset(("started", "pending"))
ENDED: Final[frozenset[Status]] = frozenset(("completed", "failed"))
# Statuses in which nothing goes on by itself: the saga has ended, or a person is needed.
AT_REST: Final[frozenset[Status]] = frozenset((*ENDED, "stuck"))

# (status before, event) -> possible statuses after. `None` before: the saga does not exist yet.
# There are several statuses after only where the state decides which; `evolve` chooses.
TRANSITIONS: Final[dict[tuple[Status | None, str], tuple[Status, ...]]] = {
    (None, "SagaStarted"): ("started",),
    ("started", "StepSucceeded"): ("pending",),
    ("started", "StepFailed"): ("pending",),
    ("started", "StepSkipped"): ("pending",),
    ("started", "StepWaiting"): ("pending",),
    ("started", "StepFannedOut"): ("pending",),
    ("started", "RequestSent"): ("pending",),
    ("started", "EventReceived"): ("started",),
    ("started", "StartRefused"): ("started",),
    ("started", "ChildStarted"): ("pending",),
    ("started", "UndoAsked"): ("started",),
    ("started", "SagaFailed"): ("failed",),
    ("started", "CompensationStarted"): ("compensating",),
    ("started", "SagaStuck"): ("stuck",),
    ("pending", "StepSucceeded"): ("pending",),
    ("pending", "StepFailed"): ("pending",),
    ("pending", "StepSkipped"): ("pending",),
    ("pending", "StepWaiting"): ("pending",),
    ("pending", "StepFannedOut"): ("pending",),
    ("pending", "RequestSent"): ("pending",),
    ("pending", "EventReceived"): ("pending",),
    ("pending", "StartRefused"): ("pending",),
    ("pending", "ChildStarted"): ("pending",),
    ("pending", "UndoAsked"): ("pending",),
    ("pending", "CompensationStarted"): ("compensating",),
    ("pending", "SagaCompleted"): ("completed",),
    ("pending", "SagaFailed"): ("failed",),
    ("pending", "SagaStuck"): ("stuck",),
    ("compensating", "StepSucceeded"): ("compensating",),
    ("compensating", "StepFailed"): ("compensating",),
    # A step that counted as refused succeeded after all: its undoing is planned, too.
    ("compensating", "CompensationStarted"): ("compensating",),
    ("compensating", "ChildStarted"): ("compensating",),
    ("compensating", "ChildUndoSent"): ("compensating",),
    ("compensating", "UndoAsked"): ("compensating",),
    ("compensating", "RequestSent"): ("compensating",),
    ("compensating", "EventReceived"): ("compensating",),
    ("compensating", "StartRefused"): ("compensating",),
    ("compensating", "StepCompensated"): ("compensating",),
    ("compensating", "CompensationFailed"): ("compensating",),
    ("compensating", "SagaFailed"): ("failed",),
    ("compensating", "SagaStuck"): ("stuck",),
    ("stuck", "StepSucceeded"): ("stuck",),
    ("stuck", "StepFailed"): ("stuck",),
    ("stuck", "ChildStarted"): ("stuck",),
    ("stuck", "UndoAsked"): ("stuck",),
    ("stuck", "EventReceived"): ("stuck",),
    ("stuck", "StartRefused"): ("stuck",),
    ("stuck", "StepCompensated"): ("stuck",),
    ("stuck", "CompensationFailed"): ("stuck",),
    ("stuck", "SagaResumed"): ("pending", "compensating"),
    # A success of a step that was given up arrives after all: it is recorded and undone.
    ("failed", "StepSucceeded"): ("failed",),
    ("failed", "CompensationStarted"): ("compensating",),
    ("failed", "UndoAsked"): ("failed",),
    ("failed", "EventReceived"): ("failed",),
    ("failed", "StartRefused"): ("failed",),
    # The parent saga is rolled back: this completed saga is undone.
    ("completed", "UndoAsked"): ("completed",),
    ("completed", "CompensationStarted"): ("compensating",),
    ("completed", "EventReceived"): ("completed",),
    ("completed", "StartRefused"): ("completed",),
}

# A choreography is judged by its events whenever they come, so an ended one may still change its status.
CHOREOGRAPHED: Final[dict[tuple[Status | None, str], tuple[Status, ...]]] = {
    (None, "SagaStarted"): ("started",),
    # The first event keeps the status of the start; the second one shows that the process goes on.
    ("started", "EventReceived"): ("started", "pending"),
    ("started", "StepSucceeded"): ("pending",),
    ("started", "SagaFailed"): ("failed",),
    ("started", "SagaStuck"): ("stuck",),
    ("pending", "EventReceived"): ("pending",),
    ("pending", "StepSucceeded"): ("pending",),
    ("pending", "StepCompensated"): ("pending",),
    ("pending", "CompensationStarted"): ("compensating",),
    ("pending", "SagaCompleted"): ("completed",),
    ("pending", "SagaFailed"): ("failed",),
    ("pending", "SagaStuck"): ("stuck",),
    ("compensating", "EventReceived"): ("compensating",),
    ("compensating", "StepSucceeded"): ("compensating",),
    ("compensating", "StepCompensated"): ("compensating",),
    ("compensating", "CompensationStarted"): ("compensating",),
    ("compensating", "SagaFailed"): ("failed",),
    ("compensating", "SagaStuck"): ("stuck",),
    ("stuck", "EventReceived"): ("stuck",),
    ("stuck", "StepSucceeded"): ("stuck",),
    ("stuck", "StepCompensated"): ("stuck",),
    # The event whose absence made it stuck.
    ("stuck", "SagaResumed"): ("pending", "compensating"),
    ("stuck", "SagaCompleted"): ("completed",),
    ("stuck", "SagaFailed"): ("failed",),
    ("stuck", "SagaStuck"): ("stuck",),
    ("failed", "EventReceived"): ("failed",),
    ("failed", "StepSucceeded"): ("failed",),
    ("failed", "StepCompensated"): ("failed",),
    ("failed", "CompensationStarted"): ("compensating",),
    ("failed", "SagaFailed"): ("failed",),
    ("failed", "SagaCompleted"): ("completed",),
    ("failed", "SagaStuck"): ("stuck",),
    ("completed", "EventReceived"): ("completed",),
    ("completed", "StepSucceeded"): ("completed",),
    ("completed", "StepCompensated"): ("completed",),
    ("completed", "SagaStuck"): ("stuck",),
}
