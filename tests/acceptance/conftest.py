"""Fixtures of the acceptance tests: a database of each kind, and the server that may be killed."""

from collections.abc import Iterator

import pytest
from servers.postgres_server import PostgresServer, TemporaryServer


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request: pytest.FixtureRequest) -> PostgresServer | None:
    """The server that the test's database is on; None: the database is a file."""
    found: PostgresServer | None = None if request.param == "sqlite" else request.getfixturevalue("postgres_server")
    return found


@pytest.fixture
def mortal_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that may be killed: the session's, or one of its own when the caller has named his."""
    if postgres_server.can_be_killed:
        yield postgres_server
        return
    own = TemporaryServer()
    try:
        own.start()
        yield own
    finally:
        own.close()
