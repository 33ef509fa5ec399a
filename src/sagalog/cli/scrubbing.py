"""Events without personal data, for tests: every value is replaced by a stand-in, and the structure stays.

What stays is what the library and its users have named in code, and when it happened: names of sagas, steps, fields,
attributes, events and error classes, statuses and other words of the kernel, versions, times, lengths, `true`, `false`
and `null`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec import Raw
from msgspec.structs import asdict, fields, replace

from sagalog.cli.stand_ins import StandIns
from sagalog.codec import CODEC, encode_json
from sagalog.saga import events as e
from sagalog.saga.children.notes import NOTES, UNDO_CHILD, ChildNote, UndoNote
from sagalog.store import StoredEvent

# What is done with the fields of events. A test sees that every field is in one of these, so that a new one is not
# forgotten.
IDENTITIES: Final = frozenset(
    ("key", "correlation_id", "causation_id", "message", "command_id", "child", "parent", "action_id")
)
TEXTS: Final = frozenset(("actor", "reason", "why"))
PAYLOADS: Final = frozenset(("input", "result", "data", "value"))
ERRORS: Final = frozenset(("error", "cause", "attributes_error"))
OTHERS: Final = frozenset(("elements", "note", "attributes", "fork"))
STAYING: Final = frozenset(
    (
        *("time", "saga", "version", "digest", "run", "deadline", "kind", "parent_step", "parent_round", "called_off"),
        *("marked", "step", "attempt", "began", "late", "outcome", "retry_at", "until", "direction", "name", "kept"),
        *("answer", "at_once", "plan", "waived", "pending", "actions"),
        *("verb", "waive", "happened", "of_deadline", "event", "allowed", "left"),
    )
)
# The name of a field, as it is written in code. Other keys of an object are data.
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}", re.ASCII)


class Scrubber:
    """The stand-ins of one export, and how an event is made of them."""

    def __init__(self, key: bytes) -> None:
        self._stand_ins = StandIns(key)
        # Values that are also used as keys of objects, in the history that is scrubbed.
        self._values: frozenset[str] = frozenset()

    def scrubbed(self, history: Sequence[StoredEvent]) -> Iterator[StoredEvent]:
        """Yield the events of one saga, scrubbed; they are equal where they were equal, also with other sagas."""
        events = [CODEC.decode(stored.topic, stored.state) for stored in history]
        self._values = frozenset(text for event in events for text in _texts(event))
        for stored, event in zip(history, events, strict=True):
            topic, state = CODEC.encode(self.event(event))
            yield StoredEvent(stored.position, self._stand_ins.text(stored.saga_id), stored.version, topic, state)

    def event(self, event: e.SagaEvent) -> e.SagaEvent:
        """Return an event with stand-ins for its values."""
        return replace(event, **{name: self._field(event, name, value) for name, value in asdict(event).items()})

    def _field(self, event: e.SagaEvent, name: str, value: Any) -> Any:
        if value is None or name in STAYING:
            return value
        if name in ERRORS:
            return self._error(value)
        if name == "attributes":
            # Their names are declared in code.
            return {named: self._value(one) for named, one in value.items()}
        if name == "elements":
            return tuple(self._payload(one) for one in value)
        if name == "note" or (name == "data" and getattr(event, "name", "") in NOTES):
            return self._note(value, getattr(event, "name", ""))
        if isinstance(value, e.Fork):
            return self._fork(value)
        # A field that is not known is taken for a payload or a text: it is better to lose than to leak.
        return self._payload(value) if isinstance(value, Raw) else self._stand_ins.text(str(value))

    def _fork(self, fork: e.Fork) -> e.Fork:
        adopted = [
            replace(one, result=self._payload(one.result), elements=tuple(map(self._payload, one.elements)))
            for one in fork.adopted
        ]
        return replace(fork, saga_id=self._stand_ins.text(fork.saga_id), adopted=tuple(adopted))

    def _error(self, error: e.ErrorInfo) -> e.ErrorInfo:
        return replace(error, message=self._stand_ins.text(error.message))

    def _payload(self, value: Raw) -> Raw:
        return Raw(encode_json(self._value(json.loads(bytes(value)))))

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._name(name): self._value(inner) for name, inner in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in cast("list[object]", value)]
        if isinstance(value, str):
            return self._stand_ins.text(value)
        return value if value is None or isinstance(value, bool) else self._stand_ins.number(value)

    def _name(self, name: str) -> str:
        """Return a field's name, or the stand-in of a key that is data."""
        return name if _FIELD.fullmatch(name) and name not in self._values else self._stand_ins.text(name)

    def _note(self, value: Raw, name: str) -> Raw:
        """Return a note between sagas; the kernel reads its fields, so only its values are replaced."""
        try:
            if name == UNDO_CHILD:
                undo = msgspec.json.decode(value, type=UndoNote)
                return Raw(encode_json(replace(undo, parent=self._stand_ins.text(undo.parent))))
            note = msgspec.json.decode(value, type=ChildNote)
        except msgspec.MsgspecError:
            # There is none, or it was never read.
            return self._payload(value)
        error = None if note.error is None else self._error(note.error)
        result = self._payload(note.result)
        return Raw(encode_json(replace(note, child=self._stand_ins.text(note.child), result=result, error=error)))


def _texts(event: e.SagaEvent) -> Iterator[str]:
    """Yield the texts among an event's values, to be found again as keys of objects."""
    for field in fields(event):
        value: object = getattr(event, field.name)
        if field.name in IDENTITIES | TEXTS and isinstance(value, str):
            yield value
        if isinstance(value, e.Fork):
            value = tuple(raw for one in value.adopted for raw in (one.result, *one.elements))
        several = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        yield from _texts_in(value if field.name == "attributes" else None)
        for one in several:
            if isinstance(one, Raw):
                yield from _texts_in(json.loads(bytes(one)))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[str, Any]", value).values():
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _texts_in(inner)
