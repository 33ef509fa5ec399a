"""Keeps code of users on a SQLite connection from ending the transaction that it writes in. It knows no table.

SQLite asks whether it may when it prepares a statement, and prepares every statement anew when it is told whom to ask.
So a connection of our own is told once, and asks whether somebody is watched now.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sagalog.errors import InvalidAction

# The savepoint that lets a part of a transaction fail by itself.
PART = "saga_part"


class _Guard:
    """Refuses, while it is on, what begins or ends a transaction; `refused` is the last of that."""

    def __init__(self) -> None:
        self.is_on = False
        self.refused: str | None = None

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if self.is_on and (
            action == sqlite3.SQLITE_TRANSACTION or (action == sqlite3.SQLITE_SAVEPOINT and second == PART)
        ):
            self.refused = first
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class WatchedConnection(sqlite3.Connection):
    """A connection that can be told what code of users must not do."""

    guard: _Guard | None = None

    def close(self) -> None:
        """Close it; raises `sqlite3.ProgrammingError` while code of users runs on it."""
        if self.guard is not None and self.guard.is_on:
            self.guard.refused = "CLOSE"
            raise sqlite3.ProgrammingError("the connection is in the middle of a transaction")
        super().close()


@contextmanager
def transaction_kept(connection: sqlite3.Connection) -> Generator[None]:
    """Let nothing within begin, end or close the connection's transaction; raises `InvalidAction` if that was tried."""
    guard = _guard_of(connection)
    guard.is_on, guard.refused = True, None
    try:
        yield
    except Exception as problem:
        if guard.refused is None:
            raise
        raise InvalidAction(
            f"expected a handler that only reads and writes rows, found {guard.refused}: the transaction also writes "
            "how far the projection is, so leave it to that (no commit, rollback, `with connection:`, executescript)"
        ) from problem
    finally:
        guard.is_on = False
        if not isinstance(connection, WatchedConnection):
            connection.set_authorizer(None)


def _guard_of(connection: sqlite3.Connection) -> _Guard:
    """Return whom SQLite asks about a connection; one of our own keeps it."""
    if isinstance(connection, WatchedConnection):
        if connection.guard is None:
            connection.guard = _Guard()
            connection.set_authorizer(connection.guard)
        return connection.guard
    guard = _Guard()
    connection.set_authorizer(guard)
    return guard
