"""Which store an address names, and that an odd one is refused in a sentence and leaves no file behind."""

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from databases.stores import opened
from pages.command_line import sagalog
from sagas.greeting import greet

from sagalog import Refused, Saga
from sagalog.errors import DefinitionError, InvalidSettings, SagalogError, StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.stores import store_for
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sqlite.store import SQLiteStore

ODD_FILES = [
    ("sqlite:///file:x.db", "a SQLite URI is not taken: write the path without file:"),
    ("sqlite:///file:x.db?mode=memory", "a SQLite URI is not taken"),
    ("sqlite:///x.db?mode=ro", "with options behind a ?; none is taken"),
    ("sqlite:///x.db?", "with options behind a ?"),
    ("sqlite:///:memory:", "for a store in memory, which ends with the process, say memory://"),
    ("sqlite:///", "found no path; for a store in memory"),
    ("sqlite://", "say memory://"),
    ("sqlite:", "say memory://"),
    ("sqlite:x.db", "found 'sqlite:x.db'; a file is written with three slashes before it"),
    ("sqlite:/x.db", "with three slashes before it"),
    ("sqlite://x.db", "found sqlite://x.db; a file is written with three slashes"),
    ("sqlite://host/x.db", "with three slashes"),
    ("sqlite:///folder/", "which is a folder; name a file in it"),
    ("sqlite+pysqlcipher:///x.db", "found the driver pysqlcipher; leave it out"),
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("address", "text"), ODD_FILES)
def test_a_path_that_sqlite_would_take_in_another_way_is_refused(tmp_path: Path, address: str, text: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        store_for(address)
    assert text in str(caught.value)
    for command in (["db", "upgrade"], ["list"], ["db", "status"], ["wait", "x"]):
        ran = sagalog("--db", address, *command)
        assert (ran.code, ran.out) == (2, ""), ran
        assert text in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["shop.db", "./file:x.db", "a b.db", "shop.sqlite", "ä🙂.db", "a@b.db", "a=b.db", "%20.db"]
)
def test_one_file_is_made_and_it_has_the_name_that_was_given(tmp_path: Path, path: str) -> None:
    assert sagalog("--db", f"sqlite:///{path}", "db", "upgrade").code == 0
    assert sagalog("--db", path, "list").code == 0
    assert {one.name.removesuffix("-wal").removesuffix("-shm") for one in tmp_path.iterdir()} == {
        path.removeprefix("./")
    }


@pytest.mark.parametrize("address", ["sqlite+pysqlite:///shop.db", "sqlite+aiosqlite:///shop.db"])
def test_an_address_of_sqlalchemy_names_the_same_file(tmp_path: Path, address: str) -> None:
    store = store_for(address)
    assert isinstance(store, SQLiteStore)
    assert store.path == "shop.db"
    assert sagalog("--db", address, "db", "upgrade").code == 0
    assert sagalog("--db", "shop.db", "list").code == 0


@pytest.mark.parametrize("driver", ["psycopg", "psycopg_async", "psycopg2", "asyncpg"])
def test_an_address_of_sqlalchemy_names_the_same_server(driver: str) -> None:
    store = store_for(f"postgresql+{driver}://ada:secret@db.example.org:5433/shop")
    assert isinstance(store, PostgresStore)
    assert repr(store) == "<PostgresStore postgresql://db.example.org:5433/shop>"


@pytest.mark.postgres
def test_what_sqlalchemy_writes_opens_the_database(postgres_url: str) -> None:
    address = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    with opened(address) as store:
        assert store.counts() == []


@pytest.mark.parametrize("path", ["", "/", "."])
def test_a_folder_is_no_database(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "shop.db"
    folder.mkdir()
    ran = sagalog("--db", f"sqlite:///{folder}{path and '/' + path.strip('/')}", "db", "upgrade")
    assert ran.code in (2, 5)
    assert "Traceback" not in ran.err
    assert list(folder.iterdir()) == []


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(StoreUnavailable, match="is no regular file"), opened("sqlite:///pipe.db"):
        pass
    assert sagalog("--db", "sqlite:////dev/null", "list").code == 5


@pytest.mark.parametrize("address", [None, 3, b"sqlite:///x.db", Path("x.db")])
def test_what_is_no_text_is_no_address(address: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"expected a database such as sqlite:///shop\.db"):
        store_for(address)


def test_a_path_with_a_control_in_it_is_shown_without(tmp_path: Path) -> None:
    ran = sagalog("--db", "sqlite:///no\x1b[2Jwhere/x\u202e.db", "db", "upgrade")
    assert ran.code == 5
    assert "no\\x1b[2Jwhere/x\\u202e.db: No such file or directory" in ran.err


def test_a_machine_with_a_name_that_is_no_text_is_a_worker_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of a machine is bytes; those that are no UTF-8 come as lone surrogates, which no database holds."""
    monkeypatch.setattr(socket, "gethostname", lambda: "b\udce4ckerei\n" + "x" * 300)

    async def work() -> None:
        async with asyncio.timeout(20), ProcessManager("sqlite:///shop.db", sagas=[greet()]) as manager:
            (row,) = manager.store.query("SELECT host FROM saga_workers")[1]
            assert row[0].startswith("b\\udce4ckerei\\nxxx")
            assert len(row[0]) < 300

    asyncio.run(work())


class Named:
    """A transport that has a name and carries nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def open(self, receive: object) -> None: ...

    async def close(self) -> None: ...

    def carries(self, envelope: object) -> bool:
        return False

    async def send(self, envelopes: object) -> list[str | None]:
        return []


@pytest.mark.parametrize("name", ["", "a\nb", "é" * 101, "a\u202eb"])
def test_a_transport_with_a_name_that_no_store_can_keep_is_refused(name: str) -> None:
    transports: Any = [Named(name)]
    with pytest.raises(DefinitionError, match="the name of a transport: expected"):
        ProcessManager("memory://", transports=transports)


def test_what_a_step_says_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    saga = Saga("forged", input=dict[str, str], key=lambda given: given["key"])

    @saga.step(compensation=None)
    async def pay(given: dict[str, str]) -> None:
        raise Refused("no\n2026-01-01T00:00:00.000+00:00 INFO    forged 7 SagaCompleted\x1b[2K\x07")

    async def run() -> None:
        async with asyncio.timeout(20), ProcessManager("memory://", sagas=[saga]) as manager:
            assert (await manager.execute(saga, {"key": "7"})).status == "failed"

    with caplog.at_level(logging.INFO, "sagalog"):
        asyncio.run(run())
    told = [record.getMessage() for record in caplog.records if "Refused" in record.getMessage()]
    assert told
    assert all("no\\n2026" in text and "\n" not in text and "\x1b" not in text for text in told)


def test_every_error_of_an_address_is_one_of_ours() -> None:
    for address, _ in ODD_FILES:
        with pytest.raises(SagalogError):
            ProcessManager(address)
