"""Sagas in a SQLite file: the embedded default. Several threads and processes of one machine may share it."""

import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

from eventsourcing.persistence import PersistenceError
from msgspec.structs import asdict

from sagalog.errors import StoreError, StoreUnavailable, StoreUnfit
from sagalog.saga.transitions import ENDED
from sagalog.store import (
    Append,
    AppendOutcome,
    AttributeRow,
    CommandRow,
    Query,
    Selection,
    StatusRow,
    StepRow,
    StoreOptions,
)
from sagalog.store.appending import Companion
from sagalog.store.attributes import Wanted
from sagalog.store.filters import Filter
from sagalog.stores.companions import Companions
from sagalog.stores.error_codes import CANNOT_BE_SENT
from sagalog.stores.filtering import Filters
from sagalog.stores.migrations import Dialect, Migration, require_current, upgrade
from sagalog.stores.searching import IN_TROUBLE, Searching, errs
from sagalog.stores.signs import Signs
from sagalog.stores.sql import for_rows, statements
from sagalog.stores.sqlite.connection import (
    OLDEST_SQLITE,
    SafeDatastore,
    create_file,
    require_file,
    rows_of,
    translated,
)
from sagalog.stores.sqlite.jobs import SQLiteJobs
from sagalog.stores.sqlite.life import LifeFiles
from sagalog.stores.sqlite.messages import SQLiteMessages
from sagalog.stores.sqlite.recorder import SagaRecorder
from sagalog.stores.sqlite.select import select
from sagalog.stores.sqlite.workers import SQLiteWorkers
from sagalog.stores.sqlite.writing import SQL, rewrite
from sagalog.stores.texts import is_storable, only_storable

logger = logging.getLogger("sagalog.stores")


FILTERS = Filters(statements("sagalog.stores.sqlite", "filters.sql"), lambda number: number)

# So many sagas of a name are looked through faster by themselves than among all.
MOST_OF_FEW = 5_000


class SQLiteStore(SQLiteWorkers, SQLiteMessages, SQLiteJobs, Searching):
    """The store port on one SQLite file; `path` as in `sqlite:///path`."""

    name = "sqlite"
    dialect: Dialect = "sqlite"

    def __init__(self, path: str, options: StoreOptions | None = None) -> None:
        self.path = path
        self._options = options or StoreOptions()
        self._recorder: SagaRecorder | None = None
        self._companions = Companions()
        self._files = LifeFiles(path)
        self._signs = Signs(self._files.take)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path}>"

    @property
    def recorder(self) -> SagaRecorder:
        """Return the `eventsourcing` process recorder, through which other applications may read the log."""
        if self._recorder is None:
            raise StoreUnavailable(f"{self.path} is not open; call open() first")
        return self._recorder

    def open(self, migrate: bool | None = None) -> None:
        """Open the file, creating and upgrading it as needed; with `migrate=False`, an old schema is refused.

        `migrate=None` follows the options. Raises `StoreUnfit` for a file that cannot hold every text.
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
        datastore = SafeDatastore(self.path, self._options.statement_timeout, self._options.readers)
        self._recorder = SagaRecorder(datastore, self._companions)
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
        """Close every connection, and let go of every sign of life."""
        self._signs.close()
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

    def _filtered(self, block: str, values: Mapping[str, Any], where: Filter) -> Sequence[Any]:
        sql, given = _with_filter(SQL[block], where)
        with self._transaction(commit=False) as cursor:
            return rows_of(cursor, sql, {**values, **given})

    def _list(self, texts: Iterable[str]) -> str:
        return json.dumps(only_storable(texts))

    def schema_version(self) -> int:
        """Return the number of the last migration applied."""
        if not self._look("schema_exists")[0][0]:
            return 0
        return int(self._look("schema_version")[0][0] or 0)

    def apply(self, migration: Migration) -> None:
        """Apply one migration; do nothing if another process already has."""
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

    def accompany(self, companion: Companion) -> Callable[[], None]:
        """Call `companion` at the end of each transaction that writes to the log."""
        return self._companions.add(companion)

    def _find(self, query: Query, least: str | None) -> list[StatusRow]:
        rows = self._look_for(self._block_for(query), query, self._values_of(query, least))
        return [StatusRow(*row) for row in rows]

    def _find_these(self, query: Query, saga_ids: Sequence[str]) -> list[StatusRow]:
        values = self._values_of(query) | {"saga_ids": self._list(saga_ids)}
        return [StatusRow(*row) for row in self._look_for("find_these", query, values)]

    def _block_for(self, query: Query) -> str:
        """Return the block for a query; if an index narrows it down, the block never reads all sagas."""
        if query.key is not None:
            return "find_key"
        statuses = set(query.statuses)
        if statuses and statuses <= IN_TROUBLE:
            return "find_in_trouble"
        by_status = None
        if errs(query):
            by_status = "find_with_an_error"
        elif statuses and ENDED.isdisjoint(statuses):
            by_status = "find_open"
        if query.saga_name is None:
            return by_status or "find"
        return "find_named" if by_status is None or self._are_few(query.saga_name) else by_status

    def _are_few(self, saga_name: str) -> bool:
        return len(self._look("some_named", saga_name=saga_name, limit=MOST_OF_FEW + 1)) <= MOST_OF_FEW

    def _values_of(self, query: Query, least: str | None = None) -> dict[str, Any]:
        values = asdict(query) | {"statuses": self._list(query.statuses) if query.statuses else None, "least": least}
        del values["attributes"], values["where"]
        return values

    def _number(self, number: float | None) -> int | float | None:
        return number

    def _ask_all(
        self, block: str, query: Query, wanted: Sequence[Wanted], saga_ids: Sequence[str] | None
    ) -> Sequence[Any]:
        values = self._values_of(query) | {"saga_ids": None if saga_ids is None else self._list(saga_ids)}
        if not all(is_storable(value) for value in values.values() if isinstance(value, str)):
            return ()
        given = [part for one in wanted for part in (one.name, one.operator, one.text, one.number)]
        numbers = count()
        sql = re.sub(r"\?", lambda _: f":condition_{next(numbers)}", for_rows(SQL[block], len(wanted)))
        sql, filtering = _with_filter(sql, query.where)
        values |= {f"condition_{number}": part for number, part in enumerate(given)}
        with self._transaction(commit=False) as cursor:
            return rows_of(cursor, sql, values | filtering)

    def rewrite(
        self,
        rows: Sequence[StatusRow],
        steps: Sequence[StepRow],
        commands: Sequence[CommandRow] = (),
        attributes: Sequence[AttributeRow] = (),
    ) -> None:
        """Replace the read model's rows of these sagas."""
        with self._transaction(commit=True) as cursor:
            rewrite(cursor, rows, steps, commands, attributes)

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call nobody: SQLite cannot notify, so all news are found by polling."""
        return lambda: None

    def select(self, sql: str) -> AbstractContextManager[Selection]:
        """Run a query of a user, and give its answer."""
        if self._recorder is None:
            raise StoreUnavailable(f"{self.path} is not open; call open() first")
        return select(self.path, self._options.statement_timeout, sql)

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query of a user, and return its columns and rows."""
        with self.select(sql) as selection:
            return selection.held()


def _with_filter(sql: str, where: Filter | None) -> tuple[str, dict[str, Any]]:
    """Return SQL that also asks for a filter, and the values of that."""
    if where is None:
        return sql, {}
    made = FILTERS.composed(where, lambda number: f":where_{number}")
    given = {f"where_{number}": value for number, value in enumerate(made.values)}
    return sql.replace(SQL["filtered"], made.text), given
