"""Where a step stands, as a person who acts on it must know: is it settled, may an attempt be under way? Pure."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from sagalog.saga.definition import Definition
from sagalog.saga.events import Direction
from sagalog.saga.parts import names_begun
from sagalog.saga.progress import WITHOUT_EFFECT, next_stage, unfinished
from sagalog.saga.state import (
    UNTOUCHED,
    ActionStatus,
    SagaState,
    Side,
    StepState,
    UndoStatus,
    is_done,
    is_open,
)
from sagalog.saga.transitions import FORWARD

DIRECTIONS: Final[tuple[Direction, ...]] = ("action", "compensation")


def names_of_stage(definition: Definition, state: SagaState) -> Iterator[str]:
    """Yield the names under which the steps of the current stage stand: their own, or those of their parts."""
    for step in next_stage(definition, state) or ():
        if step.fan is not None and step.name not in state.fans:
            yield step.name
        yield from names_begun(state, step)


def is_settled(step: StepState) -> bool:
    """Tell whether the action's outcome is known: it succeeded, was skipped, or was refused."""
    return is_done(step) or step.action.status in WITHOUT_EFFECT


def may_be_under_way(state: SagaState, name: str, now: int) -> bool:
    """Tell whether an attempt of the action may be under way, so that its outcome is still to come."""
    action = state.steps.get(name, UNTOUCHED).action
    if action.waiting is not None or is_at_fault(state, name):
        return False
    if action.status == "retrying":
        return state.status != "stuck" and (action.retry_at or 0) <= now
    # What failed at fault is open again, and waits for a person.
    return action.status == "open" and (state.status != "stuck" or action.error is None)


def is_at_fault(state: SagaState, name: str) -> bool:
    """Tell whether the saga is stuck because of this step."""
    return state.status == "stuck" and state.error is not None and state.error.step == name


def direction_to_settle(state: SagaState, name: str) -> Direction:
    """Return which outcome of a step is the one to be settled, if a person does not say."""
    undo = state.steps.get(name, UNTOUCHED).undo
    return "compensation" if undo.status == "failed" or undo.attempts or undo.waiting is not None else "action"


def left_standing(definition: Definition | None, state: SagaState) -> tuple[str, ...]:
    """Return the steps that have, or may have, an effect that is not undone, the latest first.

    That goes for steps that need no undoing, too, such as the pivot. Without a definition it is not known which steps
    only wait, nor which step is under way without a record.
    """
    names = (
        unfinished(definition, state)
        if definition is not None and state.kind == "saga" and state.status in FORWARD
        else [name for name, step in reversed([*state.steps.items()]) if step.action.status not in WITHOUT_EFFECT]
    )
    return tuple(name for name in names if _stands(definition, state, name))


def _stands(definition: Definition | None, state: SagaState, name: str) -> bool:
    if definition is not None and state.kind == "saga" and definition.step(name).kind in ("wait", "sleep"):
        return False
    return state.steps.get(name, UNTOUCHED).undo.status not in ("compensated", "skipped")


class Timed(Struct, frozen=True):
    """A time that a saga waits for: of a step, in one direction; the step "" is the saga's deadline."""

    step: str
    direction: Direction


def open_sides(state: SagaState) -> Iterator[tuple[Timed, Side[ActionStatus] | Side[UndoStatus]]]:
    """Yield each direction of each step in which an attempt may be under way or still to come."""
    for name, here in state.steps.items():
        for direction in DIRECTIONS:
            side = here.side(direction)
            if is_open(side):
                yield Timed(name, direction), side


def times_of(state: SagaState, step: str | None = None) -> Iterator[Timed]:
    """Yield the retries and timers of steps; a wait without a limit counts only for the `step` that is asked for."""
    for one, side in open_sides(state):
        if step not in (None, one.step):
            continue
        if side.waiting is None:
            if side.status == "retrying":
                yield one
        elif side.waiting.until is not None or (step is not None and state.steps[step].child is None):
            yield one


def waits_for_retry(state: SagaState, step: StepState, now: int) -> bool:
    """Tell whether a step waits for its next attempt, or has no more in its budget, in the saga's direction."""
    side = step.undo if state.rolling_back else step.action
    return side.status == "failed" or (side.status == "retrying" and side.retry_at is not None and side.retry_at > now)
