"""A SQLite file aside, in a temporary folder that only its owner may enter, removed at the end."""

import sqlite3
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from eventsourcing.persistence import PersistenceError
from msgspec.structs import replace

from sagalog.store import StatusRow, StoredEvent, StoreOptions
from sagalog.stores.columns import STATUS, written_out
from sagalog.stores.sql import split, statements
from sagalog.stores.sqlite.connection import driver_connection, translated
from sagalog.stores.sqlite.store import SQLiteStore

SQL = written_out(statements("sagalog.stores.aside", "sqlite.sql"))
# A folder that a killed process has left is known by this, and may be removed by hand.
FOLDER = "sagalog-aside-"


class SQLiteAside:
    """A database aside in a file."""

    def __init__(self, store: SQLiteStore, connection: sqlite3.Connection) -> None:
        self.store = store
        self._connection = connection

    def write(self, events: Sequence[StoredEvent], sagas: Sequence[StatusRow]) -> None:
        """Write events at their positions, and rows of sagas that have begun among them."""
        with self._transaction() as connection:
            rows = [(one.position, one.saga_id, one.version, one.topic, one.state) for one in events]
            connection.executemany(SQL["copy_events"], rows)
            connection.executemany(SQL["begin_sagas"], [STATUS.all.values(one) for one in sagas])

    def finish(self) -> None:
        """Take out what no log tells."""
        with self._transaction() as connection:
            for statement in split(SQL["take_out"]):
                connection.execute(statement)

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except (sqlite3.Error, PersistenceError) as problem:
            raise translated(problem, self.store.path) from problem


@contextmanager
def sqlite_aside(path: str, options: StoreOptions) -> Generator[SQLiteAside]:
    """Make a file aside; it has the name of the database at `path`, which errors show."""
    with tempfile.TemporaryDirectory(prefix=FOLDER, ignore_cleanup_errors=True) as folder:
        store = SQLiteStore(str(Path(folder) / Path(path).name), replace(options, reads_only=False, migrate=True))
        store.open()
        try:
            with closing(driver_connection(store.path, options.statement_timeout)) as connection:
                # What is lost with the machine is made anew.
                connection.execute("PRAGMA synchronous = OFF")
                yield SQLiteAside(store, connection)
        finally:
            store.close()
