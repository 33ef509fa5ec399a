"""What can be undone now: the front of a saga that goes back. Pure.

All that follows from an outcome asks for it, so what was found is kept beside the fields of a state (in `__dict__`). It
follows from the definition and the state alone: one without it, such as one from storage, gives the same answer.
"""

from itertools import takewhile

from msgspec import Struct

from sagalog.errors import InvalidAction
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.events import CompensationStarted, SagaEvent, StepSucceeded
from sagalog.saga.parts import names_to_undo, names_under_way
from sagalog.saga.progress import next_stage
from sagalog.saga.state import UNTOUCHED, SagaState, StepState, is_open, is_to_undo


class UndoFront(Struct, frozen=True, gc=False):
    """What the undoing stands at: actions still `ending`, steps `ready` to be undone, steps that are `blocked`."""

    ending: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


class _Found(Struct, frozen=True):
    """What was found with this definition: no stage behind `stage` is to be undone, and the front, if it is known."""

    definition: Definition
    stage: int
    front: UndoFront | None = None


_FOUND = "undo_front"
# Only these leave something to be undone, or something to be waited for, that was not there before.
_ADDING = (CompensationStarted, StepSucceeded)


def undo_front(definition: Definition, state: SagaState) -> UndoFront:
    """Return what can go on while rolling back; only steps of the latest stage that is not undone are ready."""
    found: _Found | None = vars(state).get(_FOUND)
    if found is not None and found.definition is definition:
        if found.front is not None:
            return found.front
        front, stage = _front_up_to(found.stage, definition, state)
    else:
        stage = len(definition.stages) - 1
        ending = _ending(definition, state)
        front, stage = (UndoFront(ending=ending), stage) if ending else _front_up_to(stage, definition, state)
    vars(state)[_FOUND] = _Found(definition, stage, front)
    return front


def carry(before: SagaState, event: SagaEvent, after: SagaState) -> None:
    """Let the state after an event know which stages are undone: the next front is sought from where this one was."""
    found: _Found | None = vars(before).get(_FOUND)
    if found is None or type(event) in _ADDING or (found.front is not None and found.front.ending):
        return
    vars(after)[_FOUND] = _Found(found.definition, found.stage)


def _front_up_to(latest: int, definition: Definition, state: SagaState) -> tuple[UndoFront, int]:
    """Return the front, and its stage, once all actions have ended and what lies behind stage `latest` is undone."""
    for number in range(latest, -1, -1):
        ready: list[str] = []
        blocked: list[str] = []
        for step in definition.stages[number]:
            if step.name in state.fans:
                _front_of_parts(state, step, ready, blocked)
                continue
            here = state.steps.get(step.name)
            if here is not None and is_to_undo(here):
                (ready if can_be_undone(step, here) else blocked).append(step.name)
        if ready or blocked:
            return UndoFront(ready=tuple(ready), blocked=tuple(blocked)), number
    return UndoFront(), 0


def can_be_undone(step: StepDefinition, here: StepState) -> bool:
    """Tell whether a planned compensation can run: it has not failed for good, and the result it needs is known."""
    takes_none = step.compensation is not None and step.compensation.takes_none
    return here.undo.status != "failed" and (here.action.status == "succeeded" or takes_none)


def _ending(definition: Definition, state: SagaState) -> tuple[str, ...]:
    """Return the actions that have not ended; all of them belong to the stage that was being done."""
    found: list[str] = []
    for step in next_stage(definition, state) or ():
        for name in names_under_way(state, step):
            here = state.steps.get(name)
            if here is not None and _is_ending(step, here):
                found.append(name)
    if len(found) > 1 and not state.fans:
        # They are named in the order in which they were recorded.
        several = set(found)
        found = [name for name in state.steps if name in several]
    return tuple(found)


def _is_ending(step: StepDefinition, here: StepState) -> bool:
    if here.undo.status == "none" or not is_open(here.action):
        return False
    # A wait that was ended by a mistake in what came has nothing under way.
    return here.action.waiting is not None or step.kind not in ("wait", "sleep")


def _front_of_parts(state: SagaState, step: StepDefinition, ready: list[str], blocked: list[str]) -> None:
    """Add the parts that can be undone, as many as ran at once; one by one, a blocked part stops the rest."""
    width = state.fans[step.name].width
    found = 0
    for name in names_to_undo(state, step):
        if can_be_undone(step, state.steps[name]):
            ready.append(name)
            found += 1
        else:
            blocked.append(name)
            found += width == 1
        if found == width:
            return


def check_undo_begun(definition: Definition, state: SagaState, name: str) -> None:
    """Raise `InvalidAction` if no attempt to undo the step can have been begun, because others come first."""
    front = undo_front(definition, state)
    if name in front.ready:
        return
    later: list[StepState] = []
    own = definition.step(name)
    for number in range(len(definition.stages) - 1, definition.stage_of[own.name], -1):
        later += [
            state.steps.get(n, UNTOUCHED) for step in definition.stages[number] for n in names_to_undo(state, step)
        ]
    fan = state.fans.get(own.name)
    if fan is not None and fan.width == 1:
        # Elements that were done one after the other are undone one after the other.
        later += [state.steps[n] for n in takewhile(lambda n: n != name, names_to_undo(state, own))]
    # A late success was planned late: by then, undoing an earlier step may have begun.
    first = any(is_to_undo(step) and not step.late for step in later)
    if first or front.ending:
        raise InvalidAction(f"expected the outcome of a compensation that was begun, found one of {name}")
