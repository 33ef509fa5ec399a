"""What a run turns while its processes work: how wrong their clocks are, and whether a SQLite file can be written.

The dials are a small file that every process has mapped, so that to read one costs nothing and takes no lock.
"""

import mmap
import sqlite3
import struct
from pathlib import Path
from typing import Any

from torture.witness import Journal

from sagalog.clock import SystemClock

READ_ONLY = 0
# One clock for each of the two workers' places, and one for clients, who are always right.
CLOCKS = (1, 2)
_NUMBERS = 8


class Dials:
    """Numbers that one process sets and the others read."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * _NUMBERS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * _NUMBERS)

    def __getitem__(self, number: int) -> int:
        found: int = struct.unpack_from("<q", self._map, 8 * number)[0]
        return found

    def __setitem__(self, number: int, value: int) -> None:
        struct.pack_into("<q", self._map, 8 * number, value)


class WrongClock(SystemClock):
    """A clock that is as wrong as its dial says, in microseconds; it notes how wrong it was."""

    def __init__(self, dials: Dials, number: int, journal: Journal) -> None:
        self._dials = dials
        self._number = number
        self._journal = journal
        self._offset = 0

    def now(self) -> int:
        """Return the time, or what this clock takes for it."""
        offset = self._dials[self._number]
        if offset != self._offset:
            self._offset = offset
            self._journal.write("skewed", offset)
        return super().now() + offset


def make_files_obey(path: str, dials: Dials) -> None:
    """Let every later connection of this process to the SQLite file at `path` be read-only while the dial says so.

    The connections refuse by themselves then, in SQLite's own words: permissions would not stop a run by root.
    """
    connect = sqlite3.connect

    class Obeying(sqlite3.Connection):
        obeyed = 0

        def cursor(self, *arguments: Any, **named: Any) -> Any:
            said = dials[READ_ONLY]
            if said != self.obeyed:
                self.obeyed = said
                super().cursor().execute(f"PRAGMA query_only = {said}")
            return super().cursor(*arguments, **named)

    def connect_obeying(database: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        if str(database) == path:
            named["factory"] = Obeying
        connection: sqlite3.Connection = connect(database, *arguments, **named)
        return connection

    sqlite3.connect = connect_obeying  # type: ignore[assignment]
