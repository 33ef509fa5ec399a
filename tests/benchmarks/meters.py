"""Meters of what a database is made to write: bytes of its write-ahead log, and commits. They read and write no row."""

import sqlite3
import statistics
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psycopg
from msgspec import Struct

from sagalog.stores.sql import statements

SQLITE = statements("tests.benchmarks", "written_sqlite.sql")
POSTGRES = statements("tests.benchmarks", "written_postgres.sql")

# The file format: https://www.sqlite.org/fileformat2.html#walformat
WAL_HEADER, FRAME_HEADER = 32, 24
LOOK_AGAIN_SECONDS = 0.01


class Spent(Struct):
    """What was written: bytes, commits that wrote, and where it is known, all commits (those that only read, too)."""

    bytes: float
    commits: float
    transactions: float | None = None

    def for_each(self, number: int) -> "Spent":
        """Return the share of one of so many."""
        everything = None if self.transactions is None else self.transactions / number
        return Spent(self.bytes / number, self.commits / number, everything)


def median(several: Sequence[Spent]) -> Spent:
    """Return the median of each number."""
    everything = [one.transactions for one in several if one.transactions is not None]
    return Spent(
        statistics.median(one.bytes for one in several),
        statistics.median(one.commits for one in several),
        statistics.median(everything) if everything else None,
    )


class Meter(Protocol):
    """Measures from when it is begun, while nobody is connected, until all who were are so no more."""

    def begin(self) -> None: ...

    def end(self) -> Spent: ...


class SQLiteMeter:
    """Reads the file's log, which grows for as long as the meter runs.

    What a checkpoint copies into the file itself is not counted: it is put off until the meter has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: sqlite3.Connection | None = None

    def begin(self) -> None:
        self._reader = sqlite3.connect(self._path, isolation_level=None)
        self._reader.execute(SQLITE["empty"])
        self._reader.execute("BEGIN")
        self._reader.execute(SQLITE["hold"]).fetchall()

    def end(self) -> Spent:
        log = self._path.with_name(self._path.name + "-wal").read_bytes()
        assert self._reader is not None, "expected a meter that was begun"
        self._reader.close()
        (page,) = struct.unpack_from(">I", log, 8)
        frames = range(WAL_HEADER, len(log) - FRAME_HEADER - page + 1, FRAME_HEADER + page)
        # The frame that ends a commit says how many pages the file has then; the others say 0.
        commits = sum(struct.unpack_from(">I", log, frame + 4)[0] > 0 for frame in frames)
        return Spent(len(log), commits)


class PostgresMeter:
    """Asks the server."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._before: tuple[int, int, int] = (0, 0, 0)

    def begin(self) -> None:
        self._before = self._so_far()

    def end(self) -> Spent:
        now = self._so_far()
        return Spent(*(after - before for before, after in zip(self._before, now, strict=True)))

    def _so_far(self) -> tuple[int, int, int]:
        with psycopg.connect(self._address, autocommit=True) as connection:
            while connection.execute(POSTGRES["others"].encode()).fetchall() != [(0,)]:
                time.sleep(LOOK_AGAIN_SECONDS)
            found: tuple[int, int, int] = connection.execute(POSTGRES["so_far"].encode()).fetchall()[0]
            return found
