"""Checks, when a store is opened, that a PostgreSQL database can hold sagas and that this role may work in it.

Problems are reported with advice before anything is written; nothing is changed here.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from shlex import quote as quoted
from typing import Any
from urllib.parse import quote

from sagalog.errors import StoreUnfit
from sagalog.harmless import harmless
from sagalog.stores.migrations import Migrated, newest, pending
from sagalog.stores.postgres.privileges import SEQUENCES, Place, needed_on_tables

ENCODING = "UTF8"

Ask = Callable[..., list[tuple[Any, ...]]]


def check_database(ask: Ask, where: str) -> None:
    """Raise `StoreUnfit` if texts would be lost or refused, or if it is uncertain which schema is used."""
    [(*names, exists, encoding)] = ask("database", prepare=False)
    role, schema, search_path, found = (None if name is None else harmless(name) for name in names)
    if encoding != ENCODING:
        raise StoreUnfit(
            f"{where}: expected a database with encoding {ENCODING}, found {encoding}, which cannot hold every text; "
            f"make one by CREATE DATABASE ... ENCODING '{ENCODING}' TEMPLATE template0"
        )
    if schema is None:
        raise StoreUnfit(
            f"{where}: expected a schema that {role} may use, found none in search_path ({search_path}); create it, or "
            "grant what `sagalog db grants` prints, or name another: ...?options=-csearch_path%3Dshop"
        )
    if found is not None and not exists:
        raise StoreUnfit(
            f"{where}: expected our tables in the schema {schema}, the first of search_path ({search_path}), found "
            f"them in {found}; name the one schema that is meant: ...?options=-csearch_path%3D{quote(found)}"
        )


def check_may_migrate(store: Migrated, ask: Ask, where: str) -> None:
    """Raise `StoreUnfit` if the schema must be upgraded but the role may create nothing."""
    lacking = pending(store)
    if lacking and not ask("may_create", prepare=False)[0][0]:
        role = _role(ask)
        raise StoreUnfit(
            f"{where}: expected schema {newest(store.dialect)}, found schema {lacking[0].number - 1}, and {role} may "
            "create nothing here; run `sagalog db upgrade` as the owner of the tables, and then grant what "
            f"`sagalog db grants {quoted(role)}` prints"
        )


def check_privileges(ask: Ask, where: str, *, reads_only: bool) -> None:
    """Raise `StoreUnfit` if the role lacks privileges, naming all of them."""
    version = place_of(ask).server_version
    needed = needed_on_tables(reads_only=reads_only, server_version=version)
    lacking = ask("lacking", _columns(needed), prepare=False)
    if not reads_only:
        sequences = [(name, one) for name, privileges in SEQUENCES.items() for one in privileges]
        lacking += ask("lacking_sequences", _columns(sequences), prepare=False)
    if lacking:
        role = _role(ask)
        by_name = groupby(lacking, key=lambda row: row[1])
        missing = "; ".join(f"{', '.join(_one(row[0]) for row in rows)} on {name}" for name, rows in by_name)
        command = f"sagalog db grants {quoted(role)}{' --read-only' if reads_only else ''}"
        raise StoreUnfit(f"{where}: {role} lacks {missing}; grant what `{command}` prints, as the owner of the tables")


def place_of(ask: Ask) -> Place:
    """Return the database and schema that grants must name, and the server's version."""
    return Place(*ask("for_grants", prepare=False)[0])


def _role(ask: Ask) -> str:
    return harmless(ask("database", prepare=False)[0][0])


def _columns(rows: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _one(privileges: str) -> str:
    """Return the privilege to name where one of several is enough: the last one, which allows the least else."""
    *_, last = privileges.split(", ")
    return last if last == "MAINTAIN" else privileges.split(", ", maxsplit=1)[0]
