"""The database that the command line names, opened for reading."""

import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, cast

import click
from msgspec.structs import replace

from sagalog.address import LONGEST, LONGEST_ADDRESS, as_meant, shown
from sagalog.cli.options import Invocation
from sagalog.engine.asking import as_asked
from sagalog.errors import InvalidSettings, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores import EXPECTED, SQLITE, not_an_address, sqlite_path, store_for
from sagalog.stores.migrations import Migrated

SCHEMES = ("sqlite:", "postgresql:", "postgres:", "memory:")
SUFFIXES = (".db", ".sqlite", ".sqlite3")


class SqlStore(Store, Migrated, Protocol):
    """A store whose schema can be read before it is upgraded."""

    def open(self, migrate: bool = True) -> None:
        """Connect; with `migrate` bring the schema up to date, otherwise refuse an older one."""
        ...


def address_of(invocation: Invocation) -> str:
    """Return the database's address; raises `click.UsageError` if none was given."""
    if invocation.database is None:
        raise click.UsageError("no database was named: give --db sqlite:///shop.db, or set SAGALOG_DB")
    return complete(invocation.database)


def store_of(invocation: Invocation) -> AbstractContextManager[SqlStore]:
    """Open the store for reading; the database must exist and be up to date."""
    return opened(address_of(invocation))


def complete(database: str) -> str:
    """Return an address; a plain path becomes a SQLite address if it clearly is a SQLite file."""
    database = as_meant(database)
    if "://" in database or database.startswith(SCHEMES):
        return database
    if len(database) <= LONGEST_ADDRESS:
        settings = re.match(r"\s*\w+\s*=", database) is not None
        if _is_file(database) or (Path(database).suffix in SUFFIXES and not settings):
            return SQLITE + database
    raise not_an_address(database)


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:
        # Raised, for instance, if the text is too long for a file name.
        return False


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def require_file(address: str) -> None:
    """Raise `StoreUnavailable` if the address names a missing SQLite file: reading must not create one."""
    if address.startswith(SQLITE) and not _exists(path := sqlite_path(address)):
        raise StoreUnavailable(
            f"there is no database {harmless(path, LONGEST)}; check --db and the folder you are in, or create it with "
            "`sagalog db upgrade`"
        )


def sql_store(address: str) -> SqlStore:
    """Return the store of an address for reading, not opened yet; raises `InvalidSettings` if it is no database."""
    options = replace(Settings.from_environment().store_options(), reads_only=True)
    store = store_for(address, options)
    if not hasattr(store, "schema_version"):
        raise InvalidSettings(f"{EXPECTED}, found {shown(address)}, which ends with the process")
    return cast(SqlStore, store)


@contextmanager
def opened(address: str, *, migrate: bool = False) -> Generator[SqlStore]:
    """Open a store and close it after; without `migrate` it is neither created nor upgraded."""
    if not migrate:
        require_file(address)
    store = sql_store(address)
    with as_asked():
        store.open(migrate=migrate)
        try:
            yield store
        finally:
            store.close()
