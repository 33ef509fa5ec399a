"""A saga as a step of another one: how the parent begins, awaits and undoes it, and how the child answers. Pure.

A note reports the child's end to the parent, and another note asks the child to undo. Each is put into the other's
inbox in the transaction of the decision it belongs to. A child that failed has undone all it did, so for its parent the
step is refused. A child is never abandoned: a parent that rolls back asks it to undo, and waits for its end.
"""

from collections.abc import Iterable

import msgspec

from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.attempts import Attempt, failure
from sagalog.saga.children import notes as n
from sagalog.saga.definition import Definition
from sagalog.saga.progress import begun
from sagalog.saga.state import UNTOUCHED, SagaState, StepState, is_open, is_to_undo
from sagalog.saga.transitions import ENDED


def noted(definition: Definition, state: SagaState, note: Envelope, now: int) -> e.SagaEvent:
    """Return the event that records a note from a child or from the parent."""
    about = _undo_asked if note.name == n.UNDO_CHILD else _child_said
    return about(definition, state, note, now)


# ------------------------------------------------------------------------------------------------------ the parent


def child_begun(definition: Definition, state: SagaState, input: i.ChildBegun, now: int) -> e.SagaEvent | None:
    """Return the event that records which child a step has; None if that is known, or of an earlier round."""
    before = begun(definition, state, input.step).action
    if not is_open(before) or before.waiting is not None or before.round != input.round or state.status in ENDED:
        return None
    rule = definition.step(input.step).child
    if rule is None:
        return None
    return e.ChildStarted(
        time=now, step=input.step, attempt=before.attempts + 1, saga=rule.definition.name, child=input.child
    )


def _child_said(definition: Definition, state: SagaState, message: Envelope, now: int) -> e.SagaEvent:
    """Return the event that records a child's note."""
    note = msgspec.json.decode(message.data, type=n.ChildNote)
    step = definition.find(note.step)
    here = state.steps.get(note.step, UNTOUCHED)
    if step is None or step.child is None or here.action.round != note.round or message.name != n.CHILD_ENDED:
        return _received(message, now)
    if is_open(here.action) and here.action.waiting is None and state.status not in ENDED:
        # The child ended before this saga could record that it had begun it.
        begun(definition, state, note.step)
        return e.ChildStarted(
            time=now,
            step=note.step,
            attempt=here.action.attempts + 1,
            saga=note.saga,
            child=note.child,
            message=message.id,
            note=message.data,
        )
    news = _end(state, here, note, message.id, now) if note.child == here.child else None
    return news or _received(message, now)


def _received(message: Envelope, now: int) -> e.EventReceived:
    return e.EventReceived(
        time=now, message=message.id, name=message.name, data=message.data, causation_id=message.causation_id
    )


def child_ended_before(state: SagaState, last: e.ChildStarted, now: int) -> e.SagaEvent | None:
    """Return what follows if the child's end came before its beginning was recorded; otherwise None."""
    if last.message is None:
        return None
    note = msgspec.json.decode(last.note, type=n.ChildNote)
    return _end(state, state.steps[last.step], note, last.message, now)


def _end(state: SagaState, here: StepState, note: n.ChildNote, message: str, now: int) -> e.SagaEvent | None:
    waiting = here.action.waiting
    if is_open(here.action) and waiting is not None and state.status not in ENDED:
        if note.status == "completed":
            return e.StepSucceeded(
                time=now,
                step=note.step,
                attempt=waiting.attempt,
                began=waiting.since,
                result=note.result,
                message=message,
            )
        error = note.error or e.error_from("refused", "ChildFailed", f"child {note.child} failed")
        attempt = Attempt("action", note.step, waiting.attempt, waiting.since)
        return failure(attempt, error, now, outcome="refused", message=message)
    asked = here.undo.waiting
    if note.status == "failed" and here.action.status == "succeeded" and is_to_undo(here) and asked is not None:
        return e.StepCompensated(time=now, step=note.step, attempt=asked.attempt, began=asked.since, message=message)
    return None


def child_to_undo(definition: Definition, state: SagaState, names: Iterable[str], now: int) -> e.SagaEvent | None:
    """Return the event that asks the first child among these steps to undo, unless it was asked already."""
    for name in names:
        here = state.steps.get(name, UNTOUCHED)
        if here.child is None or not is_to_undo(here) or here.undo.waiting is not None:
            continue
        rule = definition.step(name).child
        if rule is not None and (here.action.status == "succeeded" or here.action.waiting is not None):
            return e.ChildUndoSent(time=now, step=name, saga=rule.definition.name, child=here.child)
    return None


# ------------------------------------------------------------------------------------------------------- the child


def _undo_asked(definition: Definition, state: SagaState, message: Envelope, now: int) -> e.SagaEvent:
    """Return the event that records that the parent wants this saga undone.

    A saga with a pivot is never undone by its parent; the definition of the parent is checked for that.
    """
    if definition.pivot is not None or state.status == "abandoned":
        return _received(message, now)
    note = msgspec.json.decode(message.data, type=n.UndoNote)
    return e.UndoAsked(time=now, message=message.id, parent=note.parent, step=note.step)


def parents_wish() -> e.ErrorInfo:
    """Return the error with which a child is rolled back because its parent is."""
    return e.error_from("parent", "ParentRolledBack", "the saga that this one is a step of is rolled back")


def called_off(last: e.SagaStarted, now: int) -> e.SagaEvent | None:
    """Return the event that ends a saga that was only started so that nobody else can start it."""
    if not last.called_off:
        return None
    if last.parent is not None:
        return e.SagaFailed(time=now, error=parents_wish())
    return e.SagaFailed(time=now, error=e.error_from("cancelled", "Cancelled", f"by message {last.message}"))
