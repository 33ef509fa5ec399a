"""What the log of a saga holds: one frozen Struct for each fact, and no behaviour.

Times are integer microseconds since the epoch. Inputs and results stay the JSON text that was first written
(`msgspec.Raw`), so that reading never changes a fact. Fields are only ever added; any other change needs a new topic
and an upcaster (see `upcast`).
"""

from typing import ClassVar, Literal

from msgspec import Raw, Struct

from sagalog.saga.failure import LONGEST_TYPE, storable

Direction = Literal["action", "compensation"]
Answer = Literal["succeeded", "refused"]
ErrorKind = Literal[
    "refused", "error", "timeout", "lost", "fault", "deadline", "late", "parent", "cancelled", "abandoned"
]
Kind = Literal["saga", "choreography"]
FailedOutcome = Literal["refused", "unknown"]
Verb = Literal[
    "cancel", "retry", "resume", "skip", "resolve", "amend", "reschedule", "pause", "unpause", "undo", "abandon", "fork"
]
EMPTY = Raw(b"null")
AttributeData = str | int | float | bool | None  # None: the attribute is removed


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """What went wrong: the error's class name, its text, and the step it came from.

    `kind` is "refused" (definitely not done), "error", "timeout" and "lost" (nobody knows whether it was done),
    "fault" (a mistake in a program, which compensating would only multiply), the saga's own "deadline", a "late"
    success, "parent" (the saga that this one is a step of is rolled back), "cancelled", or "abandoned".
    """

    type: str
    message: str
    kind: ErrorKind = "error"
    step: str | None = None


class Adopted(Struct, frozen=True, omit_defaults=True, gc=False):
    """A step that a saga takes over from another one, done or skipped; or, with `elements`, a step that has parts."""

    step: str
    result: Raw = EMPTY
    skipped: bool = False
    elements: tuple[Raw, ...] = ()
    at_once: int = 1


