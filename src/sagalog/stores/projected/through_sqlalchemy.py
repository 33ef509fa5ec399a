"""Projections in a database that is reached by an engine of SQLAlchemy; its connection is what handlers may ask for.

SQLAlchemy is not imported: whoever gives an engine has it.
"""

import sqlite3
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

import psycopg

from sagalog.errors import DefinitionError
from sagalog.stores.postgres.errors import translated as translated_of_postgres
from sagalog.stores.projected.postgres import CREATE as CREATE_POSTGRES
from sagalog.stores.projected.postgres import PostgresTransaction
from sagalog.stores.projected.sqlite import CREATE as CREATE_SQLITE
from sagalog.stores.projected.sqlite import SQLiteTransaction
from sagalog.stores.sqlite.connection import translated as translated_of_sqlite

_NO_ANSWER = psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.InsufficientPrivilege
Transaction = SQLiteTransaction | PostgresTransaction


class _OnePostgres(PostgresTransaction):
    """A transaction on psycopg's connection, whose statements are waited for: SQLAlchemy reads its cursors at once."""

    def many(self) -> AbstractContextManager[Any]:
        """Begin many statements; each is waited for."""
        return nullcontext()


class EngineProjections:
    """The database of projections behind one engine."""

    def __init__(self, engine: Any, is_sqlite: bool) -> None:
        self._engine = engine
        self._is_sqlite = is_sqlite
        self.where = repr(engine.url)
        self._is_open = False
        self._turn = Lock()

    def __repr__(self) -> str:
        return f"<EngineProjections {self.where}>"

    def open(self) -> None:
        """Connect, and make our tables."""
        if self._is_open:
            return
        with self.transaction() as transaction:
            transaction.make(CREATE_SQLITE if self._is_sqlite else CREATE_POSTGRES)
        self._is_open = True

    def close(self) -> None:
        """Do nothing: the engine keeps its connections, and belongs to whoever gave it."""
        self._is_open = False

    @contextmanager
    def transaction(self) -> Generator[Transaction]:
        """Begin a transaction that writes, and commit it."""
        with self._turn, self._begun("BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def reading(self) -> Generator[Transaction]:
        """Begin a transaction that only reads."""
        with self._begun("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def snapshot(self) -> Generator[Transaction]:
        """Begin a transaction that only reads, and sees the database as it is now."""
        with self._begun("BEGIN", "REPEATABLE READ") as transaction:
            transaction.generations()
            yield transaction

    @contextmanager
    def _begun(self, begin: str, isolation: str | None = None) -> Generator[Transaction]:
        try:
            with self._engine.connect() as connection:
                if isolation is not None and not self._is_sqlite:
                    connection.execution_options(isolation_level=isolation)
                with connection.begin():
                    driver = connection.connection.driver_connection
                    if self._is_sqlite:
                        if not driver.in_transaction:
                            driver.execute(begin)
                        yield SQLiteTransaction(driver, connection)
                    else:
                        yield _OnePostgres(driver, connection)
        except Exception as problem:
            cause = getattr(problem, "orig", problem)
            if isinstance(cause, sqlite3.OperationalError):
                raise translated_of_sqlite(cause, self.where) from problem
            if isinstance(cause, _NO_ANSWER):
                raise translated_of_postgres(cause, self.where) from None
            raise


def engine_database(engine: Any) -> EngineProjections:
    """Return the database behind an engine; raises `DefinitionError` for a dialect or a driver that cannot be used."""
    dialect, driver = engine.dialect.name, engine.dialect.driver
    if (dialect, driver) not in (("sqlite", "pysqlite"), ("postgresql", "psycopg")):
        raise DefinitionError(
            f"expected an engine of SQLAlchemy on sqlite3 or psycopg, found {dialect}+{driver}; write "
            "create_engine('sqlite:///...') or create_engine('postgresql+psycopg://...')"
        )
    return EngineProjections(engine, dialect == "sqlite")
