"""Read models of your own: tables that follow the log, declared beside the sagas and rebuilt at any time."""

from sagalog.projections.as_type import as_type
from sagalog.projections.declare import Projection
from sagalog.projections.tables import Tables
from sagalog.saga.context import Trouble
from sagalog.saga.happenings import (
    ActionRefused,
    ActionTaken,
    ChildStarted,
    ChildUndoAsked,
    CommandSent,
    CompensationFailed,
    CompensationStarted,
    MessageReceived,
    SagaAbandoned,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaResumed,
    SagaStarted,
    SagaStuck,
    StartRefused,
    StepCompensated,
    StepFailed,
    StepFannedOut,
    StepSkipped,
    StepSucceeded,
    StepWaiting,
    UndoAsked,
)
from sagalog.saga.metadata import Metadata

__all__ = [
    "ActionRefused",
    "ActionTaken",
    "ChildStarted",
    "ChildUndoAsked",
    "CommandSent",
    "CompensationFailed",
    "CompensationStarted",
    "MessageReceived",
    "Metadata",
    "Projection",
    "SagaAbandoned",
    "SagaCompleted",
    "SagaFailed",
    "SagaHappening",
    "SagaResumed",
    "SagaStarted",
    "SagaStuck",
    "StartRefused",
    "StepCompensated",
    "StepFailed",
    "StepFannedOut",
    "StepSkipped",
    "StepSucceeded",
    "StepWaiting",
    "Tables",
    "Trouble",
    "UndoAsked",
    "as_type",
]
