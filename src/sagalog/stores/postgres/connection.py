"""Connections to PostgreSQL on which every call ends in time, and how they are replaced. It knows no table.

A call on a dead network hangs: the kernel waits for minutes. The server and the kernel are configured to give up
(statement_timeout, keepalives, tcp_user_timeout). In case they do not, every wait here ends at a deadline, and the
connection is then closed, because it is unknown what happened to its last statement.
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
    for part in ("store", "messages", "attributes", "fitness")
    for name, text in statements("sagalog.stores.postgres", f"{part}.sql").items()
}
SQL = {name: text.encode() for name, text in written_out(BLOCKS).items()}

Steps = Generator[Wait, Ready | int, Any]


def _never() -> bool:
    return False


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection whose calls raise `TimedOut` once `deadline` (a time of `time.monotonic`) has passed."""

    deadline: float = math.inf
    uses: int = 0
    listens: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # The names of the blocks that `exchange` has prepared on this connection.
        self.prepared: set[str] = set()

    def wait(self, gen: Steps, *arguments: Any, **options: Any) -> Any:
        """Run a generator of psycopg on this connection, checking the deadline a few times a second."""
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
                    self.end_statement()
                    check_wanted()
                wanted = gen.send((yield wanted))
        except StopIteration as end:
            return end.value

    def end_statement(self) -> None:
        """Ask the server to end the current statement; by itself it would notice only later that nobody waits."""
        with suppress(psycopg.Error), unless(_never):
            self.cancel_safe(timeout=1.0)

    def notifies(self, *, timeout: float | None = None, stop_after: int | None = None) -> Generator[psycopg.Notify]:
        """Wait for notifications without our deadline: a listener may keep its connection for as long as it likes."""
        self.listens = True
        self.deadline = math.inf
        return super().notifies(timeout=timeout, stop_after=stop_after)

    def run(self, name: str, parameters: Any = ()) -> RawCursor[TupleRow]:
        """Execute a named block of SQL."""
        return RawCursor(self).execute(SQL[name], parameters, prepare=True, binary=True)

    def rows(self, name: str, parameters: Any = (), prepare: bool = True, text: bytes | None = None) -> list[TupleRow]:
        """Return the rows that a named block finds, or that `text` does, which was made of it."""
        return RawCursor(self).execute(text or SQL[name], parameters, prepare=prepare, binary=True).fetchall()

    def rows_soon(self, name: str, parameters: Any = ()) -> list[TupleRow]:
        """Return the rows that a named block finds, waiting only briefly for a table that is locked."""
        with self.pipeline():
            self.run("begin")
            self.run("rows_soon")
            found = self.run(name, parameters)
            self.run("commit")
        return found.fetchall()

    def scanned(self, name: str, parameters: Any = ()) -> list[TupleRow]:
        """Return the rows that a named block finds, allowing it to read whole tables."""
        self.run("begin_read_only")
        self.run("scans_allowed")
        found = self.rows(name, parameters, prepare=False)
        self.run("rollback")
        return found


class Address:
    """A `postgresql://` address with the limits that every connection needs; its text shows no secrets."""

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
        # Bytes are passed to the server unconverted, so the encoding must be UTF-8 whatever the address says.
        self.parameters: dict[str, Any] = limits | given | {"client_encoding": "utf-8"}
        self.secrets = [*secrets_of(address), *filter(None, [os.environ.get("PGPASSWORD")])]
        self.where = where_of(given)
        self._was_there = False
        self.statement_timeout = options.statement_timeout

    def connect(self) -> BoundedConnection:
        """Return a new connection with our limits set on client and server."""
        try:
            connection = BoundedConnection.connect(autocommit=True, **self.parameters)
        except UnicodeError:
            # The host comes from the environment or from a service file, which psycopg resolves itself.
            raise psycopg.OperationalError(
                "could not translate host name: it is none that a machine can have"
            ) from None
        except psycopg.OperationalError as problem:
            # If a connection ever succeeded, the address is valid, and this error may pass.
            refused = None if self._was_there else refused_for_good(problem, self._given, self.where)
            if refused is None:
                raise
            raise refused from None
        self._was_there = True
        try:
            connection.deadline = time.monotonic() + self.bound
            # JSON comes as text, as in every other store; most code only passes it on, so it need not be parsed.
            set_json_loads(lambda data: bytes(data).decode() if not isinstance(data, str) else data, connection)
            connection.run("session", (str(int(self.statement_timeout * 1000)),))
            connection.run("session_on_17", (str(int(self.bound * 1000)),))
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def bound(self) -> float:
        """Return the limit for one use of a connection, in seconds: a little longer than the server's."""
        return self.statement_timeout * 1.1 + 0.5


class KeptConnection:
    """A connection kept for one purpose: used by one thread at a time, and replaced when it breaks."""

    def __init__(self, make: Callable[[], BoundedConnection], purpose: str, bound: float) -> None:
        self._make = make
        self._purpose = purpose
        self._bound = bound
        self._turn = threading.Lock()
        self._connection: BoundedConnection | None = None

    @contextmanager
    def use(self, seconds: float | None = None) -> Generator[BoundedConnection]:
        """Yield the connection, for at most `seconds` (None: the usual limit)."""
        if not self._turn.acquire(timeout=self._bound):
            raise TimedOut(f"another thread has been {self._purpose} for too long")
        try:
            if self._connection is None:
                self._connection = self._make()
            self._connection.deadline = time.monotonic() + (self._bound if seconds is None else seconds)
            try:
                yield self._connection
            except BaseException:
                # An unfinished transaction or answer ends with the connection.
                self._drop()
                raise
        finally:
            self._turn.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the connection as soon as it is not in use."""
        with self._turn:
            self._drop()


class Connections:
    """One connection for writing, one for the lease, a few for reading: made when needed, replaced when they break."""

    def __init__(self, address: Address, readers: int, prepare: Callable[[BoundedConnection], None]) -> None:
        self._address = address
        self._prepare = prepare
        self._writer = KeptConnection(self._new_writer, "writing", address.bound)
        # Separate from writing, however long a write takes, so that the lease does not expire meanwhile.
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
        """Yield the writing connection, to one thread at a time, for at most `seconds` (None: the usual limit)."""
        return self._writer.use(seconds)

    def lease(self) -> AbstractContextManager[BoundedConnection]:
        """Yield the connection that renews the lease."""
        return self._lease.use()

    @contextmanager
    def reader(self) -> Generator[BoundedConnection]:
        """Yield a connection for reading."""
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
                    # The server went away, so the other idle connections are dead as well.
                    self._close_idle()
                raise
            with self._lock:
                # A connection that listens would go on collecting notifications that nobody reads.
                if not self._closed and not connection.listens:
                    self._idle.append(connection)
                    connection = None
            if connection is not None:
                connection.close()
        finally:
            self._reading.release()

    def rows(
        self,
        name: str,
        parameters: Any = (),
        prepare: bool = True,
        scan: bool = False,
        soon: bool = False,
        text: bytes | None = None,
    ) -> list[TupleRow]:
        """Return the rows that a named block finds; an idle connection that broke is replaced and the block run again.

        Only with `scan` may it read whole tables. With `soon` it waits only briefly for a table that is locked. `text`
        is run instead, if it was made of the block.
        """

        def ask(connection: BoundedConnection) -> list[TupleRow]:
            if scan:
                return connection.scanned(name, parameters)
            return connection.rows_soon(name, parameters) if soon else connection.rows(name, parameters, prepare, text)

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
        """Close idle connections now, and those in use as soon as they are returned."""
        self._closed = True
        self._close_idle()
        self._writer.close()
        self._lease.close()
