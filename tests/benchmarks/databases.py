"""The databases that are measured: a SQLite file and a PostgreSQL database, empty or filled with finished sagas."""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from msgspec import Struct
from msgspec.structs import astuple

from sagalog.stores import store_for
from tests.benchmarks.captured import Capture, PostgresCapture, SQLiteCapture
from tests.benchmarks.floor import POSTGRES, SQLITE, Floor, PostgresArrays, PostgresRows, Row, SQLiteRows
from tests.benchmarks.meters import Meter, PostgresMeter, SQLiteMeter
from tests.benchmarks.plain import Plain, PostgresPlain, PostgresPlainArrays, SQLitePlain
from tests.benchmarks.work import Finished

SAGAS_AT_ONCE = 2000
A_YEAR_OF_MILLISECONDS = 365 * 24 * 3600 * 1000


class Left(Struct):
    """What is still to be handled, how many sagas have ended, and how many wait."""

    messages: int
    ended: int
    pending: int


class Database(Protocol):
    """One database with our schema."""

    address: str

    @contextmanager
    def looking(self) -> Generator[Callable[[], Left]]:
        """Give a function that looks what is left to be done, over a connection of its own; any thread may call it."""
        ...

    def floors(self) -> list[Floor]:
        """Return the plain ways to write to it."""
        ...

    def capture(self) -> Capture:
        """Return what keeps all that is written to it."""
        ...

    def plain(self) -> list[Plain]:
        """Return the plain ways to write to it what was kept."""
        ...

    def meter(self) -> Meter:
        """Return what measures how much is written to it."""
        ...

    def size(self) -> int:
        """Return how many bytes our tables and their indexes take."""
        ...

    def settings(self) -> dict[str, str]:
        """Return the versions and settings that make numbers comparable."""
        ...

    def load(self, samples: Sequence[Finished], number: int) -> None:
        """Write `number` finished sagas as fast as the driver can."""
        ...


class SQLiteDatabase:
    """A SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.address = f"sqlite:///{path}"

    @contextmanager
    def looking(self) -> Generator[Callable[[], Left]]:
        with closing(sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)) as connection:
            yield lambda: Left(*connection.execute(SQLITE["left"]).fetchone())

    def floors(self) -> list[Floor]:
        return [SQLiteRows(str(self._path))]

    def capture(self) -> Capture:
        return SQLiteCapture(str(self._path))

    def plain(self) -> list[Plain]:
        return [SQLitePlain(str(self._path))]

    def meter(self) -> Meter:
        return SQLiteMeter(self._path)

    def size(self) -> int:
        connection = sqlite3.connect(self._path)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return self._path.stat().st_size

    def settings(self) -> dict[str, str]:
        return {"SQLite": sqlite3.sqlite_version, "journal_mode": "WAL", "synchronous": "FULL"}

    def load(self, samples: Sequence[Finished], number: int) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            # Only the loading is not durable; what is measured opens connections of its own.
            connection.execute("PRAGMA synchronous = OFF")
            for statuses, steps, events in _finished(samples, number):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(SQLITE["insert_status"], statuses)
                connection.executemany(SQLITE["upsert_step"], steps)
                connection.executemany(SQLITE["insert_event"], events)
                connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


class PostgresDatabase:
    """A PostgreSQL database."""

    def __init__(self, address: str) -> None:
        self.address = address

    @contextmanager
    def looking(self) -> Generator[Callable[[], Left]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            yield lambda: Left(*connection.execute(POSTGRES["left"].encode()).fetchall()[0])

    def floors(self) -> list[Floor]:
        return [PostgresArrays(self.address), PostgresRows(self.address)]

    def capture(self) -> Capture:
        return PostgresCapture(self.address)

    def plain(self) -> list[Plain]:
        return [PostgresPlainArrays(self.address), PostgresPlain(self.address)]

    def meter(self) -> Meter:
        return PostgresMeter(self.address)

    def size(self) -> int:
        with psycopg.connect(self.address) as connection:
            row = connection.execute(POSTGRES["size"].encode()).fetchone()
        return 0 if row is None else int(row[0])

    def settings(self) -> dict[str, str]:
        with psycopg.connect(self.address) as connection:
            found: dict[str, str] = dict(connection.execute(POSTGRES["settings"].encode()).fetchall())
        return {"PostgreSQL": found.pop("server_version"), **found, "psycopg": psycopg.__version__}

    def load(self, samples: Sequence[Finished], number: int) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection, connection.cursor() as cursor:
            for rows in _finished(samples, number):
                for block, table in zip(("copy_status", "copy_steps", "copy_events"), rows, strict=True):
                    with cursor.copy(POSTGRES[block].encode()) as copy:
                        for row in table:
                            copy.write_row(row)
            connection.execute("VACUUM ANALYZE")


def make_schema(database: Database) -> None:
    """Let the library make its tables."""
    store = store_for(database.address)
    store.open()
    store.close()


def _finished(samples: Sequence[Finished], number: int) -> Iterator[tuple[list[Row], list[Row], list[Row]]]:
    """Yield the rows of `number` sagas that ended during the last year: the samples with ids of their own."""
    position = 0
    newest = int(samples[0].status.saga_id.replace("-", "")[:12], 16)
    for begin in range(0, number, SAGAS_AT_ONCE):
        statuses: list[Row] = []
        steps: list[Row] = []
        events: list[Row] = []
        for n in range(begin, min(begin + SAGAS_AT_ONCE, number)):
            sample = samples[n % len(samples)]
            old, key = sample.status.saga_id, f"finished-{n:08d}"
            # Ids are ordered by time, and so are the rows of a database that grew by itself.
            time = f"{newest - A_YEAR_OF_MILLISECONDS + A_YEAR_OF_MILLISECONDS * n // number:012x}"
            new = f"{time[:8]}-{time[8:]}-7{old[15:24]}{n:012x}"
            renamed = [(old.encode(), new.encode()), (sample.status.saga_key.encode(), key.encode())]
            for version, (topic, state) in enumerate(sample.events, 1):
                changed = state
                for before, after in renamed:
                    changed = changed.replace(before, after)
                events.append((new, version, topic, changed))
            position += len(sample.events)
            row = astuple(sample.status)
            statuses.append((new, *row[1:4], key, *row[5:13], new, *row[14:-2], position, None))
            steps.extend((new, *astuple(step)[1:-1], position) for step in sample.steps)
        yield statuses, steps, events
