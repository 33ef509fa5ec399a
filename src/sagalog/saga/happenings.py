"""What happens to a saga, as projections and participants are told of it: the public words, apart from the log's own.

Fields are only ever added. Times are integer microseconds since the epoch. Data (`input`, `result`, ...) are what JSON
gives in Python; `as_type` reads them as the type that they were declared with. `attributes` are those that the saga is
found by, as the event brings them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import fields

from sagalog.saga import events as e
from sagalog.saga.context import Trouble
from sagalog.saga.events import Verb
from sagalog.saga.identifiers import part_of


class SagaHappening(Struct, frozen=True, kw_only=True, gc=False):
    """The base of all that happens to sagas; a handler for it is called for everything."""


class SagaStarted(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A saga was started, of the version `version` of its definition; `forked_from` is one from which it goes on."""

    input: Any
    version: int
    deadline_at: int | None
    parent: str | None
    parent_step: str | None
    forked_from: str | None
    attributes: Mapping[str, Any]


class StepSucceeded(SagaHappening, frozen=True, kw_only=True, gc=False):
    """An action succeeded. `late`: the saga had given the step up before, so that it will be undone.

    `waived`: a person let it count as succeeded, and it is not undone later.
    """

    step: str
    result: Any
    attempt: int
    began_at: int
    late: bool
    waived: bool
    attributes: Mapping[str, Any]


class StepFailed(SagaHappening, frozen=True, kw_only=True, gc=False):
    """An attempt of an action failed; without `retry_at` it was the last one.

    `outcome` is "refused" (definitely not done) or "unknown".
    """

    step: str
    outcome: Literal["refused", "unknown"]
    error: Trouble
    attempt: int
    began_at: int | None
    retry_at: int | None


