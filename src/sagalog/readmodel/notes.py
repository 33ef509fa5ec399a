"""The notes that a decision of a saga sends to its parent and its children, as a pure function; it writes nothing."""

from collections.abc import Iterator, Sequence

from msgspec import Raw
from msgspec.json import encode

from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga.actions.notes import ACT
from sagalog.saga.children import notes as n
from sagalog.saga.identifiers import note_id
from sagalog.saga.inputs import Act
from sagalog.saga.parts import raw_results
from sagalog.saga.payload.payload_type import MAX_PAYLOAD
from sagalog.saga.state import Parent, SagaState, is_open, is_to_undo
from sagalog.store import Note


def notes_of(saga_id: str, after: SagaState, events: Sequence[e.SagaEvent]) -> list[Note]:
    """Return the notes that the events of one decision send to other sagas; `after` is the state after all of them.

    The id of a note follows from the event that sends it, so a repeated note has the same id.
    """
    first = after.version - len(events) + 1
    is_action = isinstance(events[0], e.ActionTaken)
    found: list[Note] = []
    for version, event in enumerate(events, first):
        known_as = note_id(saga_id, version)
        for recipient, name, body in _told(saga_id, after, event, known_as, is_action):
            envelope = Envelope(
                id=known_as,
                kind="note",
                name=name,
                source=f"saga:{after.saga}",
                correlation_id=after.correlation_id,
                causation_id=saga_id,
                time=event.time,
                data=Raw(encode(body)),
                saga_id=saga_id,
                step=body.step,
            )
            found.append(Note(recipient, envelope))
    return found


def _told(
    saga_id: str, after: SagaState, event: e.SagaEvent, known_as: str, is_action: bool
) -> Iterator[tuple[str, str, n.ChildNote | n.UndoNote | Act]]:
    parent = after.parent
    match event:
        case e.ChildUndoSent():
            yield event.child, n.UNDO_CHILD, n.UndoNote(saga_id, event.step)
        case e.SagaCompleted() if parent is not None:
            yield parent.saga_id, n.CHILD_ENDED, _note(parent, saga_id, after, "completed", _result(saga_id, after))
        case e.SagaFailed() if parent is not None:
            error = _error(saga_id, after, event.error)
            yield parent.saga_id, n.CHILD_ENDED, _note(parent, saga_id, after, "failed", e.EMPTY, error)
        case e.SagaStuck() if parent is not None:
            yield parent.saga_id, n.CHILD_STUCK, _note(parent, saga_id, after, "stuck")
        case e.SagaAbandoned():
            # Whoever ends a saga as it is ends those that are its steps: nobody would be left to tell them anything.
            event_name = type(event).__name__
            act = Act(action_id=known_as, verb="abandon", actor=event.actor, reason=event.reason, event=event_name)
            for step in after.steps.values():
                if step.child is not None and (is_open(step.action) or is_to_undo(step)):
                    yield step.child, ACT, act
        case e.SagaResumed() if parent is not None:
            yield parent.saga_id, n.CHILD_RESUMED, _note(parent, saga_id, after, "running")
        case e.CompensationStarted() if parent is not None and is_action:
            # Whoever let it go back may have let it out of being stuck.
            yield parent.saga_id, n.CHILD_RESUMED, _note(parent, saga_id, after, "running")
        case _:
            return


def _note(
    parent: Parent,
    saga_id: str,
    after: SagaState,
    status: n.ChildStatus,
    result: Raw = e.EMPTY,
    error: e.ErrorInfo | None = None,
) -> n.ChildNote:
    return n.ChildNote(parent.step, parent.round, after.saga, saga_id, status, result, error)


def _result(saga_id: str, after: SagaState) -> Raw:
    """Return the result of the parent's step: all results of the child, unless they exceed the limit of a payload."""
    full = Raw(encode({"saga_id": saga_id, "status": "completed", "data": raw_results(after)}))
    return full if len(full) <= MAX_PAYLOAD else Raw(encode({"saga_id": saga_id, "status": "completed", "data": {}}))


def _error(saga_id: str, after: SagaState, error: e.ErrorInfo) -> e.ErrorInfo:
    """Return the error of the parent's step: the child has undone all it did, so the step counts as refused."""
    at = f"{error.step}: " if error.step else ""
    return e.error_from("refused", error.type, f"child {after.saga} {saga_id}: {at}{error.message}")
