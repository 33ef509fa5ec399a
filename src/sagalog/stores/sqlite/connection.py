"""Connections to a SQLite file with safe settings, and SQLite's errors as errors of sagalog. It knows no table.

The `eventsourcing` pool sets only WAL and begins transactions late. Here synchronous=FULL is set, and files are created
with mode 0600. Writers begin with BEGIN IMMEDIATE, so that nobody else writes between their read and their write.
"""

import os
import random
import sqlite3
import stat
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock
from typing import Any

from eventsourcing.persistence import InterfaceError, PersistenceError
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
)

from sagalog.address import LONGEST
from sagalog.errors import StoreError, StoreReadOnly, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.opening import Said, is_opening, look_again
from sagalog.stores.error_codes import CANNOT_BE_SENT, SQLITE, SQLITE_NO_ANSWER, SQLITE_UNKNOWN, meaning_of
from sagalog.stores.sqlite.guarding import WatchedConnection

OLDEST_SQLITE = (3, 38, 0)
CACHE_KIB = 32 * 1024
# How long SQLite itself waits for the write lock, and the pause before we try again (seconds).
WRITER_WAITS_SECONDS = 0.002
OPENING_SECONDS = 5.0
OPENING_WAITS_SECONDS = 0.05
LOOK_AGAIN_SECONDS = (0.0005, 0.003)
# How the error text of Python's driver begins for undecodable text; that error has no code.
NO_UTF_8 = "Could not decode to UTF-8"


class SafePool(SQLiteConnectionPool):
    """A pool whose connections have every setting made explicitly."""

    def _create_connection(self) -> SQLiteConnection:
        return connect(self.db_name, self.lock_timeout or 5)


def connect(path: str, lock_seconds: float) -> SQLiteConnection:
    """Return a connection to the file, for a pool, with every setting made explicitly."""
    connection = driver_connection(path, lock_seconds)
    connection.row_factory = sqlite3.Row
    return SQLiteConnection(connection, max_age=None)


