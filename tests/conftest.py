"""Fixtures that every kind of test may ask for; it starts nothing that no test asks for."""

import logging
from collections.abc import Iterator

import pytest
from databases.stores import (
    each_database,
    each_sql_database,
    each_store,
    migrated_file,
    migrated_postgres_url,
    migrated_template,
)
from followed.applications import application_url, each_bookshop
from followed.following import each_target
from hypothesis import HealthCheck, settings
from sagas.bank import each_bank, each_bank_address
from sagas.shop_demo import finished_demo
from servers.nats_server import NatsServer, open_nats_server
from servers.postgres_server import PostgresServer, open_server

from sagalog.logs import LOGGERS

__all__ = [
    "application_url",
    "each_bank",
    "each_bank_address",
    "each_bookshop",
    "each_database",
    "each_sql_database",
    "each_store",
    "each_target",
    "finished_demo",
    "migrated_file",
    "migrated_postgres_url",
    "migrated_template",
    "nats_server",
    "postgres_server",
    "postgres_url",
]


# How long a busy machine takes for an example says nothing about the code.
settings.register_profile("sagalog", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sagalog")


@pytest.fixture(autouse=True)
def loggers_are_as_they_were() -> Iterator[None]:
    """What a test, or a page that it runs, does to the library's loggers does not outlive it."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(list(one.handlers), one.propagate, one.level) for one in loggers]
    yield
    for one, (handlers, propagate, level) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; a test that kills it asks `can_be_killed` first, and need not start it again."""
    with open_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database, removed after the test."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A real NATS server that holds nothing yet; a test may kill it and start it again."""
    with open_nats_server() as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one simulation be repeated, and be chosen how much is simulated or counted."""
    parser.addoption("--seed", type=int, default=None, help="repeat the simulation of this seed")
    parser.addoption("--sagas", type=int, default=300, help="how many sagas a job that is killed acts on (10000)")
    parser.addoption("--kills", type=int, default=4, help="how often the workers of a job are killed (100)")
    parser.addoption("--seeds", type=int, default=None, help="how many seeds to simulate (10000; of messages 1000)")
    parser.addoption("--events", type=int, default=None, help="how many events are counted by a projection (4000)")
    parser.addoption("--held", type=float, default=None, help="how long a transaction is held open meanwhile, in s (1)")
