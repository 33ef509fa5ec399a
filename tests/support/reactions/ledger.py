"""Where participants write down what they were told, in a database of its own that many processes share."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from sagalog.stores.sql import split, statements

SQL = statements("tests.support.reactions", "heard.sql")


class Call(NamedTuple):
    """One call of a handler: of whom, by which event at which place of the log, and with all that it was given."""

    participant: str
    id: str
    position: int
    lane: str
    fields: str


class Ledger:
    """A SQLite file with every call of a handler, and one effect for each participant and event."""

    def __init__(self, path: Path, process: str = "") -> None:
        self._process = process
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # What is killed here is a process, never the machine.
        self._connection.execute("PRAGMA synchronous = OFF")
        for statement in split(SQL["create"]):
            self._connection.execute(statement)

    def write(self, call: Call) -> None:
        """Write a call, and the effect of the event unless it is there."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(SQL["call"], (*call, self._process))
            self._connection.execute(SQL["effect"], (call.participant, call.id, call.fields))

    def calls(self) -> list[Call]:
        """Return every call, in the order in which they were made."""
        return [Call(*row) for row in self._connection.execute(SQL["calls"])]

    def effects(self) -> dict[tuple[str, str], str]:
        """Return what each participant was given with each event, by its name and the event's id."""
        return {(name, event): fields for name, event, fields in self._connection.execute(SQL["effects"])}

    def number(self) -> int:
        """Return how many calls there were."""
        number: int = self._connection.execute(SQL["number"]).fetchone()[0]
        return number

    def last_process(self) -> str:
        """Return the process that heard something last."""
        process: str = self._connection.execute(SQL["last_process"]).fetchone()[0]
        return process

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
