"""The `eventsourcing` process recorder of the SQLite store: the log and, in the same transaction, its read model.

It covers what happens inside one transaction; `sagalog.stores.sqlite.store` opens them.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import IntegrityError
from eventsourcing.persistence import StoredEvent as RecordedEvent
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder

from sagalog.store import Append, AppendOutcome, Posting, PostOutcome, Route, RouteOutcome
from sagalog.stores.companions import Companions, events_of, messages_of
from sagalog.stores.sqlite.appending import Batch, is_unfit
from sagalog.stores.sqlite.connection import SafeDatastore
from sagalog.stores.sqlite.writing import (
    SQL,
    Unfit,
    last_position,
    park,
    publish,
    put,
    write_attached,
    write_postings,
    write_rows,
)

# SQLite's error text when a unique key exists already.
TAKEN = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID")

# What the writing connection has of its own.
APPENDING = [SQL[name] for name in ("appending", "appending_start", "appending_move", "appending_more")]


class SagaRecorder(SQLiteProcessRecorder):
    """A recorder of saga events, usable like any of `eventsourcing`, that also writes whole appends."""

    datastore: SafeDatastore

    def __init__(self, datastore: SafeDatastore, companions: Companions) -> None:
        super().__init__(datastore, events_table_name="saga_events")
        self._companions = companions
        # The parent has one fixed name for the tracking table, which other applications that share the file use.
        self.insert_tracking_statement = SQL["insert_tracking"]
        self.select_max_tracking_id_statement = SQL["max_tracking_id"]

    def create_table(self) -> None:
        """Do nothing: migrations make the tables."""

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[RecordedEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        cursor = c.sqlite_cursor
        last = last_position(cursor)
        rows = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        try:
            write_rows(cursor, "insert_events", rows)
        except sqlite3.IntegrityError as problem:
            # The exception that applications with a recorder expect on a conflict.
            raise IntegrityError(problem) from problem
        tracking = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return list(range(last + 1, last + 1 + len(stored_events)))

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write a batch in one transaction; if an append does not fit, write those that do."""
        batch = Batch(appends)
        try:
            with self.datastore.transaction(commit=True, own=APPENDING) as c:
                self._write(c.sqlite_cursor, batch)
                self._companions.write(c.sqlite_cursor.connection, events_of(appends))
            return ["written"] * len(appends)
        except (Unfit, sqlite3.IntegrityError) as problem:
            _let_through(problem)
            return self._append_what_fits(appends)

    def _append_what_fits(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        outcomes: list[AppendOutcome] = []
        with self.datastore.transaction(commit=True, own=APPENDING) as c:
            cursor = c.sqlite_cursor
            for append in appends:
                outcome = self._fits(cursor, append)
                if outcome is None:
                    cursor.execute("SAVEPOINT one")
                    try:
                        self._write(cursor, Batch((append,)))
                        outcome = "written"
                    except (Unfit, sqlite3.IntegrityError) as problem:
                        _let_through(problem)
                        # Somebody wrote to the stream without its status row, which the log's unique key detects.
                        cursor.execute("ROLLBACK TO one")
                        outcome = "conflict"
                    cursor.execute("RELEASE one")
                outcomes.append(outcome)
            self._companions.write(cursor.connection, events_of(appends))
        return outcomes

    @staticmethod
    def _fits(cursor: sqlite3.Cursor, append: Append) -> AppendOutcome | None:
        """Return the outcome of an append that must not be written; None for one that may be."""
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
    def _write(cursor: sqlite3.Cursor, batch: Batch) -> None:
        """Write appends that should fit; raises `Unfit` or `sqlite3.IntegrityError` if one does not."""
        position = last_position(cursor) if batch.has_more else 0
        for sql, values in batch.statements(SQL["append"]):
            cursor.execute(sql, values)
        if batch.has_more:
            write_attached(cursor, batch.placed_after(position))

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write postings in one transaction; if one does not fit, write those that do."""
        try:
            with self.datastore.transaction(commit=True) as c:
                write_postings(c.sqlite_cursor, postings)
                self._companions.write(c.sqlite_cursor.connection, messages_of(postings))
            return ["written"] * len(postings)
        except Unfit:
            return self._post_what_fits(postings)

    def _post_what_fits(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        outcomes: list[PostOutcome] = []
        with self.datastore.transaction(commit=True) as c:
            cursor = c.sqlite_cursor
            for posting in postings:
                cursor.execute("SAVEPOINT one")
                try:
                    write_postings(cursor, (posting,))
                    outcomes.append("written")
                except Unfit:
                    cursor.execute("ROLLBACK TO one")
                    outcomes.append("conflict")
                cursor.execute("RELEASE one")
            self._companions.write(cursor.connection, messages_of(postings))
        return outcomes

    def route(self, route: Route) -> RouteOutcome:
        """Write a route in one transaction, or nothing of it."""
        try:
            with self.datastore.transaction(commit=True, own=APPENDING) as c:
                self._route(c.sqlite_cursor, route)
                self._companions.write(c.sqlite_cursor.connection, events_of(route.starts) + len(route.messages))
            return "written"
        except _NotRouted as problem:
            return problem.outcome

    def _route(self, cursor: sqlite3.Cursor, route: Route) -> None:
        for one in route.advances:
            moved = cursor.execute(SQL["advance"], (one.position, one.consumer, one.worker_id, one.expected)).rowcount
            if moved != 1:
                raise _NotRouted("conflict")
        again = list(dict.fromkeys(route.redelivered))
        if again and cursor.execute(SQL["redelivered"], (json.dumps(again),)).rowcount != len(again):
            raise _NotRouted("conflict")
        if route.starts:
            try:
                self._write(cursor, Batch(route.starts))
            except (Unfit, sqlite3.IntegrityError) as problem:
                _let_through(problem)
                raise _NotRouted("exists") from None
        publish(cursor, route.messages)
        put(cursor, route.inbox, route.notes)
        park(cursor, route.parked)


def _let_through(problem: Unfit | sqlite3.IntegrityError) -> None:
    """Raise `problem` again if it is no conflict with other writers, but a constraint or trigger that is not ours."""
    if isinstance(problem, sqlite3.IntegrityError) and problem.sqlite_errorname not in TAKEN and not is_unfit(problem):
        raise problem


class _NotRouted(Exception):
    """Raised for a route that does not fit; nothing of it is written."""

    def __init__(self, outcome: RouteOutcome) -> None:
        super().__init__(outcome)
        self.outcome: RouteOutcome = outcome