def driver_connection(path: str, lock_seconds: float) -> sqlite3.Connection:
    """Return the driver's connection to the file with every setting made explicitly; it gives rows as tuples."""
    try:
        connection = sqlite3.connect(
            path,
            # SQLite's own wait cannot be interrupted, so it is short at first; its final length is set below.
            timeout=min(lock_seconds, OPENING_WAITS_SECONDS),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=WatchedConnection,
        )
    except sqlite3.Error as problem:
        raise InterfaceError(problem) from problem
    try:
        _use_wal(connection, path, max(lock_seconds, OPENING_SECONDS))
        connection.execute(f"PRAGMA busy_timeout = {round(lock_seconds * 1000)}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _say_once(said: Said, path: str) -> None:
    """Report once what an opening waits for; a later write reports its waiting only when it fails."""
    if is_opening() and said.is_due():
        said.say("%s is locked by another process; waiting for it", harmless(path, LONGEST))


def _use_wal(connection: sqlite3.Connection, path: str, seconds: float) -> None:
    """Switch to WAL. SQLite does not wait for a lock here, so processes that open a new file together retry in turn."""
    give_up = time.monotonic() + seconds
    said = Said()
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() > give_up:
                raise
            _say_once(said, path)
            look_again(0.01)


def rows_of(cursor: sqlite3.Cursor, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
    """Return the rows of a statement that changes nothing.

    Bytes of a text that are not UTF-8 are shown in hexadecimal; otherwise one damaged text would hide all other rows.
    """
    try:
        return cursor.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as problem:
        if NO_UTF_8 not in str(problem):
            raise
    # Only after an error, because decoding texts in Python is slow.
    cursor.connection.text_factory = _readable
    try:
        return cursor.execute(sql, parameters).fetchall()
    finally:
        cursor.connection.text_factory = str


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")


class SafeDatastore(SQLiteDatastore):
    """A datastore whose writing transactions begin immediately.

    All writes go through one connection, whose page cache and prepared statements stay warm: SQLite drops a
    connection's cached pages when another connection writes. Getting one from the pool also takes as long as writing a
    few rows.
    """

    def __init__(self, path: str, lock_seconds: float, readers: int) -> None:
        self.pool = SafePool(
            db_name=path,
            lock_timeout=max(1, round(lock_seconds)),
            pool_size=readers,
            max_overflow=readers,
            pool_timeout=lock_seconds,
        )
        self.single_row_tracking = True
        self.originator_id_type = "text"
        self._writing = Lock()
        self._writer: SQLiteConnection | None = None
        self._made: set[str] = set()
        self._closing = False
        self._readers = 0
        self._readers_changed = Condition()
        self._reading: set[SQLiteConnection] = set()

    @contextmanager
    def transaction(self, *, commit: bool, own: Sequence[str] = ()) -> Generator[SQLiteCursor]:
        """Begin a transaction, yield a cursor, and commit; roll back if anything is raised.

        The statements `own` make what it needs of the connection's own.
        """
        with self.get_connection(commit=commit) as connection:
            cursor = connection.cursor()
            self._make(cursor, own)
            try:
                if commit:
                    self._once_unlocked(cursor, "BEGIN IMMEDIATE")
                else:
                    cursor.execute("BEGIN")
                yield cursor
                if commit:
                    connection.commit()
            finally:
                connection.rollback()
                cursor.sqlite_cursor.close()

    def _make(self, cursor: SQLiteCursor, own: Sequence[str]) -> None:
        """Make what the writing connection has of its own, if it has not got it yet.

        Before a transaction, for what is made in one that is rolled back is gone with it.
        """
        for statement in own:
            if statement not in self._made:
                cursor.execute(statement)
                self._made.add(statement)

    def _once_unlocked(self, cursor: SQLiteCursor, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that takes the single write lock, and wait for the lock.

        SQLite itself checks only every 100 ms after a while. Beside a process that writes without a pause, it would
        hardly ever get the lock.
        """
        give_up = time.monotonic() + (self.pool.lock_timeout or 5)
        said = Said()
        while True:
            try:
                cursor.execute(sql, values)
                return
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or time.monotonic() > give_up:
                    raise
                _say_once(said, self.pool.db_name)
                look_again(random.uniform(*LOOK_AGAIN_SECONDS))

    @contextmanager
    def get_connection(self, *, commit: bool) -> Generator[SQLiteConnection]:
        """Yield the writing connection, or one of the reading ones."""
        if not commit:
            with self._to_read() as connection:
                yield connection
            return
        with self._writing:
            if self._closing:
                raise InterfaceError("the database has been closed")
            if self._writer is None:
                self._writer = connect(self.pool.db_name, WRITER_WAITS_SECONDS)
                self._made.clear()
            yield self._writer

    @contextmanager
    def _to_read(self) -> Generator[SQLiteConnection]:
        with self._readers_changed:
            if self._closing:
                raise InterfaceError("the database has been closed")
            self._readers += 1
        try:
            with super().get_connection(commit=False) as connection:
                self._reading.add(connection)
                try:
                    yield connection
                finally:
                    self._reading.discard(connection)
        finally:
            with self._readers_changed:
                self._readers -= 1
                self._readers_changed.notify_all()

    def close(self) -> None:
        """Close every connection, after the current write and reads have ended.

        Closing a connection that another thread uses crashes the process, so reads that take too long are interrupted.
        """
        with self._writing:
            with self._readers_changed:
                self._closing = True
                patience = self.pool.pool_timeout
                while not self._readers_changed.wait_for(lambda: self._readers == 0, patience):
                    patience = 0.1
                    for connection in tuple(self._reading):
                        connection.cursor().sqlite_cursor.connection.interrupt()
            super().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def require_file(path: str) -> None:
    """Raise `StoreUnavailable` if the database file does not exist; SQLite would create an empty one."""
    if not Path(path).exists():
        raise StoreUnavailable(
            f"there is no database {path}; check its address, or create it with `sagalog db upgrade`"
        )


def create_file(path: str) -> None:
    """Create the database file, readable only by its owner, unless it exists; SQLite's other files get its mode.

    Raises `StoreUnavailable` if the folder does not exist or is not writable, or if the path is no file.
    """
    shown = harmless(path, LONGEST)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        if not os.access(path, os.R_OK):
            raise StoreUnavailable(f"{shown}: no permission to read it; give this user access to the file") from None
        raise StoreReadOnly(f"{shown} cannot be written; give this user access to the file and its folder") from None
    except OSError as problem:
        folder = harmless(str(Path(path).absolute().parent), LONGEST)
        raise StoreUnavailable(
            f"{shown}: {problem.strerror}; expected a file in a folder that exists ({folder})"
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise StoreUnavailable(f"{shown} is no regular file; name a file that may be created, such as shop.db")
    finally:
        os.close(file)


def translated(problem: BaseException, path: str) -> StoreError:
    """Return an error of sagalog for one of SQLite, of the recorders, or for a value that cannot be written."""
    path = harmless(path, LONGEST)
    cause = problem
    while isinstance(cause, PersistenceError) and (cause.__cause__ or cause.args):
        inner = cause.__cause__ or cause.args[0]
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = str(cause) or type(cause).__name__
    code: str | None = getattr(cause, "sqlite_errorname", None)
    if code is not None:
        meaning = meaning_of(code, SQLITE, SQLITE_UNKNOWN)
    elif isinstance(cause, CANNOT_BE_SENT) or (isinstance(cause, sqlite3.ProgrammingError) and "closed" not in text):
        meaning = SQLITE_UNKNOWN
    else:
        meaning = SQLITE_NO_ANSWER
    return meaning.kind(f"{path} {meaning.hint.format(text)}")
