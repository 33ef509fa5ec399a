"""What the kit does with a connection, for sqlite3 and psycopg alike; it imports neither driver and opens nothing."""

import inspect
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, Protocol

from sagalog.errors import InvalidAction
from sagalog.participant_kit.foreign import (
    Begun,
    Pooled,
    driver_connection,
    expected,
    is_of_another_driver,
    refusal,
    refusal_to_await,
    sqlalchemy_transactions,
)
from sagalog.participant_kit.turn import Row
from sagalog.stores.sql import statements

SQLITE = statements("sagalog.participant_kit", "sqlite.sql")
POSTGRES = statements("sagalog.participant_kit", "postgres.sql")


class Executing(Protocol):
    """A connection of `sqlite3` or of `psycopg`, or a `Connection` or `Session` of SQLAlchemy on one of them.

    It may have any settings and any row factory.
    """

    def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""
        ...


# SQLAlchemy's types do not accept a text as a statement, so this type promises nothing about statements.
Connection = Executing | Begun | Pooled


class AsyncConnection(Protocol):
    """A `psycopg.AsyncConnection`."""

    async def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""
        ...


class Database(Protocol):
    """The few operations that the kit needs."""

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        """Run a named statement and return how many rows it changed."""
        ...

    def row(self, parameters: dict[str, Any]) -> Row:
        """Return the row of an action."""
        ...

    def state(self) -> str:
        """Return which tables exist, as the block `state` reports it."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Begin a transaction and commit it at the end; inside an open one, an error undoes only this part."""
        ...


def database_of(connection: Connection) -> Database:
    """Return the operations for a connection; raises `TypeError`, with advice, for anything else."""
    transactions = sqlalchemy_transactions(connection)
    if transactions is not None:
        return _SQLAlchemy(transactions)
    return _plain(driver_connection(connection))


def _plain(connection: Any) -> "_Psycopg | _SQLite":
    if is_of_another_driver(connection):
        raise refusal(connection)
    if inspect.iscoroutinefunction(getattr(connection, "execute", None)) and hasattr(connection, "pgconn"):
        raise TypeError("expected a connection that blocks, found an asynchronous one; use the methods with _async")
    if hasattr(connection, "pgconn"):
        return _Psycopg(connection)
    if _is_of_sqlite(connection):
        return _SQLite(connection)
    raise refusal(connection)


def _is_of_sqlite(connection: object) -> bool:
    """Tell whether a connection is sqlite3's: others have `in_transaction` too, but only SQLite has `total_changes`."""
    kind = type(connection)
    return hasattr(kind, "in_transaction") and hasattr(kind, "total_changes")


def how_to_make(state: str) -> str | None:
    """Return the name of the statement that creates the table, given the `state` of the database; None if it exists.

    Raises `InvalidAction` if both tables exist: what the older one records as done would be done again.
    """
    if state == "both":
        raise InvalidAction(
            "expected one inbox, found participant_inbox and saga_participant_inbox: a process of an older sagalog has "
            "made its own after this database had been brought up to date; end those processes, move the rows of "
            "participant_inbox into saga_participant_inbox, and drop it"
        )
    return {"ours": None, "older": "rename"}.get(state, "create")


class _SQLite:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        return int(self._connection.execute(SQLITE[name], parameters or {}).rowcount)

    def row(self, parameters: dict[str, Any]) -> Row:
        return _row(self._first("read", parameters))

    def state(self) -> str:
        return str(_text(self._first("state", {})[0]))

    def _first(self, name: str, parameters: dict[str, Any]) -> Sequence[Any]:
        cursor = self._connection.cursor()
        # The owner's row factory must not change these rows.
        cursor.row_factory = None
        found: Sequence[Any] = cursor.execute(SQLITE[name], parameters).fetchone()
        return found

    def begin(self) -> None:
        """Begin the transaction that its owner has begun, if the database does not know of it yet."""
        if not self._connection.in_transaction:
            self.execute("begin")

    @contextmanager
    def transaction(self) -> Generator[None]:
        inside = self._connection.in_transaction
        self.execute("mark" if inside else "begin")
        try:
            yield
            self.execute("unmark" if inside else "commit")
        except BaseException:
            # SQLite may have rolled back by itself already.
            if self._connection.in_transaction:
                for name in ("back_to_mark", "unmark") if inside else ("end",):
                    self.execute(name)
            raise


class _Psycopg:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        return int(self._connection.execute(POSTGRES[name], parameters).rowcount)

    def row(self, parameters: dict[str, Any]) -> Row:
        return row_of(self._connection.execute(POSTGRES["read"], parameters))

    def state(self) -> str:
        return value_of(self._connection.execute(POSTGRES["state"]))

    def begin(self) -> None:
        """Do nothing: psycopg begins with the first statement, unless autocommit is on."""
        if self._connection.autocommit:
            raise expected("a connection of SQLAlchemy with transactions", "one with isolation_level AUTOCOMMIT")

    def transaction(self) -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = self._connection.transaction()
        return found


class _SQLAlchemy:
    """Runs statements on the driver's connection; SQLAlchemy's object begins and ends the transactions."""

    def __init__(self, owner: Begun) -> None:
        self._owner = owner

    @property
    def _driver(self) -> _Psycopg | _SQLite:
        # Only inside a transaction, because asking a session for its connection begins one.
        return _plain(driver_connection(self._owner))

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        return self._driver.execute(name, parameters)

    def row(self, parameters: dict[str, Any]) -> Row:
        return self._driver.row(parameters)

    def state(self) -> str:
        return self._driver.state()

    @contextmanager
    def transaction(self) -> Generator[None]:
        if not self._owner.in_transaction():
            with self._owner.begin():
                self._driver.begin()
                yield
            return
        self._driver.begin()
        with self._owner.begin_nested():
            yield


class AsyncDatabase:
    """The same operations with a `psycopg.AsyncConnection`."""

    def __init__(self, connection: AsyncConnection) -> None:
        if not (hasattr(connection, "pgconn") and inspect.iscoroutinefunction(connection.execute)):
            raise refusal_to_await(connection)
        self._connection: Any = connection

    async def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        """Run a named statement and return how many rows it changed."""
        return int((await self._connection.execute(POSTGRES[name], parameters)).rowcount)

    async def row(self, parameters: dict[str, Any]) -> Row:
        """Return the row of an action."""
        return row_of(await self._connection.execute(POSTGRES["read"], parameters))

    async def state(self) -> str:
        """Return which tables exist, as the block `state` reports it."""
        return value_of(await self._connection.execute(POSTGRES["state"]))

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction; inside an open one, a savepoint that can fail by itself."""
        found: AbstractAsyncContextManager[Any] = self._connection.transaction()
        return found


def row_of(cursor: Any) -> Row:
    """Return the row that a psycopg cursor has read, whatever its row factory."""
    result = cursor.pgresult
    return _row([result.get_value(0, column) for column in range(result.nfields)])


def value_of(cursor: Any) -> str:
    """Return the one text that a psycopg cursor has read, whatever its row factory."""
    return str(_text(cursor.pgresult.get_value(0, 0)))


def _row(values: Sequence[Any]) -> Row:
    status, deliveries, *rest = map(_text, values)
    return Row(status, int(deliveries), *rest)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
