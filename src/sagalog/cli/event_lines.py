"""Events of a saga as rows: of the log, or of an action that is only looked at; it reads nothing."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from sagalog.cli.event_texts import event_text, summary
from sagalog.cli.quantities import moment, since
from sagalog.cli.table import Column
from sagalog.codec import CODEC, encode_json
from sagalog.saga import events as e
from sagalog.store import StoredEvent


class EventLine(NamedTuple):
    """An event as stored and as decoded, with the start time and kind of its saga; at position 0 it is not stored."""

    stored: StoredEvent
    event: e.SagaEvent
    start: int
    kind: e.Kind


COLUMNS: tuple[Column[EventLine], ...] = (
    Column("VERSION", lambda line: line.stored.version, right=True),
    Column("TIME", lambda line: moment(line.event.time)),
    Column("SINCE START", lambda line: since(line.event.time - line.start), right=True),
    Column("EVENT", lambda line: event_text(line.event)),
    Column("WHAT", lambda line: summary(line.event, line.kind), narrows="wrap"),
)


def stored_lines(stored: Iterable[StoredEvent], start: int, kind: e.Kind) -> Iterator[EventLine]:
    """Yield the rows of stored events of one saga that was started at `start`."""
    for one in stored:
        yield EventLine(one, CODEC.decode(one.topic, one.state), start, kind)


def foreseen_lines(
    saga_id: str, version: int, events: Iterable[e.SagaEvent], start: int, kind: e.Kind
) -> Iterator[EventLine]:
    """Yield the rows of events that would be appended after so many events."""
    for number, event in enumerate(events, version + 1):
        yield EventLine(StoredEvent(0, saga_id, number, event.TOPIC, encode_json(event)), event, start, kind)


def event_record(line: EventLine) -> dict[str, Any]:
    """Return an event for machines: the columns of `saga_history`; what is not stored has no position."""
    stored = line.stored
    return {
        "position": stored.position or None,
        "saga_id": stored.saga_id,
        "version": stored.version,
        "time": moment(line.event.time, "microseconds"),
        "type": type(line.event).__name__,
        "data": msgspec.json.decode(stored.state),
    }
