"""The schema in numbered steps: what a database has, what it lacks, and how it is brought up to date.

A migration is a file `stores/<dialect>/migrations/NNNN_what.sql`. A database with a higher number than this library
knows is refused. One with a lower number is upgraded when it is opened, each step in a transaction of its own. SQL
after a line `-- only in an older database: SELECT ...` runs only in a database of an older release, if the query
returns true.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Literal, Protocol

from msgspec import Struct

from sagalog.errors import SchemaTooNew, SchemaTooOld
from sagalog.stores.sql import split

Dialect = Literal["sqlite", "postgres"]
PACKAGE = "sagalog.stores"
_CONDITION = re.compile(r"^-- only in an older database: (.+)$\n", re.MULTILINE)


class Migration(Struct, frozen=True):
    """One step of the schema: its number (from 1), its name, and its SQL."""

    number: int
    name: str
    sql: str

    @property
    def when_new(self) -> str:
        """Return the SQL that a new database needs."""
        return _CONDITION.split(self.sql)[0].strip()

    def run(self, ask: Callable[[str], object], execute: Callable[[str], object]) -> None:
        """Pass each statement to `execute`; stop at the first condition for which `ask` returns false."""
        first, *rest = _CONDITION.split(self.sql)
        parts = [("", first), *zip(rest[::2], rest[1::2], strict=True)]
        for condition, sql in parts:
            if condition and not ask(condition):
                return
            for statement in split(sql):
                execute(statement)


class Migrated(Protocol):
    """A store whose schema version can be read and changed."""

    dialect: Dialect

    def schema_version(self) -> int:
        """Return the number of the last migration applied; 0 for an empty database."""
        ...

    def apply(self, migration: Migration) -> None:
        """Apply one migration and record it, in one transaction; do nothing if another process already has."""
        ...


@cache
def migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Return every migration of a dialect in order."""
    found: list[Migration] = []
    for entry in files(PACKAGE).joinpath(dialect, "migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2].replace("_", " "), entry.read_text("utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.number))


def newest(dialect: Dialect) -> int:
    """Return the number of the last migration this library knows."""
    return migrations(dialect)[-1].number


def pending(store: Migrated) -> list[Migration]:
    """Return the migrations that the database lacks; raises `SchemaTooNew` if it has more than this library knows."""
    version = store.schema_version()
    if version > newest(store.dialect):
        raise SchemaTooNew(
            f"expected a database with schema {newest(store.dialect)} or older, found schema {version}; "
            "it was made by a newer sagalog: install that version, this one would damage it"
        )
    return [migration for migration in migrations(store.dialect) if migration.number > version]


def upgrade(store: Migrated) -> list[Migration]:
    """Bring the database up to date and return the migrations that were applied."""
    applied: list[Migration] = []
    for migration in pending(store):
        store.apply(migration)
        applied.append(migration)
    return applied


def require_current(store: Migrated, place: str) -> None:
    """Raise `SchemaTooOld` if the database lacks a migration; `place` names it in the error. It is left unchanged."""
    if pending(store):
        found = store.schema_version()
        raise SchemaTooOld(
            f"expected schema {newest(store.dialect)} in {place}, found schema {found}; run `sagalog db upgrade` first",
            found,
        )
