"""Every store, for tests that hold on each: fixtures that give an open store, or the address of an empty database.

`tests/conftest.py` imports the fixtures, so any test may ask for `each_store` or `each_database` and runs on all three.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sagalog.store import Store, StoreOptions
from sagalog.stores import store_for
from sagalog.stores.memory.store import MemoryStore

# The contract's asserts then say what they compared; it has to be told before the contract is imported.
pytest.register_assert_rewrite("sagalog.testing")

KINDS = ("memory", "sqlite", "postgres")
EACH_KIND = [pytest.param(kind, id=kind, marks=[pytest.mark.postgres] if kind == "postgres" else []) for kind in KINDS]


def store_of(database: str | Store, options: StoreOptions | None = None) -> Store:
    """Return a store on a database that is not open yet, for those that open it themselves."""
    return store_for(database, options) if isinstance(database, str) else database


@contextmanager
def opened(database: str | Store, options: StoreOptions | None = None) -> Generator[Store]:
    """Give an open store on a database, closed afterwards."""
    store = store_of(database, options)
    store.open()
    try:
        yield store
    finally:
        store.close()


def empty_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> str | Store:
    """Return an empty database: an address, or for memory a store that everybody in this process shares."""
    match kind:
        case "memory":
            return MemoryStore()
        case "sqlite":
            return f"sqlite:///{folder / 'sagas.db'}"
        case "postgres":
            url: str = request.getfixturevalue("postgres_url")
            return url
        case _:
            raise ValueError(f"expected one of {KINDS}, found {kind}")


@pytest.fixture(params=EACH_KIND)
def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Store:
    """An empty database of each kind, for those that open it several times or in several processes."""
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def each_store(each_database: str | Store) -> Generator[Store]:
    """An open, empty store of each kind, closed after the test."""
    with opened(each_database) as store:
        yield store
