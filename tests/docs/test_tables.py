"""The reference of the tables names every table, view and column of a fresh database, on SQLite and on PostgreSQL."""

import contextlib
import sqlite3
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from pages.pages import page

from sagalog.participant_kit import ParticipantKit
from sagalog.readmodel import rows
from sagalog.saga.state import UndoStatus
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sqlite.store import SQLiteStore

SQL = page("reference/sql.md")
ONLY_ON_POSTGRES = "(PostgreSQL only)"
QUERIES = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8").split("-- name: ")
QUERY = {name: text for name, _, text in (block.partition("\n") for block in QUERIES[1:])}

Tables = dict[str, list[str]]


def documented(postgres: bool) -> Tables:
    """Return the columns of each table on the page, in order."""
    found: Tables = {}
    for heading in SQL.headings:
        # What statuses and the like mean stands in tables below that of the columns.
        table = SQL.section(heading).partition("| column |")[2].partition("\n\n")[0]
        rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
        columns = [row[1].strip(" `") for row in rows if postgres or ONLY_ON_POSTGRES not in row[2]]
        if heading.startswith("saga_"):
            found[heading] = columns
    return found


def by_table(rows: list[tuple[str, str]]) -> Tables:
    found: Tables = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def test_every_column_on_sqlite_is_documented_and_no_other(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "fresh.db"))
    store.open()
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "fresh.db")) as connection:
        ParticipantKit("bank").create(connection)
        assert by_table(connection.execute(QUERY["sqlite"]).fetchall()) == documented(postgres=False)


@pytest.mark.postgres
def test_every_column_on_postgres_is_documented_and_no_other(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    store.open()
    store.close()
    with psycopg.connect(postgres_url) as connection:
        ParticipantKit("bank").create(connection)
        rows = connection.execute(QUERY["postgres"].encode()).fetchall()
    assert by_table([(table, column) for table, column in rows]) == documented(postgres=True)


def test_every_status_of_a_step_is_documented_and_no_other() -> None:
    actions = [row[0].strip("`") for row in SQL.rows("status of an action")]
    # What waits, for a reply, an event or time to pass, is told apart from what is open.
    assert sorted(actions) == sorted({*rows._ACTION_STATUS.values(), "waiting"})
    compensations = [row[0].strip("`") for row in SQL.rows("status of a compensation")]
    # What runs at the moment is told apart from what is pending; a step that is not to be undone has no row.
    assert sorted(compensations) == sorted({*get_args(UndoStatus), "running"} - {"none"})
