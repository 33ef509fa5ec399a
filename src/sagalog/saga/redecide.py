"""Decides a recorded history again: would today's code write the same events? It changes and runs nothing."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from sagalog.errors import SagalogError
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions.redecide import act_of
from sagalog.saga.children.redecide import note_of
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.choreography.redecide import input_of as input_of_choreography
from sagalog.saga.decide import decide
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import evolve
from sagalog.saga.messages.redecide import message_of
from sagalog.saga.progress import QUESTIONS
from sagalog.saga.state import UNTOUCHED, SagaState, StepState


class Divergence(Struct, frozen=True):
    """The first event that would differ today: its version, what is recorded, and what would be (None: nothing).

    `problem` says why the history could not be read further, if so.
    """

    version: int
    recorded: e.SagaEvent
    decided: e.SagaEvent | None
    problem: str | None = None


def first_divergence(definition: Definition, events: Sequence[e.SagaEvent]) -> Divergence | None:
    """Decide again for each recorded input and return the first difference from the recorded events; None if none.

    The first event of a decision tells which input led to it; the other events of the decision must follow it.
    """
    state: SagaState | None = None
    position = 0
    while position < len(events):
        first = events[position]
        try:
            decided = decide(definition, state, input_of(definition, state, first), first.time)
        except (SagalogError, KeyError, TypeError) as problem:
            return Divergence(position + 1, first, None, f"{type(problem).__name__}: {problem}")
        if not decided:
            return Divergence(position + 1, first, None)
        for one in decided:
            if position >= len(events):
                # The history may end in the middle of a decision, if it was cut at a requested version.
                return None
            recorded = events[position]
            if _comparable(one, recorded) != recorded:
                return Divergence(position + 1, recorded, one)
            state = evolve(state, recorded)
            position += 1
    return None


def input_of(definition: Definition, state: SagaState | None, event: e.SagaEvent) -> i.Input:
    """Return the input that led to an event, which must be the first one of its decision.

    Raises `TypeError` for an event that only ever follows another one.
    """
    act = act_of(event)
    if act is not None:
        return act
    if state is not None and type(definition) is ChoreographyDefinition:
        return input_of_choreography(definition.contract, event)
    here = UNTOUCHED if state is None else state.steps.get(getattr(event, "step", ""), UNTOUCHED)
    message = note_of(event, here) or message_of(definition, event, here)
    if message is not None:
        return i.Receive(message)
    match event:
        case e.SagaStarted():
            return _start(event)
        case e.ChildStarted():
            return i.ChildBegun(event.step, here.action.round, event.child)
        case e.StepSucceeded() | e.StepFailed():
            return _of_doing(event, here)
        case e.StepCompensated() | e.CompensationFailed():
            return _of_undoing(event, here)
        case e.RequestSent():
            number = here.side(event.direction).round
            return i.RequestMade(
                event.step, event.direction, number, event.attempt, event.command_id, event.name, event.data
            )
        case e.SagaStuck():
            return i.Faulted(event.error)
        case e.StartRefused():
            return i.StartAgain(event.correlation_id, event.causation_id)
        case e.CompensationStarted(cause=cause) | e.SagaFailed(error=cause) if cause.kind == "deadline":
            return i.DeadlineReached()
        case _:
            name = type(event).__name__
            raise TypeError(f"{name} only follows another event of the same decision, and none is there")


def _start(event: e.SagaStarted) -> i.Start:
    return i.Start(
        event.key,
        event.input,
        event.run,
        event.correlation_id,
        event.causation_id,
        event.message,
        event.parent,
        event.parent_step,
        event.parent_round,
        event.called_off,
        event.attributes,
        event.attributes_error,
        event.fork,
    )


def _of_doing(event: e.StepSucceeded | e.StepFailed, here: StepState) -> i.Input:
    if here.action.waiting is not None:
        return i.TimerFired(event.step, "action", event.attempt, last=_was_last(event))
    if isinstance(event, e.StepSucceeded):
        return i.ActionSucceeded(event.step, event.attempt, event.began, event.result)
    return i.ActionFailed(event.step, event.attempt, event.began, event.error, last=_was_last(event))


def _of_undoing(event: e.StepCompensated | e.CompensationFailed, here: StepState) -> i.Input:
    if isinstance(event, e.StepCompensated):
        return i.UndoSucceeded(event.step, here.epoch, event.attempt, event.began)
    if here.undo.waiting is not None:
        return i.TimerFired(event.step, "compensation", event.attempt, last=_was_last(event))
    return i.UndoFailed(event.step, here.epoch, event.attempt, event.began, event.error, last=_was_last(event))


def _was_last(event: e.SagaEvent) -> bool | None:
    """Return whether an attempt was recorded as the last one, because the retry policy may have changed since."""
    return event.retry_at is None if isinstance(event, e.StepFailed | e.CompensationFailed) else None


def _comparable(decided: e.SagaEvent, recorded: e.SagaEvent) -> e.SagaEvent:
    """Return `decided` with the fields of `recorded` that may rightly differ.

    These are: a retry time, if both have one (its jitter was random); details in the reason of a stuck saga; how many
    elements run at once (it may be tuned); what is said of a refused action; digest, version, deadline and mark of the
    start (they belong to the definition, and only decisions are compared); and the texts of exceptions of user
    functions, which may hold a memory address or have been redacted. Attributes say nothing about the course, and their
    functions may have changed.
    """
    for brings in (e.StepSucceeded, e.EventReceived, e.ActionTaken):
        if isinstance(decided, brings) and isinstance(recorded, brings):
            return replace(decided, attributes=recorded.attributes, attributes_error=recorded.attributes_error)
    if isinstance(decided, e.SagaStarted) and isinstance(recorded, e.SagaStarted):
        return replace(
            decided,
            digest=recorded.digest,
            version=recorded.version,
            deadline=recorded.deadline,
            marked=recorded.marked,
        )
    if isinstance(decided, e.ActionRefused) and isinstance(recorded, e.ActionRefused):
        return replace(decided, why=recorded.why, allowed=recorded.allowed)
    if isinstance(decided, e.StepFannedOut) and isinstance(recorded, e.StepFannedOut):
        return replace(decided, at_once=recorded.at_once)
    if isinstance(decided, e.SagaStuck) and isinstance(recorded, e.SagaStuck):
        found, before = decided.error, recorded.error
        if _raised_in(found) is not None and _raised_in(found) == _raised_in(before):
            return replace(decided, reason=recorded.reason, error=before)
        # Reasons in older histories stop before the error that led to them.
        goes_on = decided.reason.startswith(f"{recorded.reason}: ")
        return replace(decided, reason=recorded.reason) if goes_on else decided
    for kind in (e.StepFailed, e.CompensationFailed):
        if (
            isinstance(decided, kind)
            and isinstance(recorded, kind)
            and None not in (decided.retry_at, recorded.retry_at)
        ):
            return replace(decided, retry_at=recorded.retry_at)
    return decided


def _raised_in(error: e.ErrorInfo | None) -> tuple[str, str, str | None] | None:
    """Return which user function raised what; None if the error came from elsewhere."""
    if error is None:
        return None
    where = next((one for one in QUESTIONS if error.message.startswith(one)), None)
    return None if where is None or error.kind != "fault" else (where, error.type, error.step)