class Fork(Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a saga goes on from: another saga as it stood before `step`, and the steps that it takes over."""

    saga_id: str
    step: str
    adopted: tuple[Adopted, ...] = ()


class SagaEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A fact in a saga's stream, and when it was recorded."""

    TOPIC: ClassVar[str]

    time: int


class SagaStarted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga exists. `digest` pins the definition that it runs with to its end.

    `message` is the event that started it, if any. `kind` is "saga" or "choreography", which is only followed.
    `parent` is the parent saga, `parent_step` the parent's step, and `parent_round` counts that step's earlier
    children. `called_off`: it was started only so that nobody else can start it.
    `fork` is set if it goes on from another saga.
    `marked`: some names of steps are marked in its identities (`effect_id`). `attributes` are those that its input
    brings; `attributes_error` is why a child has none, for nobody could be told at its start.
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
    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None
    fork: Fork | None = None


class StepSucceeded(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An action succeeded. `late`: the saga had given the step up before, so it will be undone.

    `waived`: a person let it count as succeeded, and it needs no undoing.
    `message` is the reply or the awaited event; its data are the result. `attributes` are those that the result brings,
    replaces, or removes (null); `attributes_error` is what went wrong when they were asked for.
    """

    TOPIC = "sagalog.StepSucceeded.1"

    step: str
    attempt: int = 1
    began: int
    result: Raw
    late: bool = False
    waived: bool = False
    message: str | None = None
    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None


class StepFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt failed; without `retry_at` it was the last one. `message` is the reply that refused, if any."""

    TOPIC = "sagalog.StepFailed.1"

    step: str
    attempt: int = 1
    began: int | None = None
    outcome: FailedOutcome
    error: ErrorInfo
    retry_at: int | None = None
    message: str | None = None


class StepSkipped(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The step's `when` returned false."""

    TOPIC = "sagalog.StepSkipped.1"

    step: str


class StepWaiting(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step waits for its event, or for time to pass; the wait ends at `until`."""

    TOPIC = "sagalog.StepWaiting.1"

    step: str
    until: int | None = None


class RequestSent(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A command is sent. This event is itself the message, so the command exists as soon as the saga has recorded it.

    The reply is awaited until `until`. The same `command_id` again means the same command, sent once more.
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
    """A message arrived that moves nothing now.

    `kept`: a later step waits for it, or a choreography is judged by it. `answer` is what it says of the command that
    caused it, if that command had already been answered or given up. `attributes` and `attributes_error` are those that
    an event of a choreography brings, as in `StepSucceeded`.
    """

    TOPIC = "sagalog.EventReceived.1"

    message: str
    name: str
    data: Raw
    causation_id: str | None = None
    kept: bool = False
    answer: Answer | None = None
    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None


class StepFannedOut(SagaEvent, frozen=True, kw_only=True):
    """The elements for which the step is made: one part each, at most `at_once` parts at a time."""

    TOPIC = "sagalog.StepFannedOut.1"

    step: str
    elements: tuple[Raw, ...]
    at_once: int = 1


class ChildStarted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The child saga of a step was found or started.

    `message` and `note`: the child's last note, if the child ended before this was recorded.
    """

    TOPIC = "sagalog.ChildStarted.1"

    step: str
    attempt: int = 1
    saga: str
    child: str
    message: str | None = None
    note: Raw = EMPTY


class ChildUndoSent(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The child of a step was asked to undo everything; this event is itself the note that asks."""

    TOPIC = "sagalog.ChildUndoSent.1"

    step: str
    saga: str
    child: str


class UndoAsked(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The parent saga is rolled back, so this one must be undone with it."""

    TOPIC = "sagalog.UndoAsked.1"

    message: str
    parent: str
    step: str


class CompensationStarted(SagaEvent, frozen=True, kw_only=True):
    """The saga is rolled back. `plan` lists what will be undone, in order; `waived` lists what needs no undoing."""

    TOPIC = "sagalog.CompensationStarted.1"

    cause: ErrorInfo
    plan: tuple[str, ...]
    waived: tuple[str, ...] = ()


class StepCompensated(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step is undone; `message` is the reply that says so, if a command had asked for it."""

    TOPIC = "sagalog.StepCompensated.1"

    step: str
    attempt: int = 1
    began: int
    message: str | None = None


class CompensationFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt to undo a step failed; without `retry_at` it was the last one. `message` is the refusing reply."""

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
    """The saga ended, and every step that may have had an effect is undone."""

    TOPIC = "sagalog.SagaFailed.1"

    error: ErrorInfo


class SagaStuck(SagaEvent, frozen=True, kw_only=True):
    """The saga cannot go on by itself. `pending` lists what is still to be undone, `actions` what a person may do."""

    TOPIC = "sagalog.SagaStuck.1"

    reason: str
    error: ErrorInfo
    pending: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("resume",)


class SagaResumed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A person let a stuck saga go on after repairing the cause, by the action `action_id`."""

    TOPIC = "sagalog.SagaResumed.1"

    actor: str
    reason: str
    action_id: str | None = None


class Action(SagaEvent, frozen=True, kw_only=True, gc=False):
    """What a person, or an event named `event`, asked of the saga; done twice with one `action_id`, it is done once.

    `step` and `direction` are what it is about. `value` is the given result, or the input. `waive`: a skipped step is
    not undone later. `happened` settles an outcome. `until` is the new time, of the step, or `of_deadline`.
    `fork` is the new saga's id.
    """

    action_id: str
    verb: Verb
    actor: str
    reason: str
    step: str | None = None
    direction: Direction | None = None
    value: Raw = EMPTY
    waive: bool = False
    happened: bool | None = None
    until: int | None = None
    of_deadline: bool = False
    event: str | None = None
    fork: str | None = None


class ActionTaken(Action, frozen=True, kw_only=True, gc=False):
    """An action was allowed. What follows from it stands behind it, in the events that tell of it in any saga.

    `attributes` and `attributes_error` are those that an amended value brings, as in `StepSucceeded`.
    """

    TOPIC = "sagalog.ActionTaken.1"

    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None


class ActionRefused(Action, frozen=True, kw_only=True, gc=False):
    """An action was refused and changed nothing: `why`, and the actions that would have been `allowed`."""

    TOPIC = "sagalog.ActionRefused.1"

    why: str
    allowed: tuple[str, ...] = ()


class SagaAbandoned(SagaEvent, frozen=True, kw_only=True):
    """A person ended the saga as it was. `left` are the steps whose effects stay, or may stay."""

    TOPIC = "sagalog.SagaAbandoned.1"

    actor: str
    reason: str
    error: ErrorInfo
    left: tuple[str, ...] = ()


class StartRefused(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A start with a used key made no second saga; `message` is the event that asked for the start, if any."""

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
    ActionTaken,
    ActionRefused,
    SagaAbandoned,
)


def error_from(kind: ErrorKind, type: str, message: str, step: str | None = None) -> ErrorInfo:
    """Build an `ErrorInfo` whose text any store can keep: no NUL, no lone surrogates, at most 4,000 characters."""
    return ErrorInfo(type=type[:LONGEST_TYPE], message=storable(message), kind=kind, step=step)
