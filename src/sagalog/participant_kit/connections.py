"""What the kit needs of a connection, the same for sqlite3 and psycopg; it imports neither driver and opens nothing."""

import inspect
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any, Protocol

from sagalog.participant_kit.turn import Row
from sagalog.stores.sql import statements

SQLITE = statements("sagalog.participant_kit", "sqlite.sql")
POSTGRES = statements("sagalog.participant_kit", "postgres.sql")


class Connection(Protocol):
    """A connection of `sqlite3` or of `psycopg`, with whatever settings and row factory its owner wants."""

    def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""
        ...


class AsyncConnection(Protocol):
    """A `psycopg.AsyncConnection`."""

    async def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """Run one statement."""
        ...


class Database(Protocol):
    """The few things that are done with a connection."""

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        """Run a named statement and return how many rows it changed."""
        ...

    def row(self, parameters: dict[str, Any]) -> Row:
        """Read the row of an action."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Begin a transaction and commit it at the end, or, inside one, undo only what fails here."""
        ...


def database_of(connection: Connection) -> Database:
    """Return how to work with a connection; raises `TypeError` for one that is neither sqlite3's nor psycopg's."""
    if inspect.iscoroutinefunction(getattr(connection, "execute", None)):
        raise TypeError("expected a connection that blocks, found an asynchronous one; use the methods with _async")
    if hasattr(connection, "pgconn"):
        return _Psycopg(connection)
    if hasattr(connection, "in_transaction"):
        return _SQLite(connection)
    raise TypeError(f"expected a connection of sqlite3 or psycopg, found {type(connection).__name__}")


class _SQLite:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        return int(self._connection.execute(SQLITE[name], parameters or {}).rowcount)

    def row(self, parameters: dict[str, Any]) -> Row:
        cursor = self._connection.cursor()
        # The rows are the owner's to shape, but not these.
        cursor.row_factory = None
        found = cursor.execute(SQLITE["read"], parameters).fetchone()
        return _row(found)

    @contextmanager
    def transaction(self) -> Generator[None]:
        inside = self._connection.in_transaction
        self.execute("mark" if inside else "begin")
        try:
            yield
            self.execute("unmark" if inside else "commit")
        except BaseException:
            # SQLite may have ended the transaction by itself, and then has undone everything.
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

    def transaction(self) -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = self._connection.transaction()
        return found


class AsyncDatabase:
    """The same with a `psycopg.AsyncConnection`."""

    def __init__(self, connection: AsyncConnection) -> None:
        if not (hasattr(connection, "pgconn") and inspect.iscoroutinefunction(connection.execute)):
            raise TypeError(f"expected a psycopg.AsyncConnection, found {type(connection).__name__}")
        self._connection: Any = connection

    async def execute(self, name: str, parameters: dict[str, Any] | None = None) -> int:
        """Run a named statement and return how many rows it changed."""
        return int((await self._connection.execute(POSTGRES[name], parameters)).rowcount)

    async def row(self, parameters: dict[str, Any]) -> Row:
        """Read the row of an action."""
        return row_of(await self._connection.execute(POSTGRES["read"], parameters))

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction, or a part of one that can fail by itself."""
        found: AbstractAsyncContextManager[Any] = self._connection.transaction()
        return found


def row_of(cursor: Any) -> Row:
    """Return the row that a psycopg cursor has read, whatever its connection makes of rows."""
    result = cursor.pgresult
    return _row([result.get_value(0, column) for column in range(result.nfields)])


def _row(values: Sequence[Any]) -> Row:
    status, deliveries, *rest = (one.decode() if isinstance(one, bytes) else one for one in values)
    return Row(status, int(deliveries), *rest)
