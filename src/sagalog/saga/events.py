"""What the log of a saga holds: one frozen Struct for each fact, and no behaviour.

Times are integer microseconds since the epoch. Inputs and results are JSON as it was first written (`msgspec.Raw`),
so that a fact is never changed by being read. Fields are only ever added; anything else gets a new topic and an
upcaster (see `upcast`).
"""

from typing import ClassVar, Literal

from msgspec import Raw, Struct

from sagalog.saga.failure import LONGEST_TYPE, storable

Direction = Literal["action", "compensation"]
Answer = Literal["succeeded", "refused"]
ErrorKind = Literal["refused", "error", "timeout", "lost", "fault", "deadline", "late", "parent"]
Kind = Literal["saga", "choreography"]
FailedOutcome = Literal["refused", "unknown"]
EMPTY = Raw(b"null")


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """What went wrong: the error's class name, its text, and the step it came from.

    `kind` is "refused" (definitely not done), "error", "timeout" and "lost" (nobody knows whether it was done),
    "fault" (a mistake in a program, which compensating would only multiply), the saga's own "deadline", a "late"
    success, or "parent": the saga that this one is a step of is rolled back.
    """

    type: str
    message: str
    kind: ErrorKind = "error"
    step: str | None = None


class SagaEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A fact in a saga's stream, and when it was recorded."""

    TOPIC: ClassVar[str]

    time: int


class SagaStarted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga exists. `digest` pins the definition it will be run with to its end.

    `message` is the event that started it, if one did. `kind` says whether it is run or a choreography, which is only
    followed. `parent` is the saga of which it is step `parent_step`, after `parent_round` others. It is `called_off` if
    it was only started so that nobody else can start it, and
    `marked` if some names of steps are marked in its identities (`effect_id`).
    """

    TOPIC = "sagalog.SagaStarted.1"

    saga: str
    version: int
    digest: str
    input: Raw
    key: str
    run: int = 1
    correlation_id: str
    causation_id: str | None = None
    deadline: int | None = None
    message: str | None = None
    kind: Kind = "saga"
    parent: str | None = None
    parent_step: str | None = None
    parent_round: int = 0
    called_off: bool = False
    marked: bool = False


class StepSucceeded(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An action did what it should. If it is `late`, the saga had given it up, and it will be undone.

    `message` is the reply, or the event that was waited for, whose data are the result.
    """

    TOPIC = "sagalog.StepSucceeded.1"

    step: str
    attempt: int = 1
    began: int
    result: Raw
    late: bool = False
    message: str | None = None


class StepFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt ended without success; without `retry_at` it was the last one. `message` is the reply that refused."""

    TOPIC = "sagalog.StepFailed.1"

    step: str
    attempt: int = 1
    began: int | None = None
    outcome: FailedOutcome
    error: ErrorInfo
    retry_at: int | None = None
    message: str | None = None


class StepSkipped(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The step's `when` was false."""

    TOPIC = "sagalog.StepSkipped.1"

    step: str


class StepWaiting(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step waits for its event, or for time to pass; `until` is when that is over."""

    TOPIC = "sagalog.StepWaiting.1"

    step: str
    until: int | None = None


class RequestSent(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A command is sent: this event is the message, so the command is there when the saga knows of it, and not before.

    The reply is waited for `until` then. The same `command_id` again is the same command, sent once more.
    """

    TOPIC = "sagalog.RequestSent.1"

    step: str
    direction: Direction = "action"
    attempt: int = 1
    command_id: str
    name: str
    data: Raw
    until: int


class EventReceived(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A message came that moves nothing now.

    `kept`: a step that is still to come waits for it, or a choreography is judged by it. `answer` is what it says of
    the command that caused it, which had been answered or given up already.
    """

    TOPIC = "sagalog.EventReceived.1"

    message: str
    name: str
    data: Raw
    causation_id: str | None = None
    kept: bool = False
    answer: Answer | None = None


class StepFannedOut(SagaEvent, frozen=True, kw_only=True):
    """The elements for which the step is made: one part each, at most `at_once` of them at a time."""

    TOPIC = "sagalog.StepFannedOut.1"

    step: str
    elements: tuple[Raw, ...]
    at_once: int = 1


class ChildStarted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step is another saga, and this is which one.

    `message` and `note`: what it said when it ended, if that came first.
    """

    TOPIC = "sagalog.ChildStarted.1"

    step: str
    attempt: int = 1
    saga: str
    child: str
    message: str | None = None
    note: Raw = EMPTY


class ChildUndoSent(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga that a step is was asked to undo everything; this event is the note that asks."""

    TOPIC = "sagalog.ChildUndoSent.1"

    step: str
    saga: str
    child: str


class UndoAsked(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga of which this one is a step is rolled back, and this one has to be undone with it."""

    TOPIC = "sagalog.UndoAsked.1"

    message: str
    parent: str
    step: str


class CompensationStarted(SagaEvent, frozen=True, kw_only=True):
    """The saga is rolled back. `plan` is what will be undone, first one first; `waived` is what needs no undoing."""

    TOPIC = "sagalog.CompensationStarted.1"

    cause: ErrorInfo
    plan: tuple[str, ...]
    waived: tuple[str, ...] = ()


class StepCompensated(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step is undone; `message` is the reply that says so, if it was asked for by a command."""

    TOPIC = "sagalog.StepCompensated.1"

    step: str
    attempt: int = 1
    began: int
    message: str | None = None


class CompensationFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt to undo a step failed; without `retry_at` it was the last one. `message` is the reply that refused."""

    TOPIC = "sagalog.CompensationFailed.1"

    step: str
    attempt: int = 1
    began: int | None = None
    error: ErrorInfo
    retry_at: int | None = None
    message: str | None = None


class SagaCompleted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """Every step succeeded or was skipped."""

    TOPIC = "sagalog.SagaCompleted.1"


class SagaFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga ended and every step that may have had an effect is undone."""

    TOPIC = "sagalog.SagaFailed.1"

    error: ErrorInfo


class SagaStuck(SagaEvent, frozen=True, kw_only=True):
    """Neither way goes on by itself. `pending` is what is still to be undone, `actions` what a person may do."""

    TOPIC = "sagalog.SagaStuck.1"

    reason: str
    error: ErrorInfo
    pending: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("resume",)


class SagaResumed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A person let a stuck saga go on, after mending what was wrong."""

    TOPIC = "sagalog.SagaResumed.1"

    actor: str
    reason: str


class StartRefused(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A start with a key that has been used came again and made no second saga; `message` was to start it, if any."""

    TOPIC = "sagalog.StartRefused.1"

    correlation_id: str
    causation_id: str | None = None
    message: str | None = None


EVENTS: tuple[type[SagaEvent], ...] = (
    SagaStarted,
    StepSucceeded,
    StepFailed,
    StepSkipped,
    StepWaiting,
    RequestSent,
    EventReceived,
    StepFannedOut,
    ChildStarted,
    ChildUndoSent,
    UndoAsked,
    CompensationStarted,
    StepCompensated,
    CompensationFailed,
    SagaCompleted,
    SagaFailed,
    SagaStuck,
    SagaResumed,
    StartRefused,
)


def error_from(kind: ErrorKind, type: str, message: str, step: str | None = None) -> ErrorInfo:
    """Build an `ErrorInfo` whose text any store can keep: no NUL, no lone surrogates, at most 4,000 characters."""
    return ErrorInfo(type=type[:LONGEST_TYPE], message=storable(message), kind=kind, step=step)
