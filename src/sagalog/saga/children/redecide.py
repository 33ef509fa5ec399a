"""The notes that led to recorded events, rebuilt from what the log recorded of them. Pure."""

from msgspec import Raw
from msgspec.json import encode

from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga.children import notes as n
from sagalog.saga.inputs import as_it_came
from sagalog.saga.state import StepState


def note_of(event: e.SagaEvent, here: StepState) -> Envelope | None:
    """Return the note that led to an event, as far as the event recorded it; None if it was no note."""
    match event:
        case e.UndoAsked():
            return _note(event.message, n.UNDO_CHILD, Raw(encode(n.UndoNote(event.parent, event.step))))
        case e.ChildStarted(message=str(id)):
            return _note(id, n.CHILD_ENDED, event.note)
        case e.EventReceived() if event.name in n.NOTES:
            return _note(event.message, event.name, event.data, event.causation_id)
        case e.StepSucceeded(message=str(id)) if here.child is not None:
            return _ended(id, event.step, here, "completed", event.result, None)
        case e.StepFailed(message=str(id)) if here.child is not None:
            return _ended(id, event.step, here, "failed", e.EMPTY, event.error)
        case e.StepCompensated(message=str(id)) if here.child is not None:
            return _ended(id, event.step, here, "failed", e.EMPTY, None)
        case _:
            return None


def _ended(
    id: str, step: str, here: StepState, status: n.ChildStatus, result: Raw, error: e.ErrorInfo | None
) -> Envelope:
    note = n.ChildNote(step, here.action.round, "", here.child or "", status, result, error)
    return _note(id, n.CHILD_ENDED, Raw(encode(note)))


def _note(id: str, name: str, data: Raw, causation_id: str | None = None) -> Envelope:
    return as_it_came(id, name, data, causation_id, kind="note")
