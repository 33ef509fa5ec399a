"""`sagalog export`: whole histories as JSON Lines, for `sagalog replay --from` and for safekeeping; it only reads."""

import sys
from collections.abc import Iterator
from typing import IO

import click

from sagalog.cli.address import store_of
from sagalog.cli.exporting import export_line
from sagalog.cli.lookup import every_saga, find, saga_option
from sagalog.cli.options import Command, Invocation
from sagalog.store import Store

BATCH = 200


@click.command(cls=Command)
@click.argument("ids_or_keys", metavar="[ID|KEY]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Export every saga, newest first.")
@saga_option
@click.pass_obj
def export(invocation: Invocation, ids_or_keys: tuple[str, ...], everything: bool, saga: str | None) -> None:
    """Write histories as JSON Lines.

    One event a line, the events of a saga in order, for `sagalog replay --from`. The output holds inputs and results:
    treat it as you treat the database.
    """
    if everything == bool(ids_or_keys):
        raise click.UsageError("name the sagas to export, or give --all", click.get_current_context())
    out: IO[bytes] = sys.stdout.buffer
    with store_of(invocation) as store:
        # All names are looked up before anything is written, because half an export looks like a whole one.
        wanted = _all_ids(store) if everything else iter([find(store, one, saga).saga_id for one in ids_or_keys])
        for ids in _batches(wanted):
            histories = store.read_many(ids)
            for saga_id in ids:
                out.write(b"".join(export_line(stored) for stored in histories.get(saga_id, ())))
    out.flush()


def _all_ids(store: Store) -> Iterator[str]:
    return (row.saga_id for row in every_saga(store))


def _batches(ids: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for saga_id in ids:
        batch.append(saga_id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
