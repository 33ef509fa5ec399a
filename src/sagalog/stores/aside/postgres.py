"""A schema aside in the same PostgreSQL database, dropped at the end.

One that a killed process has left is dropped by the next one: whoever made it holds a lock, which ends with the
session.
"""

import logging
import math
import os
import secrets
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote, unquote

import psycopg
from msgspec.structs import replace
from psycopg import RawCursor

from sagalog.errors import StoreUnfit
from sagalog.harmless import harmless
from sagalog.store import StatusRow, StoredEvent, StoreOptions
from sagalog.stores.columns import STATUS, written_out
from sagalog.stores.postgres.connection import Address, BoundedConnection
from sagalog.stores.postgres.errors import translated
from sagalog.stores.postgres.privileges import quoted
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sql import split, statements

logger = logging.getLogger("sagalog.stores")

SQL = written_out(statements("sagalog.stores.aside", "postgres.sql"))
PREFIX = "saga_aside_"


class PostgresAside:
    """A database aside in a schema."""

    def __init__(self, store: PostgresStore, connection: BoundedConnection) -> None:
        self.store = store
        self._connection = connection

    def write(self, events: Sequence[StoredEvent], sagas: Sequence[StatusRow]) -> None:
        """Write events at their positions, and rows of sagas that have begun among them."""
        rows = [(one.position, one.saga_id, one.version, one.topic, one.state) for one in events]
        with self._transaction() as connection, connection.cursor() as cursor:
            for block, values in (("copy_events", rows), ("begin_sagas", [STATUS.all.values(one) for one in sagas])):
                with cursor.copy(SQL[block].encode()) as copy:
                    for row in values:
                        copy.write_row(row)

    def finish(self) -> None:
        """Take out what no log tells."""
        with self._transaction() as connection:
            for statement in split(SQL["take_out"]):
                connection.execute(statement.encode())

    @contextmanager
    def _transaction(self) -> Generator[BoundedConnection]:
        address = self.store.address
        self._connection.deadline = time.monotonic() + address.bound
        with _named_errors(address), self._connection.transaction():
            yield self._connection


@contextmanager
def postgres_aside(address: str, options: StoreOptions) -> Generator[PostgresAside]:
    """Make a schema aside, remove those that were left behind, and drop it at the end."""
    options = replace(options, reads_only=False, migrate=True)
    schema = PREFIX + secrets.token_hex(8)
    # A role may be one whose sessions only read unless they say otherwise.
    given = Address(_with_options(address, "-cdefault_transaction_read_only=off"), options)
    with _holding(given, schema) as holder:
        aside = Address(beside(address, schema), options)
        try:
            with _named_errors(given):
                holder.execute(_about("create", schema))
            store = PostgresStore(beside(address, schema), options)
            store.open()
            try:
                with _connected(aside) as connection:
                    yield PostgresAside(store, connection)
            finally:
                store.close()
        finally:
            _drop(given, holder, schema)


def beside(address: str, schema: str) -> str:
    """Return an address at which one schema is all there is, and may be written."""
    return _with_options(address, f"-csearch_path={schema} -cdefault_transaction_read_only=off")


def _with_options(address: str, more: str) -> str:
    """Return an address with more settings for the server; of two for one name the last one counts."""
    place, _, query = address.partition("?")
    kept = [one for one in query.split("&") if one and not one.startswith("options=")]
    given = [unquote(one.removeprefix("options=")) for one in query.split("&") if one.startswith("options=")]
    # What an address says hides the variable, which says it for all programs.
    options = " ".join([*(given[-1:] or filter(None, [os.environ.get("PGOPTIONS")])), more])
    return f"{place}?{'&'.join([*kept, 'options=' + quote(options, safe='')])}"


@contextmanager
def _holding(given: Address, schema: str) -> Generator[BoundedConnection]:
    """Connect, check that a schema may be made, hold the lock of its name, and drop those that were left behind."""
    with _connected(given) as holder:
        with _named_errors(given):
            [(may_create, is_standby, role)] = RawCursor(holder).execute(SQL["may_create"].encode()).fetchall()
            if is_standby:
                raise StoreUnfit(f"{given.where} is a standby, in which no schema can be made aside; name the primary")
            if not may_create:
                raise StoreUnfit(
                    f"{given.where}: {harmless(role)} may not make a schema, in which the tables of then are computed; "
                    f"GRANT CREATE ON DATABASE ... TO {harmless(role)}, or name a role that may"
                )
            holder.deadline = math.inf
            holder.execute(SQL["keep_session"].encode())
            _ask(holder, "lock", schema)
            for (left,) in RawCursor(holder).execute(SQL["left_behind"].encode()).fetchall():
                if left != schema and _ask(holder, "lock", left):
                    holder.execute(_about("drop", left))
                    _ask(holder, "unlock", left)
                    logger.warning("%s: dropped the schema %s, which was left behind", given.where, left)
        yield holder


def _drop(given: Address, holder: BoundedConnection, schema: str) -> None:
    """Drop the schema; if that fails the next one does it."""
    try:
        if not holder.closed:
            with suppress(psycopg.OperationalError):
                holder.execute(_about("drop", schema))
                return
        with _connected(given) as connection:
            connection.execute(_about("drop", schema))
    except psycopg.Error as problem:
        what = "%s: the schema %s could not be dropped, the next `--at` does it: %s"
        logger.warning(what, given.where, schema, translated(problem, given.where, given.secrets))


def _ask(connection: BoundedConnection, block: str, schema: str) -> bool:
    [(answer,)] = RawCursor(connection).execute(SQL[block].encode(), (schema,)).fetchall()
    return bool(answer)


def _about(block: str, schema: str) -> bytes:
    return SQL[block].replace("<schema>", quoted(schema)).encode()


@contextmanager
def _connected(address: Address) -> Generator[BoundedConnection]:
    with _named_errors(address):
        connection = address.connect()
    with closing(connection):
        yield connection


@contextmanager
def _named_errors(address: Address) -> Generator[None]:
    try:
        yield
    except psycopg.Error as problem:
        # Without a cause: a driver's text may repeat the address.
        raise translated(problem, address.where, address.secrets) from None
