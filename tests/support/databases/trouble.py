"""What others do to a database while sagas run on it: triggers that forbid rows, windows in which it is read-only."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict


class DatabaseTrouble:
    """Trouble in the database at an address (SQLite or PostgreSQL)."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_sqlite = address.startswith("sqlite:")

    def execute(self, *statements: str) -> None:
        """Run statements, each by itself."""
        if self._is_sqlite:
            connection = sqlite3.connect(self._address.removeprefix("sqlite:///"), isolation_level=None)
            try:
                for statement in statements:
                    connection.execute(statement)
            finally:
                connection.close()
        else:
            with psycopg.connect(self._address, autocommit=True) as session:
                for statement in statements:
                    session.execute(statement.encode())

    @contextmanager
    def forbidding(self, table: str, condition: str, code: str = "P0001", event: str = "INSERT") -> Generator[None]:
        """Refuse new rows (or changes) of a table for which a condition on NEW or OLD holds, with a PostgreSQL code.

        SQLite knows no such codes; one of class 42 is what it says of a mistake in a statement there.
        """
        if self._is_sqlite:
            problem = "json('not today')" if code.startswith("42") else "RAISE(ABORT, 'not today')"
            self.execute(
                f"CREATE TRIGGER forbidden BEFORE {event} ON {table} WHEN {condition} BEGIN SELECT {problem}; END"
            )
        else:
            self.execute(
                "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '{code}'; END $$",
                f"CREATE TRIGGER forbidden BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) "
                "EXECUTE FUNCTION forbid()",
            )
        try:
            yield
        finally:
            self.allow(table)

    def allow(self, table: str) -> None:
        """Let rows in again."""
        if self._is_sqlite:
            self.execute("DROP TRIGGER IF EXISTS forbidden")
        else:
            self.execute(f"DROP TRIGGER IF EXISTS forbidden ON {table}", "DROP FUNCTION IF EXISTS forbid")

    @contextmanager
    def holding(self, insert: str) -> Generator[None]:
        """Keep a row of PostgreSQL's locked: it is inserted, and nobody knows yet whether it will be there."""
        with psycopg.connect(self._address) as session:
            session.execute(insert.encode())
            yield
            session.rollback()

    def set_read_only(self, is_read_only: bool) -> None:
        """Let a PostgreSQL database be read only, as while another server takes its place, or end that."""
        name = conninfo_to_dict(self._address)["dbname"]
        on = "on" if is_read_only else "off"
        with psycopg.connect(self._address, autocommit=True) as connection:
            # The session that says so may write, whatever it has said before.
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {on}'.encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
