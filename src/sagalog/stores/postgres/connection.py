"""Connections to PostgreSQL on which no call outlives its bound, and how they are replaced. It knows no table.

A call on a dead network does not come back by itself: the kernel waits for minutes. Server and kernel are told to give
up (statement_timeout, keepalives, tcp_user_timeout), and should neither, every wait of ours ends at a deadline anyway;
the connection is then closed, as nobody knows what became of what was asked on it.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import RawCursor
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg.waiting import Ready, Wait

from sagalog.address import secrets_of
from sagalog.opening import check_wanted, is_given_up, unless
from sagalog.store import StoreOptions
from sagalog.stores.columns import written_out
from sagalog.stores.postgres.address import read_address, refused_for_good, where_of
from sagalog.stores.postgres.errors import TimedOut
from sagalog.stores.sql import statements

BLOCKS = {
    name: text
    for part in ("store", "messages", "fitness")
    for name, text in statements("sagalog.stores.postgres", f"{part}.sql").items()
}
SQL = {name: text.encode() for name, text in written_out(BLOCKS).items()}

Steps = Generator[Wait, Ready | int, Any]


def _never() -> bool:
    return False


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection whose calls raise `TimedOut` when `deadline` (of `time.monotonic`) is over."""

    deadline: float = math.inf
    uses: int = 0
    listens: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # The blocks that `exchange` has prepared on it.
        self.prepared: set[str] = set()

    def wait(self, gen: Steps, *arguments: Any, **options: Any) -> Any:
        """Drive what psycopg does on this connection, looking at the deadline a few times a second."""
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: Steps) -> Steps:
        try:
            wanted = next(gen)
            while True:
                if time.monotonic() > self.deadline:
                    gen.close()
                    raise TimedOut("no answer within the time allowed")
                if is_given_up():
                    gen.close()
                    self._end_statement()
                    check_wanted()
                wanted = gen.send((yield wanted))
        except StopIteration as end:
            return end.value

    def _end_statement(self) -> None:
        """Let the server end what it does for us: it would notice only later that nobody waits for it."""
        with suppress(psycopg.Error), unless(_never):
            self.cancel_safe(timeout=1.0)

    def notifies(self, *, timeout: float | None = None, stop_after: int | None = None) -> Generator[psycopg.Notify]:
        """Wait for news, as long as the caller says: whoever listens keeps the connection for as long as it likes."""
        self.listens = True
        self.deadline = math.inf
        return super().notifies(timeout=timeout, stop_after=stop_after)

    def run(self, name: str, parameters: Any = ()) -> RawCursor[TupleRow]:
        """Execute a named block."""
        return RawCursor(self).execute(SQL[name], parameters, prepare=True, binary=True)

    def rows(self, name: str, parameters: Any = (), prepare: bool = True) -> list[TupleRow]:
        """Return what a named block finds."""
        return RawCursor(self).execute(SQL[name], parameters, prepare=prepare, binary=True).fetchall()

    def rows_soon(self, name: str, parameters: Any = ()) -> list[TupleRow]:
        """Return what a named block finds, without waiting long for a table that somebody has locked."""
        with self.pipeline():
            self.run("begin")
            self.run("rows_soon")
            found = self.run(name, parameters)
            self.run("commit")
        return found.fetchall()

    def scanned(self, name: str, parameters: Any = ()) -> list[TupleRow]:
        """Return what a named block finds that may read whole tables."""
        self.run("begin_read_only")
        self.run("scans_allowed")
        found = self.rows(name, parameters, prepare=False)
        self.run("rollback")
        return found


class Address:
    """A `postgresql://` address with the limits that every connection needs; it is shown without its secrets."""

    def __init__(self, address: str, options: StoreOptions) -> None:
        given = self._given = read_address(address)
        limits = {
            "connect_timeout": max(1, math.ceil(options.connect_timeout)),
            "tcp_user_timeout": int(options.statement_timeout * 1000),
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": "sagalog",
        }
        # Bytes go past the driver, so that no other encoding will do, whatever the address says.
        self.parameters: dict[str, Any] = limits | given | {"client_encoding": "utf-8"}
        self.secrets = [*secrets_of(address), *filter(None, [os.environ.get("PGPASSWORD")])]
        self.where = where_of(given)
        self._was_there = False
        self.statement_timeout = options.statement_timeout

    def connect(self) -> BoundedConnection:
        """Return a new connection with our limits set on both sides."""
        try:
            connection = BoundedConnection.connect(autocommit=True, **self.parameters)
        except UnicodeError:
            # A host from the environment or from a service file, which psycopg looks up itself.
            raise psycopg.OperationalError(
                "could not translate host name: it is none that a machine can have"
            ) from None
        except psycopg.OperationalError as problem:
            # Whoever was let in once has an address that can be used: what is said now may pass.
            refused = None if self._was_there else refused_for_good(problem, self._given, self.where)
            if refused is None:
                raise
            raise refused from None
        self._was_there = True
        try:
            connection.deadline = time.monotonic() + self.bound
            # The same text on every store: JSON is not parsed for those who only look at it.
            set_json_loads(lambda data: bytes(data).decode() if not isinstance(data, str) else data, connection)
            connection.run("session", (str(int(self.statement_timeout * 1000)),))
            connection.run("session_on_17", (str(int(self.bound * 1000)),))
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def bound(self) -> float:
        """Our own limit for one use of a connection, in seconds: a little later than the server's."""
        return self.statement_timeout * 1.1 + 0.5


