"""`sagalog audit`: the app's audit queries, each of which must return no row; it only reads."""

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sagalog.cli.failures import FAILURE, NotThere, one_line
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import Column, Row, emit, plain, status_text, table_of, write
from sagalog.errors import StoreError
from sagalog.store import Store
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli", "audit.sql")
MOST_SHOWN = 20

COLUMNS = (
    Column("AUDIT", lambda row: row["audit"]),
    Column("RESULT", lambda row: status_text(row["result"])),
    Column("ROWS", lambda row: "" if row["rows"] is None else f"{row['rows']:,}", right=True),
)


def audit_one(store: Store, path: Path) -> dict[str, Any]:
    """Run one query; one that cannot be run is as wrong as one that finds something."""
    sql = path.read_text("utf-8")
    found: dict[str, Any] = {"audit": path.stem, "result": "ok", "rows": None, "error": None}
    found |= {"_meaning": _meaning(sql), "_columns": [], "_found": []}
    try:
        columns, rows = store.query(sql)
    except StoreError as problem:
        store.query(SQL["answers"])
        return found | {"result": "wrong", "error": one_line(str(problem))}
    return found | {"rows": len(rows), "result": "wrong" if rows else "ok", "_columns": columns, "_found": rows}


def _meaning(sql: str) -> str:
    """Return the opening comment of a query, which says what a row means and what to do."""
    header = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        header.append(line.removeprefix("--").strip())
    return " ".join(header)


@click.command(cls=RowsCommand)
@click.pass_context
def audit(ctx: click.Context) -> None:
    """Run the app's audit queries, which must return no row.

    These are the .sql files in the folder projections/audit of --app-dir. The exit code is 1 if one returns a row.
    """
    invocation = ctx.ensure_object(Invocation)
    folder = invocation.app_dir.resolve() / "projections" / "audit"
    paths = sorted(folder.glob("*.sql"))
    if not paths:
        raise NotThere(f"there are no .sql files in {folder}, where audit queries belong; see --app-dir")
    with invocation.store() as store:
        rows = [audit_one(store, path) for path in paths]
    emit(invocation.output, rows, COLUMNS, _record)
    if invocation.output == "table":
        for row in rows:
            if row["result"] != "ok":
                _explain(row)
    ctx.exit(FAILURE if any(row["result"] != "ok" for row in rows) else 0)


def _record(row: Row) -> dict[str, Any]:
    found = {name: value for name, value in row.items() if not name.startswith("_")}
    found["found"] = [dict(zip(row["_columns"], values, strict=True)) for values in row["_found"]]
    return found


def _explain(row: Row) -> None:
    write()
    write(Text.assemble((row["audit"], "bold red"), "  ", plain(row["error"] or row["_meaning"])))
    if row["_found"]:
        write(rows_table(row["_columns"], row["_found"][:MOST_SHOWN]), indent=2)
    if len(row["_found"]) > MOST_SHOWN:
        write(f"and {len(row['_found']) - MOST_SHOWN:,} more; -o json gives all of them", indent=2)


def rows_table(columns: list[str], rows: list[tuple[Any, ...]]) -> Any:
    """Return the result of a query as a table, numbers to the right."""

    def cell(index: int) -> Any:
        return lambda row: row["values"][index]

    def is_number(index: int) -> bool:
        return bool(rows) and all(isinstance(row[index], int | float) for row in rows)

    titles = [Column(name, cell(index), right=is_number(index)) for index, name in enumerate(columns)]
    return table_of([{"values": row} for row in rows], titles)
