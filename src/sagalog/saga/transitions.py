"""Which event takes a saga from which status to which other one: the whole state machine as data.

The diagram in the docs is drawn from `TRANSITIONS`, and a property test holds decide and evolve to it.
"""

from typing import Final, Literal

Status = Literal["started", "pending", "compensating", "completed", "failed", "stuck", "abandoned"]

STATUSES: Final[tuple[Status, ...]] = (
    "started",
    "pending",
    "compensating",
    "completed",
    "failed",
    "stuck",
    "abandoned",
)
OPEN: Final[frozenset[Status]] = frozenset(("started", "pending", "compensating"))
FORWARD: Final[frozenset[Status]] = frozenset(("started", "pending"))
ENDED: Final[frozenset[Status]] = frozenset(("completed", "failed", "abandoned"))
# Statuses in which nothing goes on by itself: the saga has ended, or a person is needed.
AT_REST: Final[frozenset[Status]] = frozenset((*ENDED, "stuck"))

# What a person does is recorded in any status, and changes none by itself; what follows from it does.
_ACTIONS: Final[dict[tuple[Status | None, str], tuple[Status, ...]]] = {
    **{(status, "ActionRefused"): (status,) for status in STATUSES},
    **{(status, "ActionTaken"): (status,) for status in STATUSES if status not in ENDED},
    **{(status, "SagaAbandoned"): ("abandoned",) for status in STATUSES if status not in ENDED},
}

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
    # It is undone, or another saga goes on from it.
    ("completed", "ActionTaken"): ("completed",),
    ("failed", "ActionTaken"): ("failed",),
    ("abandoned", "ActionTaken"): ("abandoned",),
    ("completed", "CompensationStarted"): ("compensating",),
    ("completed", "EventReceived"): ("completed",),
    ("completed", "StartRefused"): ("completed",),
    # A person ended it as it was; what still comes is only recorded.
    ("abandoned", "StepSucceeded"): ("abandoned",),
    ("abandoned", "StepCompensated"): ("abandoned",),
    ("abandoned", "EventReceived"): ("abandoned",),
    ("abandoned", "StartRefused"): ("abandoned",),
    # A step that had been given up was skipped or settled by a person, or the whole saga cancelled.
    ("stuck", "StepSkipped"): ("stuck",),
    ("stuck", "CompensationStarted"): ("compensating",),
    **_ACTIONS,
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
    ("abandoned", "EventReceived"): ("abandoned",),
    ("abandoned", "StepSucceeded"): ("abandoned",),
    **_ACTIONS,
}
