"""`sagalog list`: sagas by what is looked for, a page at a time; it only reads."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

import click
from click.core import ParameterSource

from sagalog.cli.lookup import find
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit, note, record
from sagalog.cli.quantities import duration, moment, parse_duration
from sagalog.cli.table import Column, status_text
from sagalog.saga.transitions import STATUSES, Status
from sagalog.store import Query, StatusRow


class Age(click.ParamType[int]):
    """A length of time such as 10m, as microseconds."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the microseconds."""
        try:
            return value if isinstance(value, int) else parse_duration(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


def error_of(row: StatusRow) -> str:
    """Return a saga's error on one line; for a stuck one that is the reason, which names the error itself."""
    if row.error_type is None:
        return ""
    return row.error_text or "" if row.status == "stuck" else f"{row.error_type}: {row.error_text}"


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
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--after", metavar="ID", help="Go on after this saga: the last one of the page before.")
@click.pass_obj
def list_sagas(
    invocation: Invocation,
    statuses: tuple[Status, ...],
    saga: str | None,
    key: str | None,
    error: str | None,
    older: int | None,
    newer: int | None,
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
        # One more than is shown tells whether there is another page.
        limit=limit + 1,
    )
    with invocation.store() as store:
        if after is not None:
            find(store, after)
        rows = store.find(query)
    emit(invocation.output, rows[:limit], COLUMNS, record)
    if not rows and invocation.output == "table":
        note("no saga matches" if query != Query(limit=limit + 1) else "there is no saga yet")
    if len(rows) > limit:
        note(f"next page: {next_page(invocation, ('list',), rows[limit - 1].saga_id)}")


def next_page(invocation: Invocation, command: Sequence[str], last: str) -> str:
    """Return the command line for the page after `last`, with everything else as it was given."""
    context = click.get_current_context()
    words = [*command]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if option.name == "after" or not given or value is None:
            continue
        for one in _each(value):
            words += [option.opts[0], f"{one // 1_000}ms" if isinstance(option.type, Age) else str(one)]
    words += ["--after", last]
    if invocation.output != "table":
        words += ["-o", invocation.output]
    return invocation.words(*words)


def _each(value: Any) -> Iterable[Any]:
    """Return the values of an option that may be given several times, or its one value."""
    return cast("Iterable[Any]", value) if isinstance(value, tuple) else (value,)
