"""What the services of a torture run do in the world: a ledger with a database of its own, written through the kit.

It knows no saga. Nothing in it is unique, so that what is done twice stands there twice.
"""

import sqlite3
import threading
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from domain.database import statements
from sagalog import Refused
from sagalog.participant_kit import ParticipantKit

SQL = statements(Path(__file__).with_name("ledger.sql"))
LOCK_SECONDS = 5.0


class Effect(NamedTuple):
    """One thing that was done: for `action`, in which direction, and by which command."""

    number: int
    action: str
    direction: str
    command: str


class Ledger:
    """One participant with its own database, a SQLite file or one on a server; each thread has its own connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_file = not address.startswith("postgresql")
        self._dialect = "sqlite" if self._is_file else "postgres"
        self._kit = ParticipantKit("torture")
        self._mine = threading.local()

    def create(self) -> None:
        """Make the tables if they are not there."""
        connection = self._connection()
        self._kit.create(connection)
        connection.execute(SQL[f"create_{self._dialect}"])
        connection.commit()

    def do(self, command: str, action: str) -> None:
        """Make the effect of an action, unless a command made it before.

        Raises `Refused` if it was called off, and ConnectionError if nobody knows: then it has to be asked for again.
        """
        self._turn(command, action, None)

    def undo(self, command: str, action: str) -> None:
        """Undo the effect of an action, unless it was never made or is undone: then it is called off."""
        self._turn(command, action, action)

    def read(self) -> list[Effect]:
        """Return every effect, in the order in which they were made."""
        rows = self._connection().execute(SQL["read"]).fetchall()
        self._connection().commit()
        return [Effect(*row) for row in rows]

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._mine, "connection", None)
        if connection is not None:
            self._mine.connection = None
            connection.close()

    def _turn(self, command: str, action: str, undoes: str | None) -> None:
        try:
            connection = self._connection()
            with self._kit.once(connection, command, undoes=undoes) as turn:
                if turn.is_new:
                    direction = "action" if undoes is None else "compensation"
                    row = {"action": action, "direction": direction, "command": command}
                    connection.execute(SQL[f"write_{self._dialect}"], row)
        except (sqlite3.Error, psycopg.Error) as problem:
            self.close()
            raise ConnectionError(f"planted: the ledger did not answer ({problem})") from None
        if any(answer.name == "CommandRefused" for answer in turn.answers):
            raise Refused(f"planted: {action} was called off")

    def _connection(self) -> Any:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._connected()
            connection.execute(SQL[f"hurry_{self._dialect}"])
            connection.commit()
            self._mine.connection = connection
        return connection

    def _connected(self) -> Any:
        if self._is_file:
            return sqlite3.connect(self._address, timeout=LOCK_SECONDS)
        return psycopg.connect(self._address, connect_timeout=5)
