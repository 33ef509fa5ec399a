"""The log as a projection sees it: which events have a handler, and of which saga they are. It writes nothing."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from sagalog.codec import CODEC
from sagalog.engine.telling import kind_of
from sagalog.errors import DivergentHistory
from sagalog.messages import Envelope
from sagalog.projections.handlers import EventHandler, Handlers
from sagalog.store import StatusRow, StoredEvent
from sagalog.store.projections import Log
from sagalog.store.published import PUBLISHED

# Sagas whose names and keys are remembered; they never change, so forgetting them costs only a question.
MOST_REMEMBERED = 20_000
UNREADABLE = "unreadable message"

_envelope = msgspec.json.Decoder(Envelope)


class Entry(Struct, frozen=True, gc=False):
    """An event that a projection has handlers for. `lane` is its correlation id: others of it wait if this one fails.

    `envelope` is there for a message, `saga` for an event of a saga. An event of a saga is still to be decoded, so one
    that cannot be read fails like one that cannot be handled.
    """

    stored: StoredEvent
    lane: str
    name: str
    handlers: Sequence[EventHandler]
    saga: StatusRow | None = None
    envelope: Envelope | None = None


def time_of(stored: StoredEvent) -> int | None:
    """Return when an entry of the log was recorded; None if it cannot be read."""
    try:
        if stored.topic == PUBLISHED:
            return _envelope.decode(stored.state).time
        return CODEC.decode(stored.topic, stored.state).time
    except (msgspec.MsgspecError, RecursionError, ValueError, DivergentHistory):
        return None


class Page(Struct, frozen=True):
    """A part of the log: its entries, and its last position; `is_full`: there may be more."""

    entries: list[Entry]
    position: int
    is_full: bool


class LogReader:
    """Reads the log for the handlers of one projection. It has to be used by one thread at a time.

    `log` is where it reads: the store, or what a transaction of it sees.
    """

    def __init__(self, log: Log, handlers: Handlers) -> None:
        self.log = log
        self._handlers = handlers
        self._by_topic: dict[str, tuple[str, Sequence[EventHandler]]] = {}
        self._sagas: dict[str, StatusRow] = {}

    def page(self, after: int, limit: int, upto: int | None = None) -> Page:
        """Return the entries among the next events above position `after`, up to `upto`."""
        stored = self.log.read_log(after, limit)
        is_full = len(stored) >= limit
        if upto is not None and stored and stored[-1].position > upto:
            stored = [one for one in stored if one.position <= upto]
            is_full = False
        return Page(self.entries(stored), stored[-1].position if stored else after, is_full)

    def head(self) -> int:
        """Return the position of the last event in the log."""
        return self.log.head()

    def at(self, position: int) -> Entry | None:
        """Return the entry at one position; None if there is none any more, because its handlers are gone."""
        stored = [one for one in self.log.read_log(position - 1, 1) if one.position == position]
        found = self.entries(stored)
        return found[0] if found else None

    def entries(self, stored: Iterable[StoredEvent]) -> list[Entry]:
        """Return those of some stored events that have a handler."""
        messages = self._handlers.by_message
        found: list[Entry | tuple[StoredEvent, str, Sequence[EventHandler]]] = []
        wanted: set[str] = set()
        for one in stored:
            if one.topic == PUBLISHED:
                entry = self._message(one) if messages else None
                if entry is not None:
                    found.append(entry)
                continue
            name, handlers = self._by_topic.get(one.topic) or self._of_topic(one.topic)
            if handlers:
                found.append((one, name, handlers))
                wanted.add(one.saga_id)
        self._remember(wanted)
        return [one if isinstance(one, Entry) else self._entry(*one) for one in found]

    def _entry(self, stored: StoredEvent, name: str, handlers: Sequence[EventHandler]) -> Entry:
        saga = self._sagas.get(stored.saga_id)
        return Entry(stored, stored.saga_id if saga is None else saga.correlation_id, name, handlers, saga)

    def _message(self, stored: StoredEvent) -> Entry | None:
        try:
            envelope = _envelope.decode(stored.state)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return Entry(stored, stored.saga_id, UNREADABLE, ())
        handlers = self._handlers.by_message.get(envelope.name)
        if handlers is None:
            return None
        return Entry(stored, envelope.correlation_id, envelope.name, handlers, envelope=envelope)

    def _of_topic(self, topic: str) -> tuple[str, Sequence[EventHandler]]:
        told = kind_of(topic)
        found = self._by_topic[topic] = (told.__name__, self._handlers.of(told))
        return found

    def _remember(self, wanted: set[str]) -> None:
        unknown = wanted - self._sagas.keys()
        if not unknown:
            return
        if len(self._sagas) > MOST_REMEMBERED:
            # What is wanted now and was known is forgotten, too, so all of it is asked for.
            self._sagas.clear()
            unknown = wanted
        self._sagas |= self.log.statuses(sorted(unknown))
