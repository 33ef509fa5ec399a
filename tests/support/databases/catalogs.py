"""What a database holds by its catalogs, and what others have in it: looked at and made by the plain drivers."""

import contextlib
import re
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg

from sagalog.stores.sql import split, statements

COMMENT = re.compile("--.*")
SQL = statements("tests.support.databases", "catalogs.sql")


@contextmanager
def plain(database: str) -> Generator[Any]:
    """Give a connection of the plain driver, which commits each statement."""
    if database.startswith("sqlite"):
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection
    else:
        with psycopg.connect(database, autocommit=True) as connection:
            yield connection


def run_all(connection: Any, name: str) -> None:
    """Execute each statement of a block."""
    for statement in split(SQL[name]):
        connection.execute(statement)


def ask(database: str, name: str) -> list[tuple[Any, ...]]:
    """Return what a block finds."""
    with plain(database) as connection:
        return list(connection.execute(SQL[name]).fetchall())


def names_in(database: str) -> list[tuple[str, str]]:
    """Return the kind and the name of everything that was made in a database."""
    return [(kind, name) for kind, name in ask(database, "sqlite" if database.startswith("sqlite") else "postgres")]


def shape_of(database: str) -> dict[tuple[str, str], str]:
    """Return how everything in a database was made, by its kind and name, without comments and line breaks."""
    found = ask(database, f"shape_in_{'sqlite' if database.startswith('sqlite') else 'postgres'}")
    return {(kind, name): " ".join(COMMENT.sub("", made).split()) for kind, name, made in found}
