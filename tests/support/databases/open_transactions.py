"""Transactions that somebody else holds open, through a connection of the plain driver."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from databases.catalogs import plain

from sagalog.stores.postgres.connection import SQL
from sagalog.testing.contracts.store.samples import sample_event

HELD = "held"


def _is_sqlite(database: str) -> bool:
    return database.startswith("sqlite")


@contextmanager
def held_open(database: str) -> Generator[Callable[[], Any]]:
    """Hold a transaction open that has been given a position of the log; the function commits it.

    It does what any writer of the log does, who can be held up in the middle only in a transaction of the caller's own.
    """
    topic, state = sample_event("SagaCompleted")
    with plain(database) as connection:
        if _is_sqlite(database):
            # With others who write all the time it may be some time before it is its turn.
            connection.execute("PRAGMA busy_timeout = 60000")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO saga_events VALUES (?, 1, ?, ?)", (HELD, topic, state))
        else:
            connection.execute("BEGIN")
            connection.execute(SQL["lock_log"])
            connection.execute("INSERT INTO saga_events VALUES (%s, 1, %s, %s)", (HELD, topic, state))
        yield lambda: connection.execute("COMMIT")


@contextmanager
def looked_from(database: str) -> Generator[None]:
    """Hold a transaction open that has read the log and goes on seeing it as it was.

    On PostgreSQL it has also written something, but not to the log, so that the server has an old transaction of it. In
    a SQLite file nobody else could write meanwhile.
    """
    with plain(database) as connection:
        if _is_sqlite(database):
            connection.execute("BEGIN")
        else:
            connection.execute("CREATE TABLE elsewhere (number BIGINT)")
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            connection.execute("INSERT INTO elsewhere VALUES (1)")
        [(before,)] = connection.execute("SELECT count(*) FROM saga_events").fetchall()
        yield
        assert connection.execute("SELECT count(*) FROM saga_events").fetchone() == (before,)
        connection.execute("ROLLBACK")


def writers_that_wait(database: str) -> int:
    """Return how many sessions of PostgreSQL wait for the lock of the log."""
    with plain(database) as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'saga_events'::regclass"
        [(number,)] = connection.execute(waiting).fetchall()
        return int(number)
