"""The floor: the rows of the engine, made beforehand and written by the plain driver. It decides and reads nothing."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg
from msgspec import Struct
from msgspec.structs import astuple

from sagalog.store import Append, StatusRow
from sagalog.stores.sql import statements
from sagalog.stores.sqlite.connection import CACHE_KIB

SQLITE = statements("tests.benchmarks", "floor_sqlite.sql")
POSTGRES = statements("tests.benchmarks", "floor_postgres.sql")

Row = tuple[Any, ...]


class Rows(Struct):
    """What one transaction writes. `updates` come in rounds, since a saga's status must be updated in order."""

    starts: list[Row]
    updates: list[list[Row]]
    steps: list[Row]
    events: list[Row]


class Floor(Protocol):
    """One plain way to write rows durably."""

    name: str

    def write(self, rows: Rows) -> None:
        """Write all of it in one transaction."""
        ...

    def last_position(self) -> int:
        """Return the position of the last event."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def rows_of(sagas: Sequence[Sequence[Append]], position: int) -> Rows:
    """Return everything that the appends of these sagas write, with positions after `position`."""
    rows = Rows([], [[] for _ in range(max(map(len, sagas)))], [], [])
    for appends in sagas:
        for number, append in enumerate(appends):
            for version, (topic, state) in enumerate(append.events, append.expected + 1):
                rows.events.append((append.saga_id, version, topic, state))
            position += len(append.events)
            if append.expected == 0:
                rows.starts.append((*astuple(append.status)[:-2], position, append.status.owner))
            else:
                rows.updates[number].append(_update(append.status, position))
            rows.steps.extend((*astuple(step)[:-1], position) for step in append.steps)
    rows.updates = [one for one in rows.updates if one]
    return rows


def transactions(sagas: Sequence[Sequence[Append]], size: int, position: int) -> list[Rows]:
    """Return the rows of all sagas, `size` of them in a transaction."""
    found: list[Rows] = []
    for begin in range(0, len(sagas), size):
        rows = rows_of(sagas[begin : begin + size], position)
        position += len(rows.events)
        found.append(rows)
    return found


def commits(appends: Sequence[Append], position: int) -> list[Rows]:
    """Return the rows of one saga, each of its decisions in a transaction of its own."""
    found: list[Rows] = []
    for append in appends:
        rows = rows_of([[append]], position)
        position += len(rows.events)
        found.append(rows)
    return found


def _update(row: StatusRow, position: int) -> Row:
    return (
        row.status,
        row.current_step,
        row.waiting_for,
        row.waiting_until,
        row.attempt,
        row.error_type,
        row.error_text,
        row.updated_at,
        row.ended_at,
        row.due_at,
        row.version,
        position,
        row.owner,
        row.saga_id,
    )


def durable(path: str) -> sqlite3.Connection:
    """Return a connection of the standard library's driver with the settings that the store has."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    return connection


class SQLiteRows:
    """`executemany` of the standard library's driver, with the settings that the store has."""

    name = "sqlite3 executemany"

    def __init__(self, path: str) -> None:
        self._connection = durable(path)

    def write(self, rows: Rows) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        if rows.starts:
            connection.executemany(SQLITE["insert_status"], rows.starts)
        for updates in rows.updates:
            connection.executemany(SQLITE["update_status"], updates)
        if rows.steps:
            connection.executemany(SQLITE["upsert_step"], rows.steps)
        connection.executemany(SQLITE["insert_event"], rows.events)
        connection.execute("COMMIT")

    def last_position(self) -> int:
        return int(self._connection.execute(SQLITE["last_position"]).fetchone()[0])

    def close(self) -> None:
        self._connection.close()


class PostgresRows:
    """`executemany` of psycopg, which sends the whole transaction before it waits for an answer."""

    name = "psycopg executemany"

    def __init__(self, address: str) -> None:
        self._connection = psycopg.connect(address, autocommit=True, prepare_threshold=0)

    def write(self, rows: Rows) -> None:
        connection = self._connection
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            if rows.starts:
                cursor.executemany(POSTGRES["insert_status"].encode(), rows.starts)
            for updates in rows.updates:
                cursor.executemany(POSTGRES["update_status"].encode(), updates)
            if rows.steps:
                cursor.executemany(POSTGRES["upsert_step"].encode(), rows.steps)
            cursor.executemany(POSTGRES["insert_event"].encode(), rows.events)

    def last_position(self) -> int:
        row = self._connection.execute(POSTGRES["last_position"].encode()).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        self._connection.close()


class PostgresArrays(PostgresRows):
    """A statement for many rows, each column an array; also sent as a whole before an answer is waited for."""

    name = "psycopg arrays"

    def write(self, rows: Rows) -> None:
        connection = self._connection
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            if rows.starts:
                cursor.execute(POSTGRES["insert_statuses"].encode(), _columns(rows.starts))
            for updates in rows.updates:
                cursor.execute(POSTGRES["update_statuses"].encode(), _columns(updates))
            if rows.steps:
                cursor.execute(POSTGRES["upsert_steps"].encode(), _columns(rows.steps))
            cursor.execute(POSTGRES["insert_events"].encode(), _columns(rows.events))


def _columns(rows: list[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
