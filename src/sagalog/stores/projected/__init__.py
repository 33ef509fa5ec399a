"""The databases of projections: `database_for` gives the one that an address, an engine or a store stands for.

`within` gives the transaction that a store has begun itself.
"""

from pathlib import PurePath
from typing import Any

from sagalog.errors import DefinitionError
from sagalog.saga.options import shown
from sagalog.store import Store, StoreOptions
from sagalog.store.projections import Log, ProjectionDatabase, ProjectionTransaction
from sagalog.stores import store_for


def database_for(given: Any, options: StoreOptions | None = None) -> ProjectionDatabase:
    """Return the database that holds a projection, not opened yet.

    `given` is an address, the path of a SQLite file, an engine of SQLAlchemy, or the store of the sagas. Raises
    `InvalidSettings` for a wrong address, and `DefinitionError` for anything else.
    """
    options = options or StoreOptions()
    if hasattr(given, "connect") and hasattr(given, "dialect"):
        from sagalog.stores.projected.through_sqlalchemy import engine_database

        return engine_database(given)
    if isinstance(given, str | PurePath):
        given = store_for(given if isinstance(given, str) else f"sqlite:///{given}", options)
    match getattr(given, "name", None):
        case "sqlite":
            from sagalog.stores.projected.sqlite import SQLiteProjections

            return SQLiteProjections(given.path, options)
        case "postgres":
            from sagalog.stores.projected.postgres import PostgresProjections

            return PostgresProjections(given.address)
        case "memory":
            raise DefinitionError(
                "expected a database with SQL for a projection, found memory://; give it a database= of its own"
            )
        case _:
            raise DefinitionError(
                "expected an address such as sqlite:///reports.db or an engine of SQLAlchemy for database= of a "
                f"projection, found {shown(given)}"
            )


def within(store: Store, connection: Any) -> tuple[ProjectionTransaction, Log]:
    """Return the transaction that a store has begun on a connection of its driver, and the log as it sees it."""
    if store.name == "sqlite":
        from sagalog.stores.projected.sqlite import SQLiteLog, SQLiteTransaction

        return SQLiteTransaction(connection, connection), SQLiteLog(connection)
    from sagalog.stores.projected.postgres import PostgresLog, WithinPostgres

    return WithinPostgres(connection, connection), PostgresLog(connection)