class KeptConnection:
    """A connection that is kept for one purpose: one thread at a time has it, and it is made again when it breaks."""

    def __init__(self, make: Callable[[], BoundedConnection], purpose: str, bound: float) -> None:
        self._make = make
        self._purpose = purpose
        self._bound = bound
        self._turn = threading.Lock()
        self._connection: BoundedConnection | None = None

    @contextmanager
    def use(self, seconds: float | None = None) -> Generator[BoundedConnection]:
        """Give the connection for at most `seconds` (None: the usual bound)."""
        if not self._turn.acquire(timeout=self._bound):
            raise TimedOut(f"another thread has been {self._purpose} for too long")
        try:
            if self._connection is None:
                self._connection = self._make()
            self._connection.deadline = time.monotonic() + (self._bound if seconds is None else seconds)
            try:
                yield self._connection
            except BaseException:
                # Whatever is left on it, a transaction or half an answer, ends with the connection.
                self._drop()
                raise
        finally:
            self._turn.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close it, once nobody uses it any more."""
        with self._turn:
            self._drop()


class Connections:
    """One connection that writes, one for the lease, a few that read: made when needed, and again when they break."""

    def __init__(self, address: Address, readers: int, prepare: Callable[[BoundedConnection], None]) -> None:
        self._address = address
        self._prepare = prepare
        self._writer = KeptConnection(self._new_writer, "writing", address.bound)
        # Whatever is being written, and for however long: the lease must not run out because of it.
        self._lease = KeptConnection(self._new, "renewing the lease", address.bound)
        self._reading = threading.BoundedSemaphore(readers + 1)
        self._idle: list[BoundedConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def writer(self, seconds: float | None = None) -> AbstractContextManager[BoundedConnection]:
        """Give the writing connection, to one thread at a time, for at most `seconds` (None: the usual bound)."""
        return self._writer.use(seconds)

    def lease(self) -> AbstractContextManager[BoundedConnection]:
        """Give the connection that keeps the lease."""
        return self._lease.use()

    @contextmanager
    def reader(self) -> Generator[BoundedConnection]:
        """Give a connection for reading."""
        if not self._reading.acquire(timeout=self._address.bound):
            raise TimedOut("all connections for reading have been busy for too long")
        try:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._new_reader()
            connection.uses += 1
            connection.deadline = time.monotonic() + self._address.bound
            try:
                yield connection
            except BaseException:
                broken = connection.broken
                connection.close()
                if broken:
                    # The server went away, so the others that wait here are as dead as this one.
                    self._close_idle()
                raise
            with self._lock:
                # One that listens would collect news that nobody asks for any more.
                if not self._closed and not connection.listens:
                    self._idle.append(connection)
                    connection = None
            if connection is not None:
                connection.close()
        finally:
            self._reading.release()

    def rows(
        self, name: str, parameters: Any = (), prepare: bool = True, scan: bool = False, soon: bool = False
    ) -> list[TupleRow]:
        """Return what a named block finds; a connection that broke while it lay idle is replaced unseen.

        Only with `scan` may it read whole tables; with `soon` it does not wait long for one that somebody has locked.
        """

        def ask(connection: BoundedConnection) -> list[TupleRow]:
            if scan:
                return connection.scanned(name, parameters)
            return connection.rows_soon(name, parameters) if soon else connection.rows(name, parameters, prepare)

        used_before = False
        try:
            with self.reader() as connection:
                used_before = connection.uses > 1
                return ask(connection)
        except psycopg.OperationalError as problem:
            if not used_before or isinstance(problem, TimedOut | psycopg.errors.LockNotAvailable):
                raise
        with self.reader() as connection:
            return ask(connection)

    def _new_reader(self) -> BoundedConnection:
        connection = self._new()
        try:
            connection.run("reader_session")
        except BaseException:
            connection.close()
            raise
        return connection

    def _new_writer(self) -> BoundedConnection:
        connection = self._new()
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _new(self) -> BoundedConnection:
        if self._closed:
            raise psycopg.InterfaceError("the store is closed")
        return self._address.connect()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        self._closed = True
        self._close_idle()
        self._writer.close()
        self._lease.close()
