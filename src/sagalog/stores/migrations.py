"""The schema in numbered steps: what a database has, what is missing, and how it is brought up to date.

A migration is `stores/<dialect>/migrations/NNNN_what.sql`. A database with a higher number than this library knows is
refused; one with a lower number is upgraded when it is opened, each step in a transaction of its own. What follows a
line `-- only in an older database: SELECT ...` is for one that an older release has made, if the answer is true.
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
    """One step of the schema: its number (from 1), what it is about, and its SQL."""

    number: int
    name: str
    sql: str

    @property
    def when_new(self) -> str:
        """Return the part that an empty database needs."""
        return _CONDITION.split(self.sql)[0].strip()

    def run(self, ask: Callable[[str], object], execute: Callable[[str], object]) -> None:
        """Give each statement to `execute`, up to the first condition that `ask` finds untrue."""
        first, *rest = _CONDITION.split(self.sql)
        parts = [("", first), *zip(rest[::2], rest[1::2], strict=True)]
        for condition, sql in parts:
            if condition and not ask(condition):
                return
            for statement in split(sql):
                execute(statement)


class Migrated(Protocol):
    """A store that can say and change what schema its database has."""

    dialect: Dialect

    def schema_version(self) -> int:
        """Return the number of the last migration applied; 0 for an empty database."""
        ...

    def apply(self, migration: Migration) -> None:
        """Apply one migration and record it, in one transaction; nothing if another process was quicker."""
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
    """Return the migrations that the database lacks; raises `SchemaTooNew` if it has more than we know."""
    version = store.schema_version()
    if version > newest(store.dialect):
        raise SchemaTooNew(
            f"expected a database with schema {newest(store.dialect)} or older, found schema {version}; "
            "it was made by a newer sagalog: install that version, this one would damage it"
        )
    return [migration for migration in migrations(store.dialect) if migration.number > version]


def upgrade(store: Migrated) -> list[Migration]:
    """Bring the database up to date and return what was applied."""
    applied: list[Migration] = []
    for migration in pending(store):
        store.apply(migration)
        applied.append(migration)
    return applied


def require_current(store: Migrated, place: str) -> None:
    """Raise `SchemaTooOld` if the database, which stands at `place`, lacks a migration; it is left as it is."""
    if pending(store):
        found = store.schema_version()
        raise SchemaTooOld(
            f"expected schema {newest(store.dialect)} in {place}, found schema {found}; run `sagalog db upgrade` first",
            found,
        )
