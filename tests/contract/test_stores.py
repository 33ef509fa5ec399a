"""Holds all three stores to the one contract."""

from collections.abc import Generator
from pathlib import Path

import pytest
from stores import empty_database, opened

from sagalog.store import Store
from sagalog.testing.store_contract import StoreContract


class OnOneKind(StoreContract):
    """Give the contract a store of `kind`, and a second one on the same database."""

    kind: str

    @pytest.fixture
    def database(self, tmp_path: Path, request: pytest.FixtureRequest) -> str | Store:
        return empty_database(self.kind, tmp_path, request)

    @pytest.fixture
    def store(self, database: str | Store) -> Generator[Store]:
        with opened(database) as store:
            yield store

    @pytest.fixture
    def peer(self, database: str | Store, store: Store) -> Generator[Store]:
        with opened(database) as peer:
            yield peer


class TestMemory(OnOneKind):
    kind = "memory"


class TestSQLite(OnOneKind):
    kind = "sqlite"
    hints = False


@pytest.mark.postgres
class TestPostgres(OnOneKind):
    kind = "postgres"
