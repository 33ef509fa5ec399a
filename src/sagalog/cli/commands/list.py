"""`sagalog list`: sagas that match the options, a page at a time; it only reads."""

import time
from collections.abc import Sequence
from difflib import get_close_matches

import click

from sagalog.cli.address import store_of
from sagalog.cli.lookup import filter_of, find, where_option
from sagalog.cli.one_saga import attribute_record, error_of
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import record
from sagalog.cli.paging import after_option, emit_page, limit_option
from sagalog.cli.quantities import Age, duration, moment
from sagalog.cli.table import Column, status_text
from sagalog.saga.transitions import STATUSES, Status
from sagalog.store import Query, StatusRow, Store
from sagalog.store.attributes import typed, wanted_of
from sagalog.store.filters import attributes_in


def _took(row: StatusRow) -> str:
    return duration((row.ended_at or time.time_ns() // 1_000) - row.started_at)


def _where(row: StatusRow) -> str:
    return error_of(row) or row.waiting_for or ""


COLUMNS: tuple[Column[StatusRow], ...] = (
    Column("ID", lambda row: row.saga_id, style="dim", spare=2),
    Column("SAGA", lambda row: row.saga_name, spare=1),
    Column("KEY", lambda row: row.saga_key),
    Column("STATUS", lambda row: status_text(row.status)),
    Column("STARTED", lambda row: moment(row.started_at, "seconds")),
    Column("TOOK", _took, right=True),
    Column("ERROR OR WAITING FOR", _where, narrows="cut"),
)


@click.command("list", cls=RowsCommand)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    help="Only sagas with this status; may be given several times.",
)
@click.option("--saga", metavar="NAME", help="Only runs of this saga.")
@click.option("--key", metavar="KEY", help="Only sagas with this key.")
@click.option("--error", metavar="TEXT", help="Only sagas whose error's type or text contains this.")
@click.option("--older", type=Age(), help="Only sagas started longer ago than this: 10m, 2h, 1d12h.")
@click.option("--newer", type=Age(), help="Only sagas started within this time.")
@click.option(
    "--attribute",
    "attributes",
    metavar="CONDITION",
    multiple=True,
    help="Only sagas that meet it: customer=c-1 or 'amount>=100' (= != < <= > >=); of several, all.",
)
@where_option
@limit_option
@after_option("saga")
@click.pass_obj
def list_sagas(
    invocation: Invocation,
    statuses: tuple[Status, ...],
    saga: str | None,
    key: str | None,
    error: str | None,
    older: int | None,
    newer: int | None,
    attributes: tuple[str, ...],
    where: str | None,
    limit: int,
    after: str | None,
) -> None:
    """List sagas, newest first.

    A terminal that is too narrow shows no ids and no names of sagas; a pipe and -o show all.
    """
    now = time.time_ns() // 1_000
    query = Query(
        saga_name=saga,
        statuses=statuses,
        key=key,
        error=error,
        started_before=None if older is None else now - older,
        started_after=None if newer is None else now - newer,
        before=after,
        # One row more than is shown, to know whether there is another page.
        limit=limit + 1,
        attributes=[typed(one) for one in attributes],
        where=filter_of(where, now),
    )
    with store_of(invocation) as store:
        if after is not None:
            find(store, after)
        rows = store.find(query)
        unknown = "" if rows else _unknown(store, _attributes(query))
        values = {} if invocation.output == "table" else store.attributes([row.saga_id for row in rows])
    nothing = "no saga matches" if query != Query(limit=limit + 1) else "there is no saga yet"
    emit_page(
        invocation,
        rows,
        COLUMNS,
        lambda row: record(row) | attribute_record(values.get(row.saga_id, ())),
        limit=limit,
        command=("list",),
        id_of=lambda row: row.saga_id,
        nothing=f"{nothing}{unknown}",
    )


def _attributes(query: Query) -> list[str]:
    """Return the names of the attributes that are compared."""
    names = [wanted_of(one).name for one in query.attributes]
    return names if query.where is None else [*names, *attributes_in(query.where)]


def _unknown(store: Store, names: Sequence[str]) -> str:
    """Return what to add if no saga at all has one of these attributes: its name, and names like it."""
    known = store.attribute_names() if names else []
    missing = [one for one in names if one not in known]
    if not missing:
        return ""
    close = get_close_matches(missing[0], known, 3) or known[:10]
    return f"; no saga has an attribute {missing[0]}{': there are ' if close else ''}{', '.join(close)}"
