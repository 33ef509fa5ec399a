"""Applications to follow, for tests that hold wherever they keep their log: in memory, in SQLite, in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases.stores import EACH_KIND
from followed.bookshop import Bookshop, bookshop
from servers.postgres_server import PostgresServer


def address_of_an_application(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Return where an application of this kind may keep its log."""
    if kind == "memory":
        return "popo"
    if kind == "sqlite":
        return f"sqlite:///{folder / 'bookshop.db'}"
    url: str = request.getfixturevalue("application_url")
    return url


@pytest.fixture
def application_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database for an application, removed after the test."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=EACH_KIND)
def each_bookshop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bookshop]:
    """An open application of each kind."""
    with bookshop(address_of_an_application(request.param, tmp_path, request)) as application:
        yield application
