"""`sagalog history`: every event of a saga, as it was written; it only reads."""

import click

from sagalog.cli.address import store_of
from sagalog.cli.event_lines import COLUMNS, event_record, stored_lines
from sagalog.cli.lookup import find, saga_option
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit
from sagalog.codec import CODEC
from sagalog.saga import events as e


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="ID|KEY")
@saga_option
@click.pass_obj
def history(invocation: Invocation, id_or_key: str, saga: str | None) -> None:
    """Show every event of a saga."""
    with store_of(invocation) as store:
        row = find(store, id_or_key, saga)
        stored = store.read(row.saga_id)
    first = CODEC.decode(stored[0].topic, stored[0].state) if stored else None
    kind: e.Kind = first.kind if isinstance(first, e.SagaStarted) else "saga"
    emit(invocation.output, list(stored_lines(stored, row.started_at, kind)), COLUMNS, event_record)