class StepSkipped(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The step's condition was false."""

    step: str


class StepWaiting(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A step waits for its event or for time to pass, until `until` at most."""

    step: str
    until: int | None


class StepFannedOut(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The elements that a step is made for are known; each has a part of its own, such as `ship_line[0]`."""

    step: str
    elements: list[Any]


class CommandSent(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A command was sent, to do a step or to undo it; the answer is awaited until `until`."""

    step: str
    direction: Literal["action", "compensation"]
    command_id: str
    name: str
    data: Any
    attempt: int
    until: int


class MessageReceived(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A message came that ends no step now: it is kept for later, or it came too late."""

    message_id: str
    name: str
    data: Any
    kept: bool
    attributes: Mapping[str, Any]


class ChildStarted(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The saga of a step was started or found; `child` is its id, `saga` its name."""

    step: str
    saga: str
    child: str


class ChildUndoAsked(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The saga of a step was asked to undo all that it did."""

    step: str
    saga: str
    child: str


class UndoAsked(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The parent saga `parent` is rolled back, and this one with it."""

    parent: str
    step: str


class CompensationStarted(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The saga is rolled back because of `cause`; `plan` is what will be undone, `waived` what needs no undoing."""

    cause: Trouble
    plan: tuple[str, ...]
    waived: tuple[str, ...]


class StepCompensated(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A step was undone."""

    step: str
    attempt: int
    began_at: int


class CompensationFailed(SagaHappening, frozen=True, kw_only=True, gc=False):
    """An attempt to undo a step failed; without `retry_at` it was the last one."""

    step: str
    error: Trouble
    attempt: int
    began_at: int | None
    retry_at: int | None


class SagaCompleted(SagaHappening, frozen=True, kw_only=True, gc=False):
    """Every step succeeded or was skipped; the saga has ended."""


class SagaFailed(SagaHappening, frozen=True, kw_only=True, gc=False):
    """Every step that may have had an effect is undone; the saga has ended."""

    error: Trouble


class SagaStuck(SagaHappening, frozen=True, kw_only=True, gc=False):
    """The saga waits for a person: `pending` is what is still to be undone, `actions` what may be done."""

    reason: str
    error: Trouble
    pending: tuple[str, ...]
    actions: tuple[str, ...]


class SagaResumed(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A person let a stuck saga go on; `action_id` is that of the action that asked."""

    actor: str
    reason: str
    action_id: str | None


class ActionAsked(SagaHappening, frozen=True, kw_only=True, gc=False):
    """What a person, or the event named `event`, asked of the saga; the base of what became of it.

    What it says besides depends on its `verb`: `value` is the result or the input that was given, `happened` how an
    outcome was settled, `waive` that a skipped step is not undone later, `until` a time that was moved (of the step, or
    `of_deadline`), `fork` the id of the new saga.
    """

    action_id: str
    verb: Verb
    actor: str
    reason: str
    step: str | None
    direction: Literal["action", "compensation"] | None
    value: Any
    waive: bool
    happened: bool | None
    until: int | None
    of_deadline: bool
    event: str | None
    fork: str | None


class ActionTaken(ActionAsked, frozen=True, kw_only=True, gc=False):
    """It was done, and what follows from it is told after it. `attributes` are those that an amended value brings."""

    attributes: Mapping[str, Any]


class ActionRefused(ActionAsked, frozen=True, kw_only=True, gc=False):
    """It was refused and changed nothing: `why`, and what would be `allowed`."""

    why: str
    allowed: tuple[str, ...]


class SagaAbandoned(SagaHappening, frozen=True, kw_only=True, gc=False):
    """A person ended the saga as it was; `left` are the steps whose effects stay, or may stay."""

    actor: str
    reason: str
    error: Trouble
    left: tuple[str, ...]


class StartRefused(SagaHappening, frozen=True, kw_only=True, gc=False):
    """Somebody else asked for a saga with the same key; there is only one. `message_id` is the event that asked."""

    correlation_id: str
    causation_id: str | None
    message_id: str | None


def _trouble(error: e.ErrorInfo) -> Trouble:
    return Trouble(error.type, error.message, error.kind, error.step)


def _asked(one: e.Action) -> dict[str, Any]:
    """Return what an action says, in the words that a refused one has, too."""
    said = {name: getattr(one, name) for name in _ASKED}
    return {**said, "value": _plain(one.value)}


_ASKED = tuple(field.name for field in fields(e.Action) if field.name != "time")
_plain: Callable[[Raw], Any] = msgspec.json.decode

# How each fact of the log is told. A fact that is missing here fails `tests/unit/projections/test_saga_events.py`.
TOLD: dict[type[e.SagaEvent], tuple[type[SagaHappening], Callable[[Any], SagaHappening]]] = {
    e.SagaStarted: (
        SagaStarted,
        lambda one: SagaStarted(
            input=_plain(one.input),
            version=one.version,
            deadline_at=one.deadline,
            parent=one.parent,
            parent_step=one.parent_step,
            forked_from=None if one.fork is None else one.fork.saga_id,
            attributes=one.attributes,
        ),
    ),
    e.StepSucceeded: (
        StepSucceeded,
        lambda one: StepSucceeded(
            step=one.step,
            result=_plain(one.result),
            attempt=one.attempt,
            began_at=one.began,
            late=one.late,
            waived=one.waived,
            attributes=one.attributes,
        ),
    ),
    e.StepFailed: (
        StepFailed,
        lambda one: StepFailed(
            step=one.step,
            outcome=one.outcome,
            error=_trouble(one.error),
            attempt=one.attempt,
            began_at=one.began,
            retry_at=one.retry_at,
        ),
    ),
    e.StepSkipped: (StepSkipped, lambda one: StepSkipped(step=one.step)),
    e.StepWaiting: (StepWaiting, lambda one: StepWaiting(step=one.step, until=one.until)),
    e.StepFannedOut: (
        StepFannedOut,
        lambda one: StepFannedOut(step=one.step, elements=[_plain(element) for element in one.elements]),
    ),
    e.RequestSent: (
        CommandSent,
        lambda one: CommandSent(
            step=one.step,
            direction=one.direction,
            command_id=one.command_id,
            name=one.name,
            data=_plain(one.data),
            attempt=one.attempt,
            until=one.until,
        ),
    ),
    e.EventReceived: (
        MessageReceived,
        lambda one: MessageReceived(
            message_id=one.message, name=one.name, data=_plain(one.data), kept=one.kept, attributes=one.attributes
        ),
    ),
    e.ChildStarted: (ChildStarted, lambda one: ChildStarted(step=one.step, saga=one.saga, child=one.child)),
    e.ChildUndoSent: (ChildUndoAsked, lambda one: ChildUndoAsked(step=one.step, saga=one.saga, child=one.child)),
    e.UndoAsked: (UndoAsked, lambda one: UndoAsked(parent=one.parent, step=one.step)),
    e.CompensationStarted: (
        CompensationStarted,
        lambda one: CompensationStarted(cause=_trouble(one.cause), plan=one.plan, waived=one.waived),
    ),
    e.StepCompensated: (
        StepCompensated,
        lambda one: StepCompensated(step=one.step, attempt=one.attempt, began_at=one.began),
    ),
    e.CompensationFailed: (
        CompensationFailed,
        lambda one: CompensationFailed(
            step=one.step,
            error=_trouble(one.error),
            attempt=one.attempt,
            began_at=one.began,
            retry_at=one.retry_at,
        ),
    ),
    e.SagaCompleted: (SagaCompleted, lambda _: SagaCompleted()),
    e.SagaFailed: (SagaFailed, lambda one: SagaFailed(error=_trouble(one.error))),
    e.SagaStuck: (
        SagaStuck,
        lambda one: SagaStuck(reason=one.reason, error=_trouble(one.error), pending=one.pending, actions=one.actions),
    ),
    e.SagaResumed: (SagaResumed, lambda one: SagaResumed(actor=one.actor, reason=one.reason, action_id=one.action_id)),
    e.StartRefused: (
        StartRefused,
        lambda one: StartRefused(
            correlation_id=one.correlation_id, causation_id=one.causation_id, message_id=one.message
        ),
    ),
    e.ActionTaken: (ActionTaken, lambda one: ActionTaken(**_asked(one), attributes=one.attributes)),
    e.ActionRefused: (ActionRefused, lambda one: ActionRefused(**_asked(one), why=one.why, allowed=one.allowed)),
    e.SagaAbandoned: (
        SagaAbandoned,
        lambda one: SagaAbandoned(actor=one.actor, reason=one.reason, error=_trouble(one.error), left=one.left),
    ),
}
HAPPENINGS: tuple[type[SagaHappening], ...] = tuple(kind for kind, _ in TOLD.values())


def is_of_step(found: str | None, step: str) -> bool:
    """Tell whether what happened to `found` happened to this step, or to a part of it such as `ship_line[0]`."""
    part = None if found is None else part_of(found)
    return found == step or (part is not None and part[0] == step)
