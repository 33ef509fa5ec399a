"""The floor of any kind of work: what the engine wrote, written again by the plain driver. It decides nothing.

What belongs together is one transaction. In it the same rows are inserted, updated and deleted as often as the engine
did it; an update names only the columns that it changes, and a statement is given all rows that it is right for.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import psycopg
from msgspec import Struct

from tests.benchmarks.captured import POSTGRES, SQLITE, Changes, How, Row, Table
from tests.benchmarks.floor import durable

POSITIONS = {"position", "notification_id"}

# An id: made of the time, or a digest of what it is about.
_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,}"
ID, ID_IN_BYTES = re.compile(_ID), re.compile(_ID.encode())


class Statement(Struct, frozen=True):
    """Rows that are written in the same way: what is set, and then the primary key."""

    how: How
    table: Table
    columns: tuple[int, ...]
    rows: list[Row]

    @property
    def set(self) -> list[str]:
        """Return the names of the columns that are set."""
        return [self.table.columns[place].name for place in self.columns]

    @property
    def key(self) -> list[str]:
        """Return the names of the primary key, by which rows are updated and deleted."""
        return [] if self.how == "insert" else [column.name for column in self.table.columns if column.is_key]

    @property
    def types(self) -> list[str]:
        types = {column.name: column.type for column in self.table.columns}
        return [types[name] for name in (*self.set, *self.key)]


Transaction = list[Statement]
# A transaction in the words of a driver: statements, and the rows of each.
Prepared = list[tuple[Any, list[Row]]]


def transactions(parts: Iterable[Changes]) -> list[Transaction]:
    """Return a transaction for each part. A row's changes stay in order, and are never in one statement."""
    known: dict[tuple[str, Row], Row] = {}
    return [_transaction(part, known) for part in parts]


class _Group(Struct):
    """What will be one statement: the rows, and the places of the columns of which any of them changes."""

    table: Table
    rows: list[Row]
    places: set[int]


def _transaction(part: Changes, known: dict[tuple[str, Row], Row]) -> Transaction:
    groups: dict[tuple[int, int, How], _Group] = {}
    changed: dict[tuple[str, Row], int] = {}
    for place, (table, changes) in enumerate(part):
        for change in changes:
            key = (table.name, table.key(change.row))
            turn = changed[key] = changed.get(key, 0) + 1
            group = groups.setdefault((turn, place, change.how), _Group(table, [], set()))
            group.rows.append(change.row)
            if change.how == "update":
                before = known[key]
                group.places.update(n for n, value in enumerate(change.row) if value != before[n])
            known[key] = change.row
    return [_statement(how, groups[turn, place, how]) for turn, place, how in sorted(groups)]


def _statement(how: How, group: _Group) -> Statement:
    columns = group.table.columns
    places = tuple(range(len(columns))) if how == "insert" else tuple(sorted(group.places))
    if how == "update" and not places:
        # It was written all the same.
        places = (next(n for n, column in enumerate(columns) if not column.is_key),)
    keys = () if how == "insert" else tuple(n for n, column in enumerate(columns) if column.is_key)
    return Statement(how, group.table, places, [tuple(row[n] for n in (*places, *keys)) for row in group.rows])


def renamed(made: Sequence[Transaction], marker: str, turn: int, earliest: str, latest: str) -> list[Transaction]:
    """Return the same transactions for other sagas: every id is another one, and positions in the log are moved on.

    `marker` is what begins the keys of those that were written; its last four digits become those of `turn`. `earliest`
    and `latest` are what an id of the time of the writing begins with; others are digests.
    """
    events = sum(len(one.rows) for part in made for one in part if one.table.name == "saga_events")
    other = _Renaming(marker, turn, earliest, latest).of

    def moved(value: Any) -> Any:
        return value if value is None else value + turn * events

    def one(statement: Statement) -> Statement:
        calls: list[Callable[[Any], Any]] = [
            moved if name in POSITIONS else other for name in (*statement.set, *statement.key)
        ]
        rows = [tuple(call(value) for call, value in zip(calls, row, strict=True)) for row in statement.rows]
        return Statement(statement.how, statement.table, statement.columns, rows)

    return [[one(statement) for statement in transaction] for transaction in made]


