"""Every store, for tests that hold on each: fixtures that give an open store, or the address of a new database.

`tests/conftest.py` imports the fixtures, so any test may ask for `each_store` or `each_database` and runs on all three.
What they give has the newest schema and no rows: a copy of a database that was migrated once, which is quicker than to
migrate each. A test about migrations, or about what opens an empty database, asks for `empty_database`.
"""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from servers.postgres_server import PostgresServer

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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and no rows, to be copied and never opened."""
    path = tmp_path_factory.mktemp("migrated") / "sagas.db"
    with opened(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> Generator[str]:
    """The name of a PostgreSQL database with the newest schema and no rows, to be copied and never opened."""
    with postgres_server.database() as url:
        with opened(url):
            pass
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, migrated_template: str) -> Generator[str]:
    """The address of a PostgreSQL database with the newest schema and no rows, removed after the test."""
    with postgres_server.database(migrated_template) as url:
        yield url


def migrated_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> str | Store:
    """Return what `empty_database` becomes once it has been opened: it has the newest schema and no rows."""
    match kind:
        case "sqlite":
            template: Path = request.getfixturevalue("migrated_file")
            shutil.copy(template, folder / "sagas.db")
            return f"sqlite:///{folder / 'sagas.db'}"
        case "postgres":
            url: str = request.getfixturevalue("migrated_postgres_url")
            return url
        case _:
            return empty_database(kind, folder, request)


@pytest.fixture(params=EACH_KIND)
def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Store:
    """A database of each kind without rows, for those that open it several times or in several processes."""
    return migrated_database(request.param, tmp_path, request)


@pytest.fixture(params=EACH_KIND[1:])
def each_sql_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without rows, of each kind that has SQL."""
    database = migrated_database(request.param, tmp_path, request)
    assert isinstance(database, str)
    return database


@pytest.fixture
def each_store(each_database: str | Store) -> Generator[Store]:
    """An open, empty store of each kind, closed after the test."""
    with opened(each_database) as store:
        yield store
