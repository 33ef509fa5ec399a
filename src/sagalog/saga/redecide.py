"""Deciding a recorded history again: does today's code still say what was written? It changes and runs nothing."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from sagalog.errors import SagalogError
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.decide import decide
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import evolve
from sagalog.saga.state import UNTOUCHED, SagaState


class Divergence(Struct, frozen=True):
    """The first event that would not be written today: its version, what is recorded, what would be (None: nothing).

    `problem` says why the history could not be read on from there, if it could not.
    """

    version: int
    recorded: e.SagaEvent
    decided: e.SagaEvent | None
    problem: str | None = None


def first_divergence(definition: Definition, events: Sequence[e.SagaEvent]) -> Divergence | None:
    """Decide again on each recorded input and return the first difference from the recorded events; None if none.

    An input is told by the first event that it led to; what it led to besides must follow it in the history.
    """
    state: SagaState | None = None
    position = 0
    while position < len(events):
        first = events[position]
        try:
            decided = decide(definition, state, input_of(state, first), first.time)
        except (SagalogError, KeyError, TypeError) as problem:
            return Divergence(position + 1, first, None, f"{type(problem).__name__}: {problem}")
        if not decided:
            return Divergence(position + 1, first, None)
        for one in decided:
            if position >= len(events):
                # The history may have been cut off in the middle of one decision, at a version somebody asked for.
                return None
            recorded = events[position]
            if _comparable(one, recorded) != recorded:
                return Divergence(position + 1, recorded, one)
            state = evolve(state, recorded)
            position += 1
    return None


def input_of(state: SagaState | None, event: e.SagaEvent) -> i.Input:
    """Return the input that led to an event which stands first in its decision.

    Raises `TypeError` for an event that only ever follows another one.
    """
    match event:
        case e.SagaStarted():
            return i.Start(event.key, event.input, event.run, event.correlation_id, event.causation_id)
        case e.StepSucceeded():
            return i.ActionSucceeded(event.step, event.attempt, event.began, event.result)
        case e.StepFailed():
            return i.ActionFailed(event.step, event.attempt, event.began, event.error)
        case e.StepCompensated():
            return i.UndoSucceeded(event.step, _epoch(state, event.step), event.attempt, event.began)
        case e.CompensationFailed():
            return i.UndoFailed(event.step, _epoch(state, event.step), event.attempt, event.began, event.error)
        case e.SagaResumed():
            return i.Resume(event.actor, event.reason)
        case e.StartRefused():
            return i.StartAgain(event.correlation_id, event.causation_id)
        case e.CompensationStarted(cause=cause) | e.SagaFailed(error=cause) if cause.kind == "deadline":
            return i.DeadlineReached()
        case _:
            name = type(event).__name__
            raise TypeError(f"{name} only follows another event of the same decision, and none is there")


def _epoch(state: SagaState | None, step: str) -> int:
    return 0 if state is None else state.steps.get(step, UNTOUCHED).epoch


def _comparable(decided: e.SagaEvent, recorded: e.SagaEvent) -> e.SagaEvent:
    """Return `decided` with what may rightly differ as it is recorded.

    A retry time, if both have one: its jitter was random. The digest, version and deadline of the start: they are what
    the definition is, and what is asked here is what it decides.
    """
    if isinstance(decided, e.SagaStarted) and isinstance(recorded, e.SagaStarted):
        return replace(decided, digest=recorded.digest, version=recorded.version, deadline=recorded.deadline)
    for kind in (e.StepFailed, e.CompensationFailed):
        if (
            isinstance(decided, kind)
            and isinstance(recorded, kind)
            and None not in (decided.retry_at, recorded.retry_at)
        ):
            return replace(decided, retry_at=recorded.retry_at)
    return decided
