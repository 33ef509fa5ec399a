"""Holds all three stores to the one contract."""

from collections.abc import Generator, Sequence
from pathlib import Path

import psycopg
import pytest
from databases.stores import migrated_database, opened
from servers.postgres_roles import role_on

from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.stores.postgres.privileges import Place, grants_for
from sagalog.testing.contracts.store.appending import AppendingContract
from sagalog.testing.contracts.store.claiming import ClaimingContract
from sagalog.testing.contracts.store.consumers import ConsumerContract
from sagalog.testing.contracts.store.contract import StoreContract
from sagalog.testing.contracts.store.inbox import InboxContract
from sagalog.testing.contracts.store.jobs import JobContract
from sagalog.testing.contracts.store.messages import MessageContract
from sagalog.testing.contracts.store.signs import SignContract


class OnOneKind:
    """Give a contract a store of `kind`, and a second one on the same database."""

    kind: str

    @pytest.fixture
    def database(self, tmp_path: Path, request: pytest.FixtureRequest) -> str | Store:
        return migrated_database(self.kind, tmp_path, request)

    @pytest.fixture
    def store(self, database: str | Store) -> Generator[Store]:
        with opened(database) as store:
            yield store

    @pytest.fixture
    def peer(self, database: str | Store, store: Store) -> Generator[Store]:
        with opened(database) as peer:
            yield peer


class TestMemory(OnOneKind, StoreContract):
    kind = "memory"

    def die(self, store: Store, worker_ids: Sequence[str]) -> None:
        assert isinstance(store, MemoryStore)
        for worker_id in worker_ids:
            store.silence(worker_id)


class TestSQLite(OnOneKind, StoreContract):
    kind = "sqlite"
    hints = False


@pytest.mark.postgres
class TestPostgres(OnOneKind, StoreContract):
    kind = "postgres"


@pytest.mark.postgres
class TestPostgresAsARoleWithoutDdl(
    OnOneKind,
    AppendingContract,
    ClaimingContract,
    SignContract,
    MessageContract,
    InboxContract,
    ConsumerContract,
    JobContract,
):
    """What `sagalog db grants` prints is enough for all that is written, but for computing the tables anew."""

    kind = "postgres"

    @pytest.fixture
    def database(self, migrated_postgres_url: str) -> Generator[str]:
        with opened(migrated_postgres_url), role_on(migrated_postgres_url) as (role, address):
            with psycopg.connect(migrated_postgres_url) as owner:
                place = Place("public", "", everybody_connects=True, server_version=owner.info.server_version)
                for statement in grants_for(role, place, reads_only=False):
                    owner.execute(statement.encode())
            yield address
