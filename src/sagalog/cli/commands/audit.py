"""`sagalog audit`: the app's audit queries, each of which must return no row; it only reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.text import Text

from sagalog.cli.address import SqlStore, store_of
from sagalog.cli.contract import check_needs, is_need, opening_comment
from sagalog.cli.encoding import text_of
from sagalog.cli.failures import FAILURE, OK, NotThere, one_line
from sagalog.cli.junit import Case, report
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit, write
from sagalog.cli.selection import record
from sagalog.cli.table import Column, plain, rows_table, status_text
from sagalog.errors import StoreError
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli.commands", "audit.sql")
MOST_SHOWN = 20


class Audit(NamedTuple):
    """The result of a query: no rows if all is well, None if it could not be run."""

    name: str
    meaning: str
    columns: list[str]
    rows: list[tuple[Any, ...]] | None
    error: str | None = None

    @property
    def result(self) -> str:
        """Return "ok" or "wrong"; a query that cannot be run is wrong, too."""
        return "ok" if self.rows == [] else "wrong"


COLUMNS: tuple[Column[Audit], ...] = (
    Column("AUDIT", lambda audit: audit.name),
    Column("RESULT", lambda audit: status_text(audit.result)),
    Column("ROWS", lambda audit: "" if audit.rows is None else f"{len(audit.rows):,}", right=True),
)


def run_audit(store: SqlStore, path: Path) -> Audit:
    """Run one query; raises `StoreUnavailable` only if the database does not answer at all."""
    sql = text_of(path.read_bytes(), str(path))
    try:
        check_needs(store, sql)
        columns, rows = store.query(sql)
    except StoreError as problem:
        store.query(SQL["answers"])
        return Audit(path.stem, _meaning(sql), [], None, one_line(str(problem)))
    return Audit(path.stem, _meaning(sql), columns, rows)


def _meaning(sql: str) -> str:
    """Return the opening comment of a query, which says what a row means and what to do."""
    return " ".join(line.removeprefix("--").strip() for line in opening_comment(sql) if not is_need(line))


@click.command(cls=RowsCommand)
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    metavar="FILE",
    help="Also write a report in the form of JUnit; - is stdout.",
)
@click.pass_context
def audit(ctx: click.Context, junit: str | None) -> None:
    """Run the app's audit queries, which must return no row.

    These are the .sql files in the folder projections/audit of --app-dir. The exit code is 1 if one returns a row.
    """
    invocation = ctx.ensure_object(Invocation)
    folder = invocation.app_dir.resolve() / "projections" / "audit"
    paths = sorted(folder.glob("*.sql"))
    if junit not in (None, "-") and not Path(junit).absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {Path(junit).parent} to write it to", ctx, param_hint="--junit")
    if not paths:
        raise NotThere(f"there are no .sql files in {folder}, where audit queries belong; see --app-dir")
    with store_of(invocation) as store:
        audits = [run_audit(store, path) for path in paths]
    if junit is not None:
        with click.open_file(junit, "wb") as file:
            file.write(report("sagalog audit", [_case(one) for one in audits]))
    if junit != "-":
        _show(audits, invocation.output)
    ctx.exit(FAILURE if any(one.result != "ok" for one in audits) else OK)


def _show(audits: Sequence[Audit], output: str) -> None:
    emit(output, audits, COLUMNS, _record)
    wrong = [one for one in audits if one.result != "ok"]
    if output == "table":
        for one in wrong:
            _explain(one)


def _case(audit: Audit) -> Case:
    if audit.error is not None:
        return Case(audit.name, error=audit.error)
    if not audit.rows:
        return Case(audit.name)
    rows = [", ".join(f"{name}={value}" for name, value in zip(audit.columns, row, strict=True)) for row in audit.rows]
    more = [f"and {len(rows) - MOST_SHOWN:,} more"] if len(rows) > MOST_SHOWN else []
    found = f"{len(rows):,} rows: {audit.meaning}"
    return Case(audit.name, found="\n".join([found, *rows[:MOST_SHOWN], *more]))


def _record(audit: Audit) -> dict[str, Any]:
    return {
        "audit": audit.name,
        "result": audit.result,
        "rows": None if audit.rows is None else len(audit.rows),
        "error": audit.error,
        "found": [record(audit.columns, row) for row in audit.rows or ()],
    }


def _explain(audit: Audit) -> None:
    write()
    write(Text.assemble((audit.name, "bold red"), "  ", plain(audit.error or audit.meaning)))
    rows = audit.rows or []
    if rows:
        write(rows_table(audit.columns, rows[:MOST_SHOWN], indent=2), indent=2)
    if len(rows) > MOST_SHOWN:
        write(f"and {len(rows) - MOST_SHOWN:,} more; -o json gives all of them", indent=2)
