"""`sagalog export`: whole histories as JSON Lines, for `sagalog replay --from` and for safekeeping; it only reads."""

import hashlib
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Final

import click

from sagalog.cli.address import store_of
from sagalog.cli.exporting import export_line
from sagalog.cli.lookup import every_saga, filter_of, find, where_option
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import note
from sagalog.cli.scrubbing import Scrubber
from sagalog.store import StoredEvent

BATCH = 200
SHORTEST_SALT: Final = 16


@click.command(cls=Command)
@click.argument("ids_or_keys", metavar="[ID|KEY]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Export every saga, newest first.")
@where_option
@click.option("--scrub", is_flag=True, help="Replace every value by a stand-in, so that no personal data is left.")
@click.option(
    "--salt",
    type=click.File("rb"),
    metavar="FILE",
    help="With --scrub: the same stand-ins each time, made with this secret file.",
)
@click.option("--saga", metavar="NAME", help="Only runs of this saga; of a key that several have, this one's.")
@click.pass_obj
def export(
    invocation: Invocation,
    ids_or_keys: tuple[str, ...],
    everything: bool,
    where: str | None,
    scrub: bool,
    salt: IO[bytes] | None,
    saga: str | None,
) -> None:
    """Write histories as JSON Lines.

    One event a line, the events of a saga in order, for `sagalog replay --from`. The output holds inputs and results:
    treat it as you treat the database. With --scrub it holds none: texts and numbers are replaced, names of sagas,
    steps, fields and error classes stay, and so do times.
    """
    if (everything or where is not None) == bool(ids_or_keys):
        raise click.UsageError("name the sagas to export, or give --all or --where", click.get_current_context())
    wanted_by = filter_of(where, time.time_ns() // 1_000)
    if salt is not None and not scrub:
        raise click.UsageError("--salt goes with --scrub", click.get_current_context())
    shown: Callable[[Sequence[StoredEvent]], Iterable[StoredEvent]] = _as_it_is
    if scrub:
        shown = Scrubber(secrets.token_bytes(32) if salt is None else _key(salt)).scrubbed
    out: IO[bytes] = sys.stdout.buffer
    with store_of(invocation) as store:
        # All names are looked up before anything is written, because half an export looks like a whole one.
        if ids_or_keys:
            wanted = iter([find(store, one, saga).saga_id for one in ids_or_keys])
        else:
            wanted = (row.saga_id for row in every_saga(store, wanted_by, saga))
        found = False
        for ids in _batches(wanted):
            histories = store.read_many(ids)
            for saga_id in ids:
                found = True
                out.write(b"".join(export_line(stored) for stored in shown(histories.get(saga_id, ()))))
    out.flush()
    if not found:
        note("no saga matches" if where is not None or saga is not None else "there is no saga yet")


def _as_it_is(history: Sequence[StoredEvent]) -> Iterable[StoredEvent]:
    return history


def _key(salt: IO[bytes]) -> bytes:
    """Return the key that a file holds; raises `click.UsageError` if it could be guessed."""
    found = salt.read().strip()
    if len(found) < SHORTEST_SALT:
        raise click.UsageError(
            f"--salt: expected at least {SHORTEST_SALT} bytes that nobody can guess, found {len(found)}; write them "
            "with `openssl rand -hex 32`",
            click.get_current_context(),
        )
    return hashlib.sha256(found).digest()


def _batches(ids: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for saga_id in ids:
        batch.append(saga_id)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
