"""`sagalog unmatched`: messages that nobody could take, the reasons, and decisions about them. It routes nothing."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import click

from sagalog.cli.address import address_of, require_file, store_of
from sagalog.cli.failures import NotThere
from sagalog.cli.options import Command, Invocation, RowsCommand
from sagalog.cli.output import emit, note, record, write, write_fields, write_json
from sagalog.cli.paging import after_option, emit_page, limit_option
from sagalog.cli.people import login
from sagalog.cli.quantities import moment
from sagalog.cli.table import Column, plain, status_text
from sagalog.errors import InvalidAction
from sagalog.process_manager import ProcessManager
from sagalog.saga.identifiers import check_lookup
from sagalog.store import UNMATCHED_STATUSES, Store, UnmatchedQuery, UnmatchedRow, UnmatchedStatus

ANY: Final = "any"
PAGE = 500

COLUMNS: tuple[Column[UnmatchedRow], ...] = (
    Column("ID", lambda row: row.unmatched_id, style="dim"),
    Column("CONSUMER", lambda row: row.consumer, spare=1),
    Column("NAME", lambda row: row.name),
    Column("STATUS", lambda row: status_text(row.status)),
    Column("PARKED", lambda row: moment(row.parked_at, "seconds"), spare=2),
    Column("REASON", lambda row: row.reason, narrows="cut"),
)


@click.group("unmatched", context_settings={"help_option_names": ["-h", "--help"]})
def unmatched() -> None:
    """See messages that nobody could take; redeliver or discard them."""


@unmatched.command("list", cls=RowsCommand)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice((*UNMATCHED_STATUSES, ANY)),
    help="Only messages with this status; may be given several times.  [default: parked]",
)
@click.option("--name", metavar="NAME", help="Only messages of this name.")
@click.option("--consumer", metavar="CONSUMER", help="Only those that this consumer was to take.")
@limit_option
@after_option("message")
@click.pass_obj
def list_unmatched(
    invocation: Invocation,
    statuses: tuple[UnmatchedStatus | Literal["any"], ...],
    name: str | None,
    consumer: str | None,
    limit: int,
    after: str | None,
) -> None:
    """List messages that nobody could take, newest first."""
    query = UnmatchedQuery(
        statuses=() if ANY in statuses else [one for one in statuses if one != ANY] or ("parked",),
        name=name,
        consumer=consumer,
        before=after,
        # One row more than is shown, to know whether there is another page.
        limit=limit + 1,
    )
    with store_of(invocation) as store:
        if after is not None:
            _find(store, after)
        rows = store.unmatched(query)
    nothing = "no message matches" if query != UnmatchedQuery(limit=limit + 1) else "no message is parked"
    emit_page(
        invocation,
        rows,
        COLUMNS,
        _record,
        limit=limit,
        command=("unmatched", "list"),
        id_of=lambda row: row.unmatched_id,
        nothing=nothing,
    )


@unmatched.command("show", cls=RowsCommand)
@click.argument("unmatched_id", metavar="ID")
@click.pass_obj
def show_unmatched(invocation: Invocation, unmatched_id: str) -> None:
    """Show one message, why nobody took it, and what a person did about it."""
    with store_of(invocation) as store:
        row = _find(store, unmatched_id)
    if invocation.output == "json":
        write_json(_record(row))
    elif invocation.output == "table":
        _show(row)
    else:
        emit(invocation.output, [row], COLUMNS, _record)


def _settling(function: Any) -> Any:
    """Add the options that `redeliver` and `discard` share."""
    for decorate in (
        click.option("--dry-run", is_flag=True, help="Only list the messages that are meant."),
        click.option(
            "--reason", metavar="TEXT", help="Why; it is recorded with the message. Needed but for a dry run."
        ),
        click.option("--actor", metavar="NAME", help="Who; it is recorded too.  [default: your login name]"),
        click.option("--consumer", metavar="CONSUMER", help="With --all: only those that this consumer was to take."),
        click.option("--name", metavar="NAME", help="With --all: only messages of this name."),
        click.option("--all", "every", is_flag=True, help="Every message that is parked."),
        click.argument("unmatched_ids", metavar="[ID]...", nargs=-1),
        click.pass_obj,
    ):
        function = decorate(function)
    return function


@unmatched.command("redeliver", cls=Command)
@_settling
def redeliver(invocation: Invocation, **given: Any) -> None:
    """Let parked messages be delivered again, by the worker that reads for whoever could not take them."""
    _settle(invocation, "redeliver", **given)


@unmatched.command("discard", cls=Command)
@_settling
def discard(invocation: Invocation, **given: Any) -> None:
    """Give messages up that are parked, or tried again in vain; what waits behind them goes on."""
    _settle(invocation, "discard", **given)


def _settle(
    invocation: Invocation,
    what: str,
    unmatched_ids: Sequence[str],
    every: bool,
    name: str | None,
    consumer: str | None,
    actor: str | None,
    reason: str | None,
    dry_run: bool,
) -> None:
    if every == bool(unmatched_ids):
        raise click.UsageError("name the messages by their ids, or give --all; `sagalog unmatched list` shows them")
    if not every and (name is not None or consumer is not None):
        raise click.UsageError("--name and --consumer narrow --all; they say nothing about ids")
    if reason is None and not dry_run:
        raise click.UsageError(
            "Missing option '--reason': say why, which is recorded with the message; only --dry-run needs none"
        )
    address = address_of(invocation)
    with store_of(invocation) as store:
        statuses = ("parked",) if what == "redeliver" else ("parked", "redelivering")
        ids = [_unsettled(store, one, statuses) for one in unmatched_ids]
        rows = list(_every(store, name, consumer)) if every else ids
    if reason is not None and not dry_run and rows:
        asyncio.run(_tell(address, what, rows, actor or login(), reason))
    for row in rows:
        click.echo(
            f"{'would ' if dry_run else ''}{what} {plain(row.name)} {plain(row.message_id)} for {plain(row.consumer)}"
        )
    if not rows:
        note("no message is parked that matches")


async def _tell(address: str, what: str, rows: Sequence[UnmatchedRow], actor: str, reason: str) -> None:
    require_file(address)
    async with ProcessManager(address, worker=False) as process_manager:
        settle = process_manager.redeliver if what == "redeliver" else process_manager.discard
        for row in rows:
            await settle(row.unmatched_id, actor=actor, reason=reason)


def _every(store: Store, name: str | None, consumer: str | None) -> Iterator[UnmatchedRow]:
    before: str | None = None
    while True:
        page = store.unmatched(UnmatchedQuery(name=name, consumer=consumer, before=before, limit=PAGE))
        yield from page
        if len(page) < PAGE:
            return
        before = page[-1].unmatched_id


def _find(store: Store, unmatched_id: str) -> UnmatchedRow:
    """Return one row; raises `NotThere` if it does not exist."""
    check_lookup(unmatched_id, "the id")
    for row in store.unmatched(UnmatchedQuery(statuses=(), unmatched_id=unmatched_id)):
        return row
    raise NotThere(f"no unmatched message has the id {unmatched_id!r}; `sagalog unmatched list` shows those there are")


def _unsettled(store: Store, unmatched_id: str, statuses: Sequence[str]) -> UnmatchedRow:
    """Return one row to be settled; raises `NotThere`, or `InvalidAction` if it is settled already."""
    row = _find(store, unmatched_id)
    if row.status not in statuses:
        by = f" by {row.actor}" if row.actor else ""
        raise InvalidAction(f"message {unmatched_id} is {row.status}{by}, not parked; nothing was done")
    return row


def _record(row: UnmatchedRow) -> dict[str, Any]:
    """Return a row for machines; the message is JSON data if it can be read, otherwise text."""
    found = record(row)
    found["message"] = _readable(row.message)
    return found


def _readable(message: str) -> Any:
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return message


def _show(row: UnmatchedRow) -> None:
    fields: list[tuple[str, object]] = [
        ("id", row.unmatched_id),
        ("status", row.status),
        ("reason", row.reason),
        ("consumer", row.consumer),
        (row.kind, row.name),
        ("message id", row.message_id),
        ("from", row.source),
        ("parked", moment(row.parked_at)),
    ]
    if row.correlation_id is not None:
        fields.append(("correlation", row.correlation_id))
    if row.causation_id is not None:
        fields.append(("causation", row.causation_id))
    if row.position is not None:
        fields.append(("position", row.position))
    if row.settled_at is not None:
        fields.append((row.status, f"{moment(row.settled_at)}, by {row.actor}: {row.settled_reason}"))
    write_fields(fields)
    write()
    message = _readable(row.message)
    pretty = row.message if isinstance(message, str) else json.dumps(message, indent=2, ensure_ascii=False)
    for line in pretty.split("\n"):
        write(plain(line), indent=2)
