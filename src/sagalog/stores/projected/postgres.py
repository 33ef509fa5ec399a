"""Projections in PostgreSQL: in the database of the sagas, or in another one."""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from sagalog.errors import InvalidAction, StoreError, StoreUnavailable
from sagalog.stores.postgres.connection import Address, BoundedConnection, KeptConnection
from sagalog.stores.postgres.errors import translated
from sagalog.stores.postgres.exchange import exchange
from sagalog.stores.postgres.privileges import quoted
from sagalog.stores.projected.transaction import GONE, SqlTransaction, blocks, creating
from sagalog.stores.queries import Queries
from sagalog.stores.texts import only_storable

SQL = blocks(True, "postgres.sql", {"{lock}": "FOR UPDATE", "{lock_soon}": "FOR UPDATE SKIP LOCKED"})
CREATE = creating("postgres")

# The name of a cursor of the server, and how many rows it gives at a time.
EVERY_ROW = "saga_every_row"
ROWS_AT_ONCE = 2_000


class PostgresTransaction(SqlTransaction):
    """A transaction on a connection of psycopg."""

    with_percent = True
    sql = SQL
    errors = psycopg.Error
    _pipeline: psycopg.Pipeline | None = None
    _cursor: Any = None

    def meaning(self, problem: BaseException) -> StoreError:
        """Return an error of psycopg as one of sagalog."""
        return translated(problem, "the database of the projection")

    def run(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement; within `many` its errors are raised later."""
        if self._cursor is None:
            self.driver.execute(sql, values)
        else:
            self._cursor.execute(sql, values)

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return the rows that it gives."""
        cursor = self.driver.cursor()
        cursor.row_factory = tuple_row
        cursor.execute(sql, values)
        if self._pipeline is not None:
            # What a statement gives is known only when its answer has come.
            self._pipeline.sync()
        found: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        return found

    def every_row(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table, through a cursor of the server."""
        with self.driver.cursor(EVERY_ROW, row_factory=tuple_row) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(self.about("every_row", table=table))

    def many(self) -> AbstractContextManager[Any]:
        """Begin many statements, which are sent without waiting for each."""
        return self._in_a_pipeline()

    @contextmanager
    def _in_a_pipeline(self) -> Generator[None]:
        try:
            # One cursor for all of them: to make one takes as long as to send a statement.
            with self.driver.cursor() as self._cursor, self.driver.pipeline() as self._pipeline:
                yield
        finally:
            self._pipeline = self._cursor = None

    def lock_name(self, projection: str) -> None:
        """Wait until no other transaction makes, switches or removes generations of this projection."""
        self.ask("lock_name", projection=projection)

    def goes_on(self) -> bool:
        """Tell whether the transaction is still there, and nothing of it has failed for good."""
        return bool(self.driver.pgconn.transaction_status == TransactionStatus.INTRANS)

    def lock_log(self) -> None:
        """Let nobody else write to the log until the end."""
        self.ask("lock_log")

    def show(self, names: Mapping[str, str], gone: Sequence[str]) -> None:
        """Let readers see tables by their plain names; those who read are not waited for long."""
        self.ask("readers_wait")
        super().show(names, gone)

    def show_one(self, name: str, table: str) -> None:
        """Let the view `name` show a table; with other columns it is made anew, and its grants are given again."""
        try:
            with self.part():
                self.rows(self.about("show_instead", name=name, table=table), {})
            return
        except psycopg.errors.InvalidTableDefinition:
            # It has other columns than before.
            granted = self.ask("granted", name=name)
        super().show_one(name, table)
        for grantee, privilege in granted:
            role = "PUBLIC" if grantee == "PUBLIC" else quoted(grantee)
            self.rows(self.about("grant", privilege=privilege, name=name, role=role), {})


class WithinPostgres(PostgresTransaction):
    """A transaction that a store has begun, whose parts are made without the knowledge of psycopg.

    psycopg would forget all prepared statements of the connection after it has rolled back, the store's as well.
    """

    @contextmanager
    def part(self) -> Generator[None]:
        """Begin a part that can fail by itself; within `together` it fails with the whole."""
        if self._pipeline is not None:
            self.driver.execute(self.sql["savepoint"])
            yield
            self.driver.execute(self.sql["release"])
            return
        exchange(self.driver, [("begin_part", ())])
        try:
            yield
            exchange(self.driver, [("end_part", ())])
        except BaseException:
            self._undo()
            raise

    @contextmanager
    def together(self) -> Generator[None]:
        """Begin a part that is sent without waiting for its statements."""
        try:
            with super().many():
                self.driver.execute(self.sql["savepoint"])
                yield
                self.driver.execute(self.sql["release"])
        except BaseException:
            self._undo()
            raise

    def many(self) -> AbstractContextManager[Any]:
        """Begin many statements; within `together` they already are."""
        return super().many() if self._pipeline is None else nullcontext()

    def _undo(self) -> None:
        exchange(self.driver, [("undo_part", ()), ("end_part", ())])


class PostgresLog(Queries):
    """The log as a transaction sees it that has begun to write to it."""

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection

    def _rows(self, block: str, values: Mapping[str, Any]) -> Sequence[Any]:
        return self._connection.rows(block, tuple(values.values()))

    def _list(self, texts: Iterable[str]) -> list[str]:
        return only_storable(texts)


class PostgresProjections:
    """The database of projections at one address of PostgreSQL."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.where = address.where
        self._writer: KeptConnection | None = None
        self._reader: KeptConnection | None = None

    def __repr__(self) -> str:
        return f"<PostgresProjections {self.where}>"

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.InsufficientPrivilege) as problem:
            raise translated(problem, self.where, self._address.secrets) from None
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as problem:
            said = problem.diag.message_primary
            raise InvalidAction(f"{self.where}: {said}; {GONE}") from None

    def open(self) -> None:
        """Connect, and make our tables."""
        if self._writer is not None:
            return
        connect, bound = self._address.connect, self._address.bound
        writer = self._writer = KeptConnection(connect, "writing a projection", bound)
        self._reader = KeptConnection(connect, "reading where projections are", bound)
        try:
            with self.transaction() as transaction:
                transaction.make(CREATE)
        except BaseException:
            self._writer = None
            writer.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        kept, self._writer, self._reader = (self._writer, self._reader), None, None
        for one in kept:
            if one is not None:
                one.close()

    @contextmanager
    def transaction(self) -> Generator[PostgresTransaction]:
        """Begin a transaction, and commit it."""
        with self._of(self._writer) as transaction:
            yield transaction

    @contextmanager
    def reading(self) -> Generator[PostgresTransaction]:
        """Begin a transaction that only reads, on a connection that no turn uses."""
        with self._of(self._reader) as transaction:
            yield transaction

    @contextmanager
    def _of(self, kept: KeptConnection | None) -> Generator[PostgresTransaction]:
        if kept is None:
            raise StoreUnavailable(f"{self.where} is not open; call open() first")
        with self._named_errors(), kept.use() as connection, connection.transaction():
            yield PostgresTransaction(connection, connection)

    @contextmanager
    def snapshot(self) -> Generator[PostgresTransaction]:
        """Begin a transaction that only reads, on a connection of its own."""
        with self._named_errors():
            connection = self._address.connect()
            try:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                # To read every row may take as long as it takes.
                connection.run("no_timeout")
                connection.deadline = math.inf
                with connection.transaction():
                    transaction = PostgresTransaction(connection, connection)
                    # A snapshot of PostgreSQL begins with the first statement.
                    transaction.generations()
                    yield transaction
            finally:
                connection.close()
