"""The `eventsourcing` process recorder of the SQLite store: the log and, in the same transaction, its read model.

It holds what happens inside one transaction; `sagalog.stores.sqlite` opens them.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from eventsourcing.persistence import IntegrityError
from eventsourcing.persistence import StoredEvent as RecordedEvent
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder
from msgspec.structs import astuple

from sagalog.store import Append, AppendOutcome
from sagalog.stores.sql import for_rows, statements
from sagalog.stores.sqlite_connection import SafeDatastore

SQL = statements("sagalog.readmodel", "sql/sqlite/store.sql")


# Any number of rows up to 599 is at most three of these: hundreds, tens and ones. So a batch takes few statements, and
# few statements have to be prepared.
ROWS_AT_ONCE = (*range(500, 0, -100), *range(90, 0, -10), *range(9, 0, -1))


class _Refused(Exception):
    """An append of the batch does not fit; the batch is rolled back and looked at one by one."""


class SagaRecorder(SQLiteProcessRecorder):
    """Record saga events, as any `eventsourcing` recorder does, and whole appends."""

    datastore: SafeDatastore

    def __init__(self, datastore: SafeDatastore) -> None:
        super().__init__(datastore, events_table_name="saga_events")

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[RecordedEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        cursor = c.sqlite_cursor
        last = cursor.execute(SQL["last_position"]).fetchone()[0]
        rows = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        try:
            _write_rows(cursor, "insert_event", rows)
        except sqlite3.IntegrityError as problem:
            # What the applications that use a recorder expect of a conflict.
            raise IntegrityError(problem) from problem
        tracking = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return list(range(last + 1, last + 1 + len(stored_events)))

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write a batch in one transaction; if one of it does not fit, write those that do."""
        try:
            with self.datastore.transaction(commit=True) as cursor:
                self._write(cursor.sqlite_cursor, appends)
            return ["written"] * len(appends)
        except (_Refused, sqlite3.IntegrityError):
            return self._append_what_fits(appends)

    def _append_what_fits(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        outcomes: list[AppendOutcome] = []
        with self.datastore.transaction(commit=True) as c:
            cursor = c.sqlite_cursor
            for append in appends:
                outcome = self._fits(cursor, append)
                if outcome is None:
                    cursor.execute("SAVEPOINT one")
                    try:
                        self._write(cursor, (append,))
                        outcome = "written"
                    except (_Refused, sqlite3.IntegrityError):
                        # Somebody wrote to the stream without its status row: the log itself is the last guard.
                        cursor.execute("ROLLBACK TO one")
                        outcome = "conflict"
                    cursor.execute("RELEASE one")
                outcomes.append(outcome)
        return outcomes

    @staticmethod
    def _fits(cursor: sqlite3.Cursor, append: Append) -> AppendOutcome | None:
        """Return what becomes of an append that must not be written; None for one that may be."""
        row = cursor.execute(SQL["gate"], (append.saga_id,)).fetchone()
        if row is None and append.expected == 0:
            status = append.status
            key = (status.saga_name, status.saga_key, status.run)
            return "exists" if cursor.execute(SQL["key_taken"], key).fetchone() else None
        if row is not None and tuple(row) == (append.expected, append.holder):
            return None
        span = (append.saga_id, append.expected, append.expected + len(append.events))
        landed = [tuple(row) for row in cursor.execute(SQL["landed"], span)]
        return "written" if landed == [tuple(event) for event in append.events] else "conflict"

    @staticmethod
    def _write(cursor: sqlite3.Cursor, appends: Sequence[Append]) -> None:
        """Write appends that are expected to fit; raises `_Refused` if the gate, the status row, says otherwise."""
        position = cursor.execute(SQL["last_position"]).fetchone()[0]
        events: list[tuple[Any, ...]] = []
        starts: list[tuple[Any, ...]] = []
        updates: list[tuple[Any, ...]] = []
        steps: list[tuple[Any, ...]] = []
        for append in appends:
            saga_id, version = append.saga_id, append.expected
            for topic, state in append.events:
                version += 1
                events.append((saga_id, version, topic, state))
            position += len(append.events)
            row = append.status
            if append.expected == 0:
                starts.append((*astuple(row)[:-2], position, row.owner))
            else:
                updates.append(
                    (
                        saga_id,
                        append.expected,
                        append.holder,
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
                    )
                )
            for step in append.steps:
                steps.append((*astuple(step)[:-1], position))
        if _write_rows(cursor, "insert_status", starts) != len(starts):
            raise _Refused
        if _write_rows(cursor, "update_status", updates) != len(updates):
            raise _Refused
        _write_rows(cursor, "upsert_step", steps)
        _write_rows(cursor, "insert_event", events)


def _write_rows(cursor: sqlite3.Cursor, block: str, rows: list[tuple[Any, ...]]) -> int:
    """Write rows, many in one statement, and return how many were written.

    Python lets go of its lock once for each statement and has to get it back after: with a statement for each row the
    event loop and this thread would wait for one another all the time.
    """
    written = begin = 0
    for size in ROWS_AT_ONCE:
        while len(rows) - begin >= size:
            chunk = rows[begin : begin + size]
            cursor.execute(for_rows(SQL[block], size), list(chain.from_iterable(chunk)))
            written += cursor.rowcount
            begin += size
    return written
