"""What the log of a saga holds: one frozen Struct for each fact, and no behaviour.

Times are integer microseconds since the epoch. Inputs and results are JSON as it was first written (`msgspec.Raw`),
so that a fact is never changed by being read. Fields are only ever added; anything else gets a new topic and an
upcaster (see `upcast`).
"""

from typing import ClassVar, Literal

from msgspec import Raw, Struct

ErrorKind = Literal["refused", "error", "timeout", "lost", "fault", "deadline", "late"]
FailedOutcome = Literal["refused", "unknown"]


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """Say what went wrong: the error's class name, its text, and the step it came from.

    `kind` is "refused" (definitely not done), "error", "timeout" and "lost" (nobody knows whether it was done),
    "fault" (a mistake in a program, which compensating would only multiply), or the saga's own "deadline".
    """

    type: str
    message: str
    kind: ErrorKind = "error"
    step: str | None = None


class SagaEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Be the base of every fact in a saga's stream."""

    TOPIC: ClassVar[str]

    time: int


class SagaStarted(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The saga exists. `digest` pins the definition it will be run with to its end."""

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


class StepSucceeded(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An action did what it should. `late`: the saga had given it up, so it will be undone."""

    TOPIC = "sagalog.StepSucceeded.1"

    step: str
    attempt: int = 1
    began: int
    result: Raw
    late: bool = False


class StepFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt ended without success; without `retry_at` it was the last one."""

    TOPIC = "sagalog.StepFailed.1"

    step: str
    attempt: int = 1
    began: int | None = None
    outcome: FailedOutcome
    error: ErrorInfo
    retry_at: int | None = None


class StepSkipped(SagaEvent, frozen=True, kw_only=True, gc=False):
    """The step's `when` was false."""

    TOPIC = "sagalog.StepSkipped.1"

    step: str


class CompensationStarted(SagaEvent, frozen=True, kw_only=True):
    """The saga is rolled back. `plan` is what will be undone, first one first; `waived` is what needs no undoing."""

    TOPIC = "sagalog.CompensationStarted.1"

    cause: ErrorInfo
    plan: tuple[str, ...]
    waived: tuple[str, ...] = ()


class StepCompensated(SagaEvent, frozen=True, kw_only=True, gc=False):
    """A step is undone."""

    TOPIC = "sagalog.StepCompensated.1"

    step: str
    attempt: int = 1
    began: int


class CompensationFailed(SagaEvent, frozen=True, kw_only=True, gc=False):
    """An attempt to undo a step failed; without `retry_at` it was the last one."""

    TOPIC = "sagalog.CompensationFailed.1"

    step: str
    attempt: int = 1
    began: int | None = None
    error: ErrorInfo
    retry_at: int | None = None


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
    """A start with the key of a saga that has ended came again and made no second one."""

    TOPIC = "sagalog.StartRefused.1"

    correlation_id: str
    causation_id: str | None = None


EVENTS: tuple[type[SagaEvent], ...] = (
    SagaStarted,
    StepSucceeded,
    StepFailed,
    StepSkipped,
    CompensationStarted,
    StepCompensated,
    CompensationFailed,
    SagaCompleted,
    SagaFailed,
    SagaStuck,
    SagaResumed,
    StartRefused,
)

EMPTY = Raw(b"null")


def error_from(kind: ErrorKind, type: str, message: str, step: str | None = None) -> ErrorInfo:
    """Build an `ErrorInfo` whose text any store can keep: no NUL, no lone surrogates, at most 4,000 characters."""
    text = message.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return ErrorInfo(type=type[:200], message=text[:4000], kind=kind, step=step)
