"""Sagas in a SQLite file: the embedded default. Several threads and processes of one machine may share it."""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eventsourcing.persistence import PersistenceError
from msgspec.structs import asdict, astuple, replace

from sagalog.errors import StoreError, StoreUnavailable, StoreUnfit
from sagalog.saga.transitions import OPEN
from sagalog.store import (
    Append,
    AppendOutcome,
    CommandRow,
    HeldLease,
    Lease,
    Query,
    StatusRow,
    StepRow,
    StoreOptions,
)
from sagalog.stores.error_codes import CANNOT_BE_SENT
from sagalog.stores.migrations import Dialect, Migration, require_current, upgrade
from sagalog.stores.sqlite.connection import (
    OLDEST_SQLITE,
    SafeDatastore,
    create_file,
    require_file,
    rows_of,
    translated,
)
from sagalog.stores.sqlite.messages import SQLiteMessages
from sagalog.stores.sqlite.recorder import SagaRecorder
from sagalog.stores.sqlite.writing import SQL, free_the_dead, rewrite
from sagalog.stores.texts import storable

logger = logging.getLogger("sagalog.stores")

WITH_AN_ERROR = frozenset(("compensating", "failed", "stuck"))


class SQLiteStore(SQLiteMessages):
    """Implement the store port on one SQLite file; `path` as in `sqlite:///path`."""

    name = "sqlite"
    dialect: Dialect = "sqlite"

    def __init__(self, path: str, options: StoreOptions | None = None) -> None:
        self.path = path
        self._options = options or StoreOptions()
        self._recorder: SagaRecorder | None = None

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path}>"

    @property
    def recorder(self) -> SagaRecorder:
        """Return the `eventsourcing` process recorder, which other applications may read the log with."""
        if self._recorder is None:
            raise StoreUnavailable(f"{self.path} is not open; call open() first")
        return self._recorder

    def open(self, migrate: bool | None = None) -> None:
        """Open the file, creating and upgrading it as needed; with `migrate=False` an old one is refused.

        Without `migrate` it is as the options say. Raises `StoreUnfit` for a file that cannot hold every text.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(f"expected SQLite 3.38 or newer, found {sqlite3.sqlite_version}; use a newer Python build")
        if self.path in ("", ":memory:") or self.path.startswith("file:"):
            raise StoreError("expected a file such as sqlite:///shop.db; for a store in memory say memory://")
        if self._recorder is not None:
            return
        migrate = self._options.migrate if migrate is None else migrate
        if migrate:
            create_file(self.path)
        else:
            require_file(self.path)
        self._recorder = SagaRecorder(SafeDatastore(self.path, self._options.statement_timeout, self._options.readers))
        try:
            self._check_encoding()
            if migrate:
                upgrade(self)
            else:
                require_current(self, self.path)
        except BaseException:
            self.close()
            raise

    def _check_encoding(self) -> None:
        encoding = self._look("encoding")[0][0]
        if encoding != "UTF-8":
            raise StoreUnfit(
                f"{self.path}: expected a database with encoding UTF-8, found {encoding}, in which what is recorded as "
                "bytes cannot be read as text; give sagas a file of their own"
            )

    def close(self) -> None:
        """Close every connection."""
        if self._recorder is not None:
            self._recorder.datastore.close()
            self._recorder = None

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, PersistenceError, *CANNOT_BE_SENT) as problem:
            raise translated(problem, self.path) from problem

    @contextmanager
    def _transaction(self, commit: bool) -> Generator[sqlite3.Cursor]:
        with self._named_errors(), self.recorder.datastore.transaction(commit=commit) as cursor:
            yield cursor.sqlite_cursor

    def _rows(self, block: str, values: Mapping[str, Any]) -> Sequence[Any]:
        with self._transaction(commit=False) as cursor:
            return rows_of(cursor, SQL[block], values)

    def _list(self, texts: Iterable[str]) -> str:
        return json.dumps(storable(texts))

    def schema_version(self) -> int:
        """Return the number of the last migration applied."""
        if not self._look("schema_exists")[0][0]:
            return 0
        return int(self._look("schema_version")[0][0] or 0)

    def apply(self, migration: Migration) -> None:
        """Apply one migration; nothing if another process was quicker."""
        with self._transaction(commit=True) as cursor:
            exists = cursor.execute(SQL["schema_exists"]).fetchone()[0]
            done = cursor.execute(SQL["schema_version"]).fetchone()[0] if exists else 0
            if (done or 0) >= migration.number:
                return
            migration.run(lambda question: cursor.execute(question).fetchone()[0], cursor.execute)
            record = (migration.number, migration.name, time.time_ns() // 1000)
            cursor.execute(SQL["record_migration"], record)

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write each append that fits, all in one transaction."""
        with self._named_errors():
            return self.recorder.append(appends)

    def find(self, query: Query) -> list[StatusRow]:
        """Return the rows that match, newest first."""
        wanted = asdict(query) | {"statuses": self._list(query.statuses) if query.statuses else None}
        return [StatusRow(*row) for row in self._look(_block_for(query), **wanted)]

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["register"], (*astuple(lease), lease.lease_until - lease.started_at))

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away."""
        with self._transaction(commit=True) as cursor:
            return cursor.execute(SQL["renew"], (until, worker_id)).rowcount == 1

    def end_lease(self, lease: HeldLease) -> None:
        """Take a lease away, unless it has been renewed since it was seen so."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["end_lease"], (lease.worker_id, lease.lease_until))

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas that nobody owns to a worker."""
        wanted = {"now": now, "definitions": self._list(definitions), "but": self._list(but)}
        # A look costs no write transaction, so that idle workers do not disturb busy ones.
        is_any = self._look("anything_due", **wanted)[0][0]
        return self._claim(worker_id, wanted, limit, "due", "with_mail") if is_any else []

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give sagas that are due to a worker, whoever else has mail."""
        wanted = {"now": now, "definitions": self._list(definitions), "but": self._list(but)}
        is_any = self._look("due", **wanted, limit=1)
        return self._claim(worker_id, wanted, limit, "due") if is_any else []

    def _claim(self, worker_id: str, wanted: Mapping[str, Any], limit: int, *looks: str) -> list[StatusRow]:
        rows: list[sqlite3.Row] = []
        with self._transaction(commit=True) as cursor:
            for look in looks:
                found = rows_of(cursor, SQL[look], {**wanted, "limit": limit - len(rows)})
                these = json.dumps([row["saga_id"] for row in found])
                if found and cursor.execute(SQL["take"], (worker_id, these)).rowcount != len(found):
                    taken = {row[0] for row in cursor.execute(SQL["taken"], (worker_id, these))}
                    found = [row for row in found if row["saga_id"] in taken]
                rows += found
        return [replace(StatusRow(*row), owner=worker_id) for row in rows]

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker whether it is due or not."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["forget_their_owners"], {"now": now, "saga_ids": json.dumps([saga_id])})
            return cursor.execute(SQL["claim_one"], {"worker_id": worker_id, "saga_id": saga_id}).rowcount == 1

    def free(self, now: int, but: Sequence[str] = ()) -> None:
        """Take their leases and some of their sagas from the dead; a look that finds none writes nothing."""
        if self._look("anything_lost", now=now, but=self._list(but))[0][0]:
            with self._transaction(commit=True) as cursor:
                free_the_dead(cursor, now, but)

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Take these sagas from those of their owners that are dead."""
        chosen = {"now": now, "saga_ids": json.dumps(list(saga_ids))}
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["forget_their_owners"], chosen)
            cursor.execute(SQL["free_these"], chosen)

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give sagas back: those named, or all of the worker's and its lease with them."""
        with self._transaction(commit=True) as cursor:
            if saga_ids is None:
                cursor.execute(SQL["give_back_consumers"], (worker_id,))
                cursor.execute(SQL["give_back_all"], (worker_id,))
                cursor.execute(SQL["forget_worker"], (worker_id,))
            else:
                cursor.execute(SQL["give_back"], (worker_id, json.dumps(list(saga_ids))))

    def rewrite(self, rows: Sequence[StatusRow], steps: Sequence[StepRow], commands: Sequence[CommandRow] = ()) -> None:
        """Replace the read model's rows of these sagas."""
        with self._transaction(commit=True) as cursor:
            rewrite(cursor, rows, steps, commands)

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Promise nothing: SQLite calls nobody, so the poll does all the work."""
        return lambda: None

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only SQL query and return its columns and rows."""
        with self._transaction(commit=False) as cursor:
            cursor.execute("PRAGMA query_only = ON")
            try:
                rows = rows_of(cursor, sql)
                columns = [column[0] for column in cursor.description or ()]
                return columns, [tuple(row) for row in rows]
            finally:
                cursor.execute("PRAGMA query_only = OFF")


def _block_for(query: Query) -> str:
    """Return the block that finds what is asked for: it never looks through all sagas if an index holds the few."""
    if query.key is not None:
        return "find_key"
    if query.error is not None or (query.statuses and WITH_AN_ERROR.issuperset(query.statuses)):
        return "find_with_an_error"
    if query.statuses and OPEN.issuperset(query.statuses):
        return "find_open"
    return "find"
