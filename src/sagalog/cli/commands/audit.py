"""`sagalog audit`: the app's audit queries, each of which must return no row; it only reads."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.text import Text

from sagalog.cli.address import SqlStore, store_of
from sagalog.cli.app import load_app
from sagalog.cli.as_of import AsOf, InLog, Place, as_of
from sagalog.cli.contract import check_needs, has_table, is_need, needs, not_there, opening_comment
from sagalog.cli.encoding import text_of
from sagalog.cli.failures import FAILURE, OK, NotThere, one_line
from sagalog.cli.junit import Case, report
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit, note, write
from sagalog.cli.quantities import moment
from sagalog.cli.selection import record
from sagalog.cli.table import Column, plain, rows_table, status_text
from sagalog.clock import SystemClock
from sagalog.errors import InvalidInput, QueryRefused, StoreError
from sagalog.projections.schema import with_numbers
from sagalog.stores.aside import COLUMNS_NOT_IN_THE_LOG, TABLES_NOT_IN_THE_LOG
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli.commands", "audit.sql")
MOST_SHOWN = 20


class Audit(NamedTuple):
    """The result of a query: no rows if all is well, None if it could not be run.

    `unknown` is why it has no answer as of an earlier moment. `at` are the position and the time of that moment.
    """

    name: str
    meaning: str
    columns: list[str]
    rows: list[tuple[Any, ...]] | None
    error: str | None = None
    unknown: str | None = None
    at: tuple[int, int] | None = None

    @property
    def result(self) -> str:
        """Return "ok", "wrong" or "unknown"; a query that cannot be run is wrong, too."""
        if self.unknown is not None:
            return "unknown"
        return "ok" if self.rows == [] else "wrong"


COLUMNS: tuple[Column[Audit], ...] = (
    Column("AUDIT", lambda audit: audit.name),
    Column("RESULT", lambda audit: status_text(audit.result)),
    Column("ROWS", lambda audit: "" if audit.rows is None else f"{len(audit.rows):,}", right=True),
)


class Auditing(NamedTuple):
    """What audits are asked of: the database in use, what time `:now` is, and how it was then, if that is asked."""

    live: SqlStore
    now: int
    then: AsOf | None = None

    def ask(self, path: Path) -> Audit:
        """Run one query; raises `StoreUnavailable` only if the database does not answer at all."""
        store = self.live if self.then is None else self.then.store
        at = None if self.then is None else (self.then.position, self.then.time)
        try:
            sql = text_of(path.read_bytes(), str(path))
        except (OSError, InvalidInput) as problem:
            return Audit(path.stem, "", [], None, one_line(str(problem)), None, at)
        try:
            self._check_built(sql)
            check_needs(store, sql)
            columns, rows = store.query(with_numbers(sql, {"now": self.now}))
        except StoreError as problem:
            store.query(SQL["answers"])
            unknown = self._unknown(problem)
            error = None if unknown is not None else one_line(str(problem))
            return Audit(path.stem, _meaning(sql), [], None, error, unknown, at)
        return Audit(path.stem, _meaning(sql), columns, rows, None, None, at)

    def _check_built(self, sql: str) -> None:
        """Raise `QueryRefused` if SQL needs a projection whose tables of then are not whole."""
        unbuilt = {} if self.then is None else self.then.unbuilt
        for one in needs(sql):
            if one.is_projection and one.name in unbuilt:
                raise QueryRefused(unbuilt[one.name])

    def _unknown(self, problem: StoreError) -> str | None:
        """Return why a query has no answer as of then: it asks for something that no log tells."""
        if self.then is None or not isinstance(problem, QueryRefused):
            return None
        table, column = not_there(problem)
        if column in COLUMNS_NOT_IN_THE_LOG:
            return f"it asks for {column}, which is not in the log: it is known only as it is now"
        if table is not None and (table in TABLES_NOT_IN_THE_LOG or has_table(self.live, table)):
            return f"it asks for {table}, which is not computed from the log: it is known only as it is now"
        return None


def _meaning(sql: str) -> str:
    """Return the opening comment of a query, which says what a row means and what to do."""
    return " ".join(line.removeprefix("--").strip() for line in opening_comment(sql) if not is_need(line))


@click.command(cls=RowsCommand)
@click.option("--at", type=InLog(), help="As of that position of the log, or that time, from the log alone.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    metavar="FILE",
    help="Also write a report in the form of JUnit; - is stdout.",
)
@click.pass_context
def audit(ctx: click.Context, at: Place | None, junit: str | None) -> None:
    """Run the app's audit queries, which must return no row.

    These are the .sql files in the folder projections/audit of --app-dir. The exit code is 1 if one returns a row.
    With --at the tables are computed as they were then, those of the app's projections too, beside the database in use.
    """
    invocation = ctx.ensure_object(Invocation)
    folder = invocation.app_dir.resolve() / "projections" / "audit"
    paths = sorted(folder.glob("*.sql"))
    if junit not in (None, "-") and not Path(junit).absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {Path(junit).parent} to write it to", ctx, param_hint="--junit")
    if not paths:
        raise NotThere(f"there are no .sql files in {folder}, where audit queries belong; see --app-dir")
    with ExitStack() as stack:
        app = None if at is None else load_app(invocation)
        live = stack.enter_context(store_of(invocation))
        auditing, troubles = Auditing(live, SystemClock().now()), list[str]()
        if at is not None and app is not None:
            then = stack.enter_context(as_of(invocation, live, app, at))
            auditing, troubles = Auditing(live, then.time, then), then.troubles
            for text in [*then.notes, *troubles]:
                note(text)
        audits = [auditing.ask(path) for path in paths]
    if junit is not None:
        with click.open_file(junit, "wb") as file:
            file.write(report("sagalog audit", [_case(one) for one in audits], _properties(audits)))
    if junit != "-":
        _show(audits, invocation.output)
    ctx.exit(FAILURE if troubles or any(one.result == "wrong" for one in audits) else OK)


def _properties(audits: Sequence[Audit]) -> Mapping[str, str]:
    at = audits[0].at
    return {} if at is None else {"at_position": str(at[0]), "at_time": moment(at[1], "microseconds")}


def _show(audits: Sequence[Audit], output: str) -> None:
    emit(output, audits, COLUMNS, _record)
    if output != "table":
        return
    for one in audits:
        if one.result != "ok":
            _explain(one)
    at = audits[0].at
    if at is not None:
        write()
        write(Text(f"as of position {at[0]:,}, {moment(at[1])}", style="dim"))


def _case(audit: Audit) -> Case:
    if audit.error is not None or audit.unknown is not None:
        return Case(audit.name, error=audit.error, skipped=audit.unknown)
    if not audit.rows:
        return Case(audit.name)
    rows = [", ".join(f"{name}={value}" for name, value in zip(audit.columns, row, strict=True)) for row in audit.rows]
    more = [f"and {len(rows) - MOST_SHOWN:,} more"] if len(rows) > MOST_SHOWN else []
    found = f"{len(rows):,} rows: {audit.meaning}"
    return Case(audit.name, found="\n".join([found, *rows[:MOST_SHOWN], *more]))


def _record(audit: Audit) -> dict[str, Any]:
    return {
        "audit": audit.name,
        "at_position": None if audit.at is None else audit.at[0],
        "at_time": None if audit.at is None else moment(audit.at[1], "microseconds"),
        "result": audit.result,
        "rows": None if audit.rows is None else len(audit.rows),
        "error": audit.error,
        "unknown": audit.unknown,
        "found": [record(audit.columns, row) for row in audit.rows or ()],
    }


def _explain(audit: Audit) -> None:
    write()
    style = "bold" if audit.result == "unknown" else "bold red"
    write(Text.assemble((audit.name, style), "  ", plain(audit.error or audit.unknown or audit.meaning)))
    rows = audit.rows or []
    if rows:
        write(rows_table(audit.columns, rows[:MOST_SHOWN], indent=2), indent=2)
    if len(rows) > MOST_SHOWN:
        write(f"and {len(rows) - MOST_SHOWN:,} more; -o json gives all of them", indent=2)
