"""All that a database says at one moment, read by plain drivers in one transaction; it must not use a store."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg
from msgspec.structs import replace

from domain.database import statements
from projections import audits
from sagalog.store import StatusRow, StepRow, StoredEvent
from sagalog.store.published import is_message_stream

AT_REST = ("completed", "failed", "stuck")
SQL = statements(Path(__file__).with_name("snapshot.sql"))
# What there may be none of once all is done, and the block that counts it.
LEFT = {
    "messages wait in inboxes": "mail",
    "messages are parked": "parked",
    "consumers have not read the whole log": "behind",
}


class Reading(Protocol):
    """A transaction that only reads, on either database."""

    def execute(self, query: Any, /) -> Any:
        """Run one query and give its rows."""
        ...


class Snapshot(msgspec.Struct, frozen=True):
    """The log, the rows that are written with it, and the rows of the audits."""

    events: list[StoredEvent]
    statuses: dict[str, StatusRow]
    steps: dict[str, list[StepRow]]
    audits: list[tuple[str, tuple[Any, ...]]]
    # What is not done yet, by what it is called: how many of it there are.
    left: dict[str, int] = {}

    @property
    def at_rest(self) -> bool:
        """Tell whether no saga was open or owned."""
        return all(row.status in AT_REST and row.owner is None for row in self.statuses.values())

    def streams(self) -> dict[str, list[StoredEvent]]:
        """Return the events by saga, in the order of the log."""
        return self._by_stream(of_messages=False)

    def messages(self) -> dict[str, list[StoredEvent]]:
        """Return the events that are messages and belong to no saga, by stream."""
        return self._by_stream(of_messages=True)

    def _by_stream(self, of_messages: bool) -> dict[str, list[StoredEvent]]:
        found: dict[str, list[StoredEvent]] = {}
        for event in self.events:
            if is_message_stream(event.saga_id) == of_messages:
                found.setdefault(event.saga_id, []).append(event)
        return found


@contextmanager
def reading(database: str) -> Generator[Reading]:
    """Give a transaction that sees one moment, however many workers write meanwhile."""
    if database.startswith("sqlite:///"):
        path = f"file:{database.removeprefix('sqlite:///')}?mode=ro"
        with closing(sqlite3.connect(path, uri=True, isolation_level=None, timeout=10)) as connection:
            connection.execute("BEGIN")
            yield connection
        return
    with psycopg.connect(database, connect_timeout=10) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield session


def one_number(database: str, block: str) -> int:
    """Return the single number that a named block of torture.sql asks for."""
    with reading(database) as transaction:
        return int(transaction.execute(SQL[block]).fetchone()[0])


def pairs(database: str, block: str) -> dict[int, int]:
    """Return the rows of a named block as a mapping."""
    with reading(database) as transaction:
        return dict(transaction.execute(SQL[block]).fetchall())


def column(database: str, block: str) -> list[int]:
    """Return the first column of a named block."""
    with reading(database) as transaction:
        return [row[0] for row in transaction.execute(SQL[block]).fetchall()]


def snapshot(database: str) -> Snapshot:
    """Read everything at one moment."""
    dialect = "sqlite" if database.startswith("sqlite") else "postgres"
    with reading(database) as transaction:
        events = [_event(row) for row in transaction.execute(SQL[f"{dialect}_events"])]
        statuses = [StatusRow(*row) for row in transaction.execute(SQL["statuses"])]
        steps: dict[str, list[StepRow]] = {}
        for row in transaction.execute(SQL["steps"]):
            steps.setdefault(row[0], []).append(_step(row, decoded=dialect == "postgres"))
        # Nobody keeps the tables of projections here, and clocks that jump say nothing of deadlines.
        asked = [(audit.name, audit.asked(now=0)) for audit in audits() if not audit.projections]
        found = [(name, tuple(row)) for name, sql in asked for row in transaction.execute(sql)]
        left = {what: transaction.execute(SQL[block]).fetchone()[0] for what, block in LEFT.items()}
    return Snapshot(events, {row.saga_id: row for row in statuses}, steps, found, left)


def _event(row: Sequence[Any]) -> StoredEvent:
    position, saga_id, version, topic, state = row
    return StoredEvent(position, saga_id, version, topic, bytes(state))


def _step(row: Sequence[Any], decoded: bool) -> StepRow:
    """Return a row whose result is compared as JSON, not as text: a database may write it with other spaces."""
    step = StepRow(*row)
    if step.result is None:
        return step
    return replace(step, result=canonical(step.result if decoded else msgspec.json.decode(step.result)))


def can_be_written(path: Path) -> bool:
    """Tell whether nobody holds the lock for writing of a SQLite file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0.2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


def canonical(value: object) -> str | None:
    """Write JSON in one way only."""
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()
