"""What a database holds as text, row by row, and back into an empty database; it knows no saga.

The rows are SQL, so that a file can be read, compared and loaded by the plain drivers. What is compared with a file has
the columns, and the migrations, that the file knows: newer ones may be added, and then the file is still true.
"""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Raw
from msgspec.json import decode, encode
from msgspec.structs import asdict
from psycopg.types.string import TextLoader

from sagalog.store import UNMATCHED_STATUSES, Query, Store, UnmatchedQuery

HERE = Path(__file__).parent
# Every table of rows that sagalog writes; saga_tracking has one that comes with the schema.
TABLES = (
    "saga_schema",
    "saga_events",
    "saga_status",
    "saga_steps",
    "saga_messages",
    "saga_commands",
    "saga_inbox",
    "saga_consumers",
    "saga_unmatched",
    "saga_workers",
)
HEADER = """-- The rows of a database as the last process of the story has left it, which `story.py` tells.
-- Nothing here may change: see `write.py`.

"""
STEPS_OF_THE_SCHEMA = 4
# What is true of the machine and the moment, and not of what was told.
OF_THE_MACHINE = {"applied_at": 0, "host": "a host", "pid": 1}


def load(address: str) -> None:
    """Load the recorded database into an empty one."""
    if address.startswith("sqlite"):
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
            connection.executescript(text_of("sqlite_schema.sql") + text_of("sqlite_rows.sql"))
    else:
        with psycopg.connect(address, autocommit=True) as server:
            sql: Any = text_of("postgres_schema.sql") + text_of("postgres_rows.sql")
            server.execute(sql)


def text_of(name: str) -> str:
    """Return a recorded file."""
    return (HERE / name).read_text(encoding="utf-8")


def columns_in(recorded: str, table: str) -> list[str] | None:
    """Return the columns that a recorded file has of a table; None if it has none of it."""
    found = re.search(rf"^INSERT INTO {table} \((.+)\) VALUES$", recorded, re.MULTILINE)
    return None if found is None else found[1].split(", ")


def fields_in(recorded: str) -> frozenset[str]:
    """Return the fields that the recorded lines have of rows of any kind."""
    lines = [decode(line) for line in recorded.splitlines() if line.startswith('["')]
    return frozenset(
        name for line in lines if line[1:] and all(isinstance(one, str) for one in line) for name in line[1:]
    )


def sql_of(address: str, recorded: str = "") -> str:
    """Return the rows of a database as SQL: a statement for each table, a row a line (more if its text has several).

    Of a table that is in `recorded` it has the columns that are there, and of the schema's steps those that are.
    """
    return HEADER + "\n".join(statement_of(address, table, recorded) for table in TABLES)


def statement_of(address: str, table: str, recorded: str = "") -> str:
    """Return the rows of a table as a statement; those of the log in its order, all others by their keys."""
    every, found = asked(address, table)
    columns = columns_in(recorded, table) or every
    rows = [[row[every.index(name)] for name in columns] for row in found]
    if table == "saga_schema" and recorded:
        rows = rows[:STEPS_OF_THE_SCHEMA]
    is_sqlite = address.startswith("sqlite")
    values = [
        ", ".join(literal(OF_THE_MACHINE.get(name, value), is_sqlite) for name, value in zip(columns, row, strict=True))
        for row in rows
    ]
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES\n" + ",\n".join(f"({row})" for row in values) + ";\n"
    if table == "saga_events" and not is_sqlite:
        sql += f"SELECT setval('saga_events_notification_id_seq', {len(rows)});\n"
    return sql


def asked(address: str, table: str) -> tuple[list[str], list[Sequence[Any]]]:
    """Return the columns and the rows of a table as the plain driver gives them."""
    if address.startswith("sqlite"):
        columns = "rowid, *" if table == "saga_events" else "*"
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
            found: Any = connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3")
            return [column[0] for column in found.description], found.fetchall()
    with psycopg.connect(address, autocommit=True) as server:
        server.adapters.register_loader("json", TextLoader)
        order = "notification_id" if table == "saga_events" else "1, 2, 3"
        sql: Any = f"SELECT * FROM {table} ORDER BY {order}"
        found = server.execute(sql)
        return [column.name for column in found.description], found.fetchall()


def literal(value: object, is_sqlite: bool) -> str:
    """Return a value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        text = literal(value.decode(), is_sqlite)
        return f"CAST({text} AS BLOB)" if is_sqlite else f"convert_to({text}, 'UTF8')"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    assert type(value) is int, value
    return str(value)


def lines_of(store: Store, recorded: str = "") -> str:
    """Return what a store says of all that it holds, by its port: a line of JSON for each row, after its fields.

    Rows have the fields that `recorded` knows, if it is given.
    """
    sagas = sorted(store.find(Query(limit=1000)), key=lambda row: row.saga_id)
    kinds: dict[str, list[Any]] = {
        "status": sagas,
        "steps": [row for saga in sagas for row in store.steps(saga.saga_id)],
        "commands": [row for saga in sagas for row in store.commands_of(saga.saga_id)],
        "consumers": store.consumers(),
        "unmatched": store.unmatched(UnmatchedQuery(statuses=UNMATCHED_STATUSES, limit=1000)),
    }
    found = [
        [event.position, event.saga_id, event.version, event.topic, Raw(event.state)]
        for event in store.read_log(0, 10_000)
    ]
    for kind, rows in kinds.items():
        fields = [name for name in asdict(rows[0]) if not recorded or name in fields_in(recorded)]
        found.append([kind, *fields])
        found += [[getattr(row, name) for name in fields] for row in rows]
    found += [["messages", position, envelope] for position, envelope in store.read_messages(0, 10_000)]
    return "".join(encode(line).decode() + "\n" for line in found)
