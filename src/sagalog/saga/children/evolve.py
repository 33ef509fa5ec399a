"""How children and parents change the state of a saga: the part of `evolve` for sagas that are steps. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from sagalog.saga import events as e
from sagalog.saga.changes import misplaced, moved, taken, with_step
from sagalog.saga.children import notes as n
from sagalog.saga.growing import changed
from sagalog.saga.state import UNTOUCHED, Parent, SagaState, Waiting, is_open
from sagalog.saga.transitions import Status


def parent_of(event: e.SagaStarted) -> Parent | None:
    """Return the parent of a saga that starts; None if it has none."""
    if event.parent is None or event.parent_step is None:
        return None
    return Parent(event.parent, event.parent_step, event.parent_round)


def heard(state: SagaState, event: e.EventReceived) -> SagaState:
    """Return the state after a note that moves nothing: it may say that a child is stuck, or not any more."""
    if event.name not in (n.CHILD_STUCK, n.CHILD_RESUMED):
        return state
    try:
        note = msgspec.json.decode(event.data, type=n.ChildNote)
    except msgspec.MsgspecError as problem:
        raise misplaced(state, event, f"its data are no note of a child: {problem}") from None
    here = state.steps.get(note.step)
    if here is None or here.child != note.child:
        return state
    after = replace(here, child_is_stuck=event.name == n.CHILD_STUCK)
    return replace(state, steps=changed(state.steps, note.step, after))


def _child_started(state: SagaState, event: e.ChildStarted, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    action = before.action
    if not is_open(action) or action.waiting is not None:
        raise misplaced(state, event, f"step {event.step} is {action.status} already")
    action = replace(action, waiting=Waiting(event.time, None, event.attempt))
    after = replace(before, action=action, child=event.child, child_is_stuck=False)
    return with_step(state, event, event.step, after, status)


def _child_undo_sent(state: SagaState, event: e.ChildUndoSent, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    if before.child != event.child:
        raise misplaced(state, event, f"step {event.step} is another saga")
    undo = replace(before.undo, waiting=Waiting(event.time, None, before.undo.attempts + 1))
    return with_step(state, event, event.step, replace(before, undo=undo), status)


def _undo_asked(state: SagaState, event: e.UndoAsked, status: Status) -> SagaState:
    return taken(moved(state, event, status, undo_asked=True), event.message)


CHANGES: dict[type[e.SagaEvent], Callable[[SagaState, Any, Status], SagaState]] = {
    e.ChildStarted: _child_started,
    e.ChildUndoSent: _child_undo_sent,
    e.UndoAsked: _undo_asked,
}
