"""What sagas that are steps, and their parents, tell each other: short words for kernel tests."""

from msgspec import Raw
from msgspec.json import encode

from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.children import notes as n
from sagalog.testing.kernel import START


def child_begun(step: str, child: str = "child-1", round: int = 0) -> i.ChildBegun:
    """Return that a child was started, or found."""
    return i.ChildBegun(step, round, child)


def child_ended(
    step: str, status: n.ChildStatus, *, child: str = "child-1", round: int = 0, id: str = "n"
) -> i.Receive:
    """Return what a child says of itself."""
    name = {"stuck": n.CHILD_STUCK, "running": n.CHILD_RESUMED}.get(status, n.CHILD_ENDED)
    result = Raw(encode({"saga_id": child, "status": "completed", "data": {}})) if status == "completed" else e.EMPTY
    error = e.ErrorInfo("Refused", f"child letters {child}: no", "refused") if status == "failed" else None
    return _note(id, name, n.ChildNote(step, round, "letters", child, status, result, error))


def undo_child(parent: str = "parent", step: str = "b", *, id: str = "n") -> i.Receive:
    """Return what a parent asks of a child."""
    return _note(id, n.UNDO_CHILD, n.UndoNote(parent, step))


def _note(id: str, name: str, body: n.ChildNote | n.UndoNote) -> i.Receive:
    data = Raw(encode(body))
    envelope = Envelope(id=id, kind="note", name=name, source="test", correlation_id="key", time=START, data=data)
    return i.Receive(envelope)
