"""What consumers read of the log: messages, and notes of what happens to sagas if a participant reacts to that."""

from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from sagalog.codec import encode_json
from sagalog.engine.bus.route_batch import Found
from sagalog.engine.telling import kind_of, tell
from sagalog.errors import DivergentHistory
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.happenings import SagaHappening
from sagalog.saga.messages.handlers import Told, told_name
from sagalog.saga.messages.participants import ParticipantDefinition
from sagalog.store import StatusRow, Store, StoredEvent
from sagalog.store.published import PUBLISHED

SOURCE = "sagalog"


class Page(Struct, frozen=True):
    """Messages and notes in the order of the log, and up to where it was read; `is_full`: there may be more."""

    found: Found
    position: int
    is_full: bool


class Reading:
    """Reads pages for consumers; those of `reacting` want notes. Every call blocks."""

    def __init__(self, store: Store, participants: Iterable[ParticipantDefinition]) -> None:
        self._store = store
        self._reacting = {f"participant:{one.name}": wanted for one in participants if (wanted := _wanted(one))}

    @property
    def reacting(self) -> Container[str]:
        """Return the consumers that react to what happens to sagas."""
        return self._reacting

    def wants_notes(self, consumer: str) -> bool:
        """Tell whether a consumer reacts to what happens to sagas."""
        return consumer in self._reacting

    def page(self, consumers: Sequence[str], after: int, limit: int) -> Page:
        """Return the next page above position `after` for consumers that all want notes, or all want none."""
        kinds = frozenset[type[SagaHappening]]().union(*(self._reacting.get(one, ()) for one in consumers))
        if not kinds:
            found = self._store.read_messages(after, limit)
            return Page(found, found[-1][0] if found else after, len(found) >= limit)
        stored = self._store.read_log(after, limit)
        if not stored:
            return Page((), after, False)
        upto = stored[-1].position
        messages = [one for one in self._store.read_messages(after, limit) if one[0] <= upto]
        notes = self._notes([one for one in stored if one.topic != PUBLISHED and kind_of(one.topic) in kinds])
        return Page(sorted([*messages, *notes], key=_place), upto, len(stored) >= limit)

    def _notes(self, stored: Sequence[StoredEvent]) -> list[tuple[int, Envelope]]:
        sagas = self._store.statuses(sorted({one.saga_id for one in stored})) if stored else {}
        return [(one.position, _note(one, sagas)) for one in stored]


def _place(one: tuple[int, Envelope]) -> int:
    return one[0]


def _wanted(participant: ParticipantDefinition) -> frozenset[type[SagaHappening]]:
    handlers = [one for each in participant.handlers.values() for one in each]
    return frozenset(one.message for one in handlers if issubclass(one.message, SagaHappening))


def _note(stored: StoredEvent, sagas: Mapping[str, StatusRow]) -> Envelope:
    """Return the note that tells of an event; one that cannot be read is `Unreadable`."""
    saga = sagas.get(stored.saga_id)
    name = told_name(kind_of(stored.topic))
    try:
        event, about = tell(stored, saga)
    except (msgspec.MsgspecError, RecursionError, ValueError, DivergentHistory) as problem:
        return Unreadable(
            id=f"{stored.saga_id}:{stored.version}",
            kind="note",
            name=name,
            source=SOURCE,
            correlation_id=stored.saga_id if saga is None else saga.correlation_id,
            time=0,
            data=msgspec.Raw(b"null"),
            problem=f"expected an event of saga {stored.saga_id} at position {stored.position} of the log: {problem}",
            raw=bytes(stored.state),
            position=stored.position,
        )
    return Envelope(
        id=about.id,
        kind="note",
        name=name,
        source=SOURCE,
        correlation_id=about.correlation_id,
        causation_id=stored.saga_id,
        time=about.time,
        data=msgspec.Raw(encode_json(Told(msgspec.Raw(encode_json(event)), about))),
    )
