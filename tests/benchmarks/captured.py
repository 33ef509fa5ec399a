"""What the engine writes into a database, kept row by row by triggers of our own. It writes nothing back.

So the floor of any kind of work is made of what was really written, whatever tables and columns the engine has.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import psycopg
from msgspec import Struct
from psycopg.types.string import TextLoader

from sagalog.stores.sql import statements

SQLITE = statements("tests.benchmarks", "captured_sqlite.sql")
POSTGRES = statements("tests.benchmarks", "captured_postgres.sql")

# Rows of a process and not of its work: how many there are says how long it ran, and in how many batches.
OF_A_PROCESS = {"saga_workers", "saga_consumers"}

Row = tuple[Any, ...]
How = Literal["insert", "update", "delete"]


class Column(Struct, frozen=True):
    """A column, its type as the database calls it, and whether it belongs to the primary key."""

    name: str
    type: str
    is_key: bool


class Table(Struct, frozen=True):
    """A table of the engine."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def key(self, row: Row) -> Row:
        """Return the primary key of a row."""
        return tuple(value for column, value in zip(self.columns, row, strict=True) if column.is_key)


class Change(Struct, frozen=True):
    """A row as it was inserted, as it was after an update, or as it was before it was deleted."""

    how: How
    row: Row


# Of each table, its changes in the order in which they were made.
Changes = list[tuple[Table, list[Change]]]


class Capture(Protocol):
    """Keeps what is written into one database."""

    def begin(self) -> None:
        """Keep everything from now on."""
        ...

    def mark(self) -> None:
        """End a part: what was written since the last one belongs together."""
        ...

    def take(self) -> list[Changes]:
        """Return what was written, part by part; what came after the last mark belongs to the last part."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Capture:
    """What both databases have in common. `_ask` runs a block, filled in for a table, and returns its rows."""

    def __init__(self, blocks: Sequence[str]) -> None:
        self._blocks = blocks
        self._tables: list[Table] = []
        self._marks: list[dict[str, int]] = []

    def begin(self) -> None:
        for (name,) in self._ask("tables"):
            columns = tuple(
                Column(column, kind, bool(key)) for column, kind, key in self._ask("columns", given=(name,))
            )
            self._tables.append(Table(name, columns))
        self._tables = [table for table in self._tables if table.name not in OF_A_PROCESS]
        for table in self._tables:
            for block in self._blocks:
                self._ask(block, table)

    def mark(self) -> None:
        self._marks.append({table.name: self._ask("so_far", table)[0][0] for table in self._tables})

    def take(self) -> list[Changes]:
        parts: list[Changes] = [[(table, []) for table in self._tables] for _ in self._marks]
        for place, table in enumerate(self._tables):
            part = 0
            for number, how, *row in self._ask("kept", table):
                while part < len(self._marks) - 1 and number > self._marks[part][table.name]:
                    part += 1
                parts[part][place][1].append(Change(how, tuple(row)))
        return parts

    def _filled(self, text: str, table: Table) -> str:
        return text.format(
            table=table.name,
            columns=", ".join(table.names),
            new=", ".join(f"NEW.{name}" for name in table.names),
            old=", ".join(f"OLD.{name}" for name in table.names),
        )

    def _ask(self, block: str, table: Table | None = None, given: Row = ()) -> list[Any]:
        raise NotImplementedError


class SQLiteCapture(_Capture):
    """Keeps what is written into a SQLite file."""

    def __init__(self, path: str) -> None:
        super().__init__(["keep", "on_insert", "on_update", "on_delete"])
        self._connection = sqlite3.connect(path, isolation_level=None)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, block: str, table: Table | None = None, given: Row = ()) -> list[Any]:
        text = SQLITE[block] if table is None else self._filled(SQLITE[block], table)
        return self._connection.execute(text, given).fetchall()


class PostgresCapture(_Capture):
    """Keeps what is written into a PostgreSQL database."""

    def __init__(self, address: str) -> None:
        super().__init__(["keep", "on_change", "calls"])
        self._connection = psycopg.connect(address, autocommit=True)
        # As it was written, and not as Python would write it again.
        self._connection.adapters.register_loader("json", TextLoader)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, block: str, table: Table | None = None, given: Row = ()) -> list[Any]:
        text = POSTGRES[block] if table is None else self._filled(POSTGRES[block], table)
        cursor = self._connection.execute(text.encode(), given or None)
        return cursor.fetchall() if cursor.description else []
