"""The sign of life of a worker on PostgreSQL: an advisory lock on a connection that does nothing else.

The server lets go of the lock as soon as the connection is gone, and that is at once if the process dies.
"""

import secrets
import select
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import psycopg

from sagalog.stores.postgres.connection import BoundedConnection
from sagalog.stores.signs import NoSign, closed_in_children, kept_in_children

# As many as an advisory lock has for its second number.
NUMBERS = 2**31
TRIES = 5
# How often what has come is read before it is looked again, so that a talkative server holds up nobody.
MOST_READS = 10
GONE = ("FATAL", "PANIC")


class HeldLock:
    """An advisory lock, and the connection that holds it."""

    def __init__(self, connection: BoundedConnection, number: int) -> None:
        self.number = number
        self._connection = connection
        self._descriptor = connection.fileno()
        self._turn = Lock()
        self._lost = False
        self._closed = False
        connection.add_notice_handler(self._noticed)
        closed_in_children(self._descriptor)

    def holds(self) -> bool:
        """Tell whether the connection stands: nothing is asked of the server, only whether it has said something."""
        with self._turn:
            try:
                for _ in range(MOST_READS):
                    if self._lost or not _is_readable(self._descriptor):
                        break
                    # A setting of the server that has changed, or that the session is over.
                    self._connection.pgconn.consume_input()
                    self._connection.pgconn.is_busy()
            except (psycopg.Error, OSError, ValueError):
                self._lost = True
            return not self._lost

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        # It comes before the server lets go of the lock.
        self._lost = self._lost or notice.severity_nonlocalized in GONE

    def close(self) -> None:
        """Close the connection, and so let go of the lock."""
        with self._turn:
            if self._closed:
                return
            self._lost = self._closed = True
            kept_in_children(self._descriptor)
            with suppress(psycopg.Error):
                self._connection.close()


def _is_readable(descriptor: int) -> bool:
    if hasattr(select, "poll"):
        looked_at = select.poll()
        looked_at.register(descriptor, select.POLLIN)
        return bool(looked_at.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


def take_lock(connect: Callable[[], BoundedConnection]) -> HeldLock:
    """Take a new lock on a new connection; raises `NoSign` behind a pooler, and what the database raises."""
    connection = connect()
    try:
        if connection.rows("backend")[0][0] != connection.pgconn.backend_pid:
            raise NoSign("a pooler stands between, and a lock would be held by one of its sessions", for_good=True)
        connection.run("life_session")
        for _ in range(TRIES):
            number = secrets.randbelow(NUMBERS)
            if connection.rows("lock_life", (number,))[0][0]:
                return HeldLock(connection, number)
        raise NoSign("every lock that was tried is held by somebody", for_good=False)
    except BaseException:
        connection.close()
        raise