class _Renaming:
    """Gives every id in a text another one that is as long, and as near to or far from its neighbours as it was."""

    def __init__(self, marker: str, turn: int, earliest: str, latest: str) -> None:
        self._marker, self._new_marker = marker, f"{marker[:-4]}{turn:04}"
        self._bytes = (marker.encode(), self._new_marker.encode())
        first, last = int(earliest, 16), int(latest, 16)
        self._times = {f"{at:08x}": f"{at + turn * (last - first + 1):08x}" for at in range(first, last + 1)}
        self._mask = turn * 0x9E37 % 0x10000
        self._known: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """Return a value with other ids."""
        if isinstance(value, str):
            return ID.sub(self._id, value.replace(self._marker, self._new_marker))
        if isinstance(value, bytes):
            return ID_IN_BYTES.sub(self._id_in_bytes, value.replace(*self._bytes))
        return value

    def _id(self, found: re.Match[str]) -> str:
        return self._other(found[0])

    def _id_in_bytes(self, found: re.Match[bytes]) -> bytes:
        return self._other(found[0].decode()).encode()

    def _other(self, id: str) -> str:
        known = self._known.get(id)
        if known is None:
            begins = self._times.get(id[:8]) or f"{int(id[:4], 16) ^ self._mask:04x}{id[4:8]}"
            known = self._known[id] = begins + id[8:]
        return known


class Plain(Protocol):
    """One plain way to write rows durably."""

    name: str

    def prepare(self, transaction: Transaction) -> Prepared:
        """Return the transaction in the words of the driver."""
        ...

    def write(self, prepared: Prepared) -> None:
        """Write all of it in one transaction."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SQLitePlain:
    """`executemany` of the standard library's driver, with the settings that the store has."""

    name = "sqlite3 executemany"

    def __init__(self, path: str) -> None:
        self._connection = durable(path)

    def prepare(self, transaction: Transaction) -> Prepared:
        return [(_text(SQLITE, one, "?"), one.rows) for one in transaction]

    def write(self, prepared: Prepared) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for text, rows in prepared:
            self._connection.executemany(text, rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class PostgresPlain:
    """`executemany` of psycopg, which sends the whole transaction before it waits for an answer."""

    name = "psycopg executemany"

    def __init__(self, address: str) -> None:
        self._connection = psycopg.connect(address, autocommit=True, prepare_threshold=0)

    def prepare(self, transaction: Transaction) -> Prepared:
        return [(_text(POSTGRES, one, "%s").encode(), one.rows) for one in transaction]

    def write(self, prepared: Prepared) -> None:
        connection = self._connection
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            for text, rows in prepared:
                cursor.executemany(text, rows)

    def close(self) -> None:
        self._connection.close()


class PostgresPlainArrays(PostgresPlain):
    """A statement for many rows, each column an array; also sent as a whole before an answer is waited for."""

    name = "psycopg arrays"

    def prepare(self, transaction: Transaction) -> Prepared:
        return [(_text_of_arrays(one).encode(), one.rows) for one in transaction]

    def write(self, prepared: Prepared) -> None:
        connection = self._connection
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            for text, rows in prepared:
                cursor.execute(text, [list(column) for column in zip(*rows, strict=True)])


def _text(blocks: Mapping[str, str], statement: Statement, mark: str) -> str:
    """Return the statement for one row, in the words of a dialect."""
    return blocks[statement.how].format(
        table=statement.table.name,
        columns=", ".join(statement.set),
        values=", ".join(mark for _ in statement.set),
        changes=", ".join(f"{name} = {mark}" for name in statement.set),
        key=" AND ".join(f"{name} = {mark}" for name in statement.key),
    )


def _text_of_arrays(statement: Statement) -> str:
    table = statement.table.name
    return POSTGRES[f"{statement.how}_arrays"].format(
        table=table,
        columns=", ".join([*statement.set, *(f"key_{name}" for name in statement.key)]),
        arrays=", ".join(f"%b::{one}[]" for one in statement.types),
        changes=", ".join(f"{name} = given.{name}" for name in statement.set),
        key=" AND ".join(f"{table}.{name} = given.key_{name}" for name in statement.key),
    )
