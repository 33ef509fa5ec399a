"""One SQLite file with short exclusive transactions; it must not know what the tables mean."""

import os
import re
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from time import sleep
from types import MappingProxyType
from typing import Self

BUSY_TIMEOUT_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.01
IN_MEMORY = ":memory:"

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def statements(path: Path) -> Mapping[str, str]:
    """Read the named blocks (`-- name: x`) of a `.sql` file.

    What stands before the first name is the file's header. Raises ValueError for a name used twice.
    """
    parts = _NAME.split(path.read_text(encoding="utf-8"))
    names, blocks = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{path.name}: each block needs a name of its own, found {names}")
    return MappingProxyType({name: block.strip() for name, block in zip(names, blocks, strict=True)})


SQL = statements(Path(__file__).with_name("database.sql"))


class Database:
    """One connection that the threads of a process take turns on.

    SQLite lets one writer in at a time, so more connections in a process would only poll for the
    same lock. Several processes may open one file; each waits `busy_seconds` for its turn and then
    gets `sqlite3.OperationalError`. `":memory:"` works too, for one process.
    """

    def __init__(self, path: str | Path, *, busy_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.path = str(path)
        self._turn = RLock()
        if self.path != IN_MEMORY:
            # SQLite gives its -wal and -shm files the mode of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(
            self.path,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._configure(busy_seconds)
        except BaseException:
            self._connection.close()
            raise

    def _configure(self, busy_seconds: float) -> None:
        # SQLite does not wait for its turn when two processes switch a new file to WAL at once:
        # one of them fails at once, and has to ask again.
        for _ in range(int(busy_seconds / ASK_AGAIN_SECONDS)):
            try:
                self._switch_to_wal()
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                sleep(ASK_AGAIN_SECONDS)
        else:
            self._switch_to_wal()
        self._connection.execute(SQL["synchronous"])

    def _switch_to_wal(self) -> None:
        if self._connection.execute(SQL["journal_mode"]).fetchone()[0] != "wal":
            self._connection.execute(SQL["write_ahead_log"])

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Run the block in one exclusive transaction: all of it is durable at the end, or none.

        Inside a transaction of the same thread it becomes part of that one, whose owner commits.
        """
        with self._turn:
            inside = self._connection.in_transaction
            if inside:
                yield self._connection
                return
            # IMMEDIATE: a deferred transaction that reads first fails at once on its first write
            # if another process has written in between, without waiting for its turn.
            self._connection.execute(SQL["begin"])
            try:
                yield self._connection
                self._connection.execute(SQL["commit"])
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute(SQL["roll_back"])
                raise

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[sqlite3.Row]:
        """Read what is committed, waiting for a transaction of this process that is under way."""
        with self._turn:
            return self._connection.execute(sql, parameters or {}).fetchall()

    def create(self, blocks: Mapping[str, str]) -> None:
        """Run the blocks whose names begin with `create_`, in one transaction."""
        with self.transaction() as connection:
            for name, sql in blocks.items():
                if name.startswith("create_"):
                    connection.execute(sql)

    def image(self) -> bytes:
        """Copy the whole content of an in-memory database, to go back to with `restore`."""
        with self._turn:
            return self._connection.serialize()

    def restore(self, image: bytes) -> None:
        """Go back to an image in microseconds: a simulation begins thousands of times.

        Raises ValueError for a file, whose content others may be reading.
        """
        if self.path != IN_MEMORY:
            raise ValueError(f"expected a database in memory, found {self.path}: start a new file")
        with self._turn:
            self._connection.deserialize(image)

    def close(self) -> None:
        """Close the file once the transaction under way has ended; again is a no-op."""
        with self._turn:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
