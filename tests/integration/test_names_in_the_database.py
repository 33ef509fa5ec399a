"""Whatever we make in a database has a name with our prefix, so that it never stands where a service's own would."""

import contextlib
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from stores import empty_database, opened

from sagalog.participant_kit import ParticipantKit
from sagalog.stores.sql import split, statements

CATALOGS = statements("tests.support", "catalogs.sql")
KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(empty_database(request.param, tmp_path, request))


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


def names_in(database: str) -> list[tuple[str, str]]:
    """Return the kind and the name of everything that was made in a database."""
    dialect = "sqlite" if database.startswith("sqlite") else "postgres"
    with plain(database) as connection:
        return [(kind, name) for kind, name in connection.execute(CATALOGS[dialect]).fetchall()]


def ask(database: str, name: str) -> list[tuple[Any, ...]]:
    with plain(database) as connection:
        return list(connection.execute(CATALOGS[name]).fetchall())


def test_everything_that_we_make_has_a_name_with_our_prefix(database: str) -> None:
    with opened(database):
        pass
    with plain(database) as connection:
        ParticipantKit("bank").create(connection)
    names = names_in(database)
    assert {"saga_events", "saga_tracking", "saga_participant_inbox"} <= {name for _, name in names}
    assert [(kind, name) for kind, name in names if not name.startswith("saga_")] == []


def test_a_service_keeps_its_own_tables_whatever_they_are_called(database: str) -> None:
    with plain(database) as connection:
        for statement in split(CATALOGS["tables_of_others"]):
            connection.execute(statement)
    before = names_in(database)
    with opened(database):
        pass
    with plain(database) as connection:
        ParticipantKit("bank").create(connection)
    assert [one for one in names_in(database) if not one[1].startswith(("saga_", "sqlite_"))] == [
        one for one in before if not one[1].startswith("sqlite_")
    ]
    assert ask(database, "parcels") == [("parcel 7", "Lisbon")]
