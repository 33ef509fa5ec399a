"""How a child, or its parent, changes the state of a saga: the part of `evolve` for sagas that are steps. Pure."""

import msgspec
from msgspec.structs import replace

from sagalog.saga import events as e
from sagalog.saga.children import notes as n
from sagalog.saga.state import UNTOUCHED, Parent, SagaState, StepState, Waiting


def parent_of(told: e.SagaStarted) -> Parent | None:
    """Return the saga that a start makes this one a part of."""
    if told.parent is None or told.parent_step is None:
        return None
    return Parent(told.parent, told.parent_step, told.parent_round)


def with_child(state: SagaState, event: e.ChildStarted) -> StepState:
    """Return the step that waits for a child."""
    before = state.steps.get(event.step, UNTOUCHED)
    return replace(before, waiting=Waiting(event.time, None, event.attempt), child=event.child, child_is_stuck=False)


def with_undoing_child(state: SagaState, event: e.ChildUndoSent) -> StepState:
    """Return the step that waits until its child has undone itself."""
    before = state.steps.get(event.step, UNTOUCHED)
    return replace(before, undo_waiting=Waiting(event.time, None, before.undo_attempts + 1))


def heard_of_child(state: SagaState, event: e.EventReceived) -> SagaState:
    """Return the state that knows whether a child is stuck."""
    note = msgspec.json.decode(event.data, type=n.ChildNote)
    here = state.steps.get(note.step)
    if here is None or here.child != note.child:
        return state
    steps = {**state.steps, note.step: replace(here, child_is_stuck=event.name == n.CHILD_STUCK)}
    return replace(state, steps=steps)
