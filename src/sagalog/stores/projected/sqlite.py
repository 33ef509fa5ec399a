"""Projections in a SQLite file: that of the sagas, or another one."""

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any

from eventsourcing.persistence import PersistenceError

from sagalog.errors import InvalidAction, StoreError, StoreUnavailable
from sagalog.store import StoreOptions
from sagalog.stores.projected.transaction import GONE, SqlTransaction, blocks, creating
from sagalog.stores.queries import Queries
from sagalog.stores.sqlite.connection import create_file, driver_connection, rows_of, translated
from sagalog.stores.sqlite.guarding import transaction_kept
from sagalog.stores.sqlite.writing import SQL as STORE_SQL
from sagalog.stores.texts import only_storable

SQL = blocks(False, "sqlite.sql", {"{lock}": "", "{lock_soon}": ""})
CREATE = creating("sqlite")
_NOT_THERE = ("no such table", "no such column")


class SQLiteTransaction(SqlTransaction):
    """A transaction on a connection of sqlite3."""

    with_percent = False
    sql = SQL
    errors = sqlite3.Error

    def meaning(self, problem: BaseException) -> StoreError:
        """Return an error of sqlite3 as one of sagalog."""
        return translated(problem, "the database of the projection")

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return the rows that it gives."""
        cursor = self.driver.cursor()
        cursor.row_factory = None
        found: list[tuple[Any, ...]] = cursor.execute(sql, values).fetchall()
        return found

    def handlers(self) -> AbstractContextManager[None]:
        """Let handlers run within, and refuse what would end the transaction."""
        return transaction_kept(self.driver)

    def lock_name(self, projection: str) -> None:
        """Do nothing: a transaction of SQLite that writes is the only one."""

    def goes_on(self) -> bool:
        """Tell whether the transaction is still there."""
        return bool(self.driver.in_transaction)

    def lock_log(self) -> None:
        """Do nothing: a transaction of SQLite that writes is the only one."""

    def every_row(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table."""
        cursor = self.driver.cursor()
        cursor.row_factory = None
        yield from cursor.execute(self.about("every_row", table=table))


class SQLiteLog(Queries):
    """The log as a transaction sees it that has begun to write to it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _rows(self, block: str, values: Mapping[str, Any]) -> Sequence[Any]:
        return rows_of(self._connection.cursor(), STORE_SQL[block], values)

    def _list(self, texts: Iterable[str]) -> str:
        return json.dumps(only_storable(texts))


class SQLiteProjections:
    """The database of projections in one SQLite file."""

    def __init__(self, path: str, options: StoreOptions) -> None:
        self.where = path
        self._seconds = options.statement_timeout
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._turn = Lock()
        self._look = Lock()

    def __repr__(self) -> str:
        return f"<SQLiteProjections {self.where}>"

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.OperationalError, PersistenceError) as problem:
            if str(problem).startswith(_NOT_THERE):
                raise InvalidAction(f"{self.where}: {problem}; {GONE}") from None
            raise translated(problem, self.where) from problem

    def open(self) -> None:
        """Open the file, and make our tables in it."""
        if self._writer is not None:
            return
        with self._named_errors():
            create_file(self.where)
            self._writer, self._reader = self._connect(), self._connect()
        try:
            with self.transaction() as transaction:
                transaction.make(CREATE)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        return driver_connection(self.where, self._seconds)

    def close(self) -> None:
        """Close the connections."""
        with self._turn, self._look:
            kept, self._writer, self._reader = (self._writer, self._reader), None, None
            for connection in kept:
                if connection is not None:
                    connection.close()

    @contextmanager
    def transaction(self) -> Generator[SQLiteTransaction]:
        """Begin a transaction that writes, and commit it."""
        with self._turn, self._begun("BEGIN IMMEDIATE", self._writer) as transaction:
            yield transaction

    @contextmanager
    def reading(self) -> Generator[SQLiteTransaction]:
        """Begin a transaction that only reads, on a connection that no turn uses."""
        with self._look, self._begun("BEGIN", self._reader) as transaction:
            yield transaction

    @contextmanager
    def snapshot(self) -> Generator[SQLiteTransaction]:
        """Begin a transaction that only reads, on a connection of its own."""
        with self._named_errors():
            connection = self._connect()
        try:
            with self._begun("BEGIN", connection) as transaction:
                # A snapshot of SQLite begins with the first read.
                transaction.generations()
                yield transaction
        finally:
            connection.close()

    @contextmanager
    def _begun(self, begin: str, connection: sqlite3.Connection | None) -> Generator[SQLiteTransaction]:
        if connection is None:
            raise StoreUnavailable(f"{self.where} is not open; call open() first")
        with self._named_errors():
            connection.execute(begin)
        try:
            with self._named_errors():
                yield SQLiteTransaction(connection, connection)
                connection.commit()
        except BaseException:
            connection.rollback()
            raise
