"""`sagalog history`: every event of a saga, as it was written; it only reads."""

from typing import Any, NamedTuple

import click
import msgspec

from sagalog.cli.address import store_of
from sagalog.cli.event_texts import event_text, summary
from sagalog.cli.lookup import find, saga_option
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit
from sagalog.cli.quantities import moment, since
from sagalog.cli.table import Column
from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.store import StoredEvent


def event_record(stored: StoredEvent) -> dict[str, Any]:
    """Return an event for machines: the columns of `saga_history`."""
    event = CODEC.decode(stored.topic, stored.state)
    return {
        "position": stored.position,
        "saga_id": stored.saga_id,
        "version": stored.version,
        "time": moment(event.time, "microseconds"),
        "type": type(event).__name__,
        "data": msgspec.json.decode(stored.state),
    }


class EventLine(NamedTuple):
    """An event as stored and as decoded, with the start time and kind of its saga."""

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


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="ID|KEY")
@saga_option
@click.pass_obj
def history(invocation: Invocation, id_or_key: str, saga: str | None) -> None:
    """Show every event of a saga."""
    with store_of(invocation) as store:
        row = find(store, id_or_key, saga)
        stored = store.read(row.saga_id)
    events = [CODEC.decode(one.topic, one.state) for one in stored]
    kinds: list[e.Kind] = [event.kind for event in events if isinstance(event, e.SagaStarted)]
    kind: e.Kind = kinds[0] if kinds else "saga"
    lines = [EventLine(one, event, row.started_at, kind) for one, event in zip(stored, events, strict=True)]
    emit(invocation.output, lines, COLUMNS, lambda line: event_record(line.stored))
