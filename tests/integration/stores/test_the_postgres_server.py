"""The server that the PostgreSQL tests stand on: it is real, durable, private, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from servers.postgres_server import CallersServer, PostgresServer, TemporaryServer, open_server

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def own_server() -> Iterator[TemporaryServer]:
    """A server of these tests' own, so that they hold even when the caller named one; a test starts it if need be."""
    server = TemporaryServer()
    try:
        yield server
    finally:
        server.close()


def answer(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_database_is_fresh_in_every_test(postgres_url: str) -> None:
    assert answer(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE seen (x int)")


def test_a_database_is_fresh_in_every_test_also_after_another_wrote(postgres_url: str) -> None:
    assert answer(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_database_is_removed_while_someone_is_still_connected(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as url:
        connection = psycopg.connect(url)
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    name = urlsplit(url).path.removeprefix("/")
    assert answer(postgres_server.url(), f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0


def test_a_database_can_be_made_as_a_copy_of_another(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as original:
        with psycopg.connect(original) as connection:
            connection.execute("CREATE TABLE pages AS SELECT 7 AS x")
        with postgres_server.database(urlsplit(original).path.removeprefix("/")) as copy:
            assert answer(copy, "SELECT x FROM pages") == 7


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_the_server_is_as_durable_as_in_production(own_server: TemporaryServer, setting: str) -> None:
    own_server.start()
    assert answer(own_server.url(), f"SHOW {setting}") == "on"


@pytest.mark.crash
def test_committed_rows_survive_a_killed_server_and_uncommitted_ones_do_not(
    own_server: TemporaryServer,
) -> None:
    own_server.start()
    url = own_server.url()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS x")
    unfinished = psycopg.connect(url)
    unfinished.execute("INSERT INTO kept SELECT 0")
    own_server.kill()
    with pytest.raises(psycopg.OperationalError):
        unfinished.execute("SELECT 1")
    unfinished.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
    own_server.start()
    assert answer(url, "SELECT count(*) FROM kept") == 1000


@pytest.mark.crash
def test_no_process_of_a_killed_server_runs_on(own_server: TemporaryServer) -> None:
    own_server.start()
    with psycopg.connect(own_server.url()):
        processes = processes_of(own_server.folder)
        assert len(processes) > 2
        own_server.kill()
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]


def test_a_stopped_server_starts_again_at_the_same_address(own_server: TemporaryServer) -> None:
    own_server.start()
    url = own_server.url()
    own_server.stop()
    own_server.start()
    assert answer(url, "SELECT 1") == 1


def test_the_server_listens_on_this_machine_only_and_asks_for_its_password(
    own_server: TemporaryServer,
) -> None:
    own_server.start()
    assert answer(own_server.url(), "SHOW listen_addresses") == "127.0.0.1"
    assert answer(own_server.url(), "SHOW unix_socket_directories") == ""
    parts = urlsplit(own_server.url())
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=parts.port, user="sagalog", dbname="postgres", password="a guess")


def test_the_server_does_not_run_as_root(own_server: TemporaryServer) -> None:
    own_server.start()
    assert all(process.uids().effective != 0 for process in processes_of(own_server.folder))


@pytest.mark.crash
def test_a_killed_test_run_leaves_no_server_behind() -> None:
    script = (
        "from servers.postgres_server import TemporaryServer\n"
        "server = TemporaryServer()\n"
        "server.start()\n"
        "print(server.folder, flush=True)\n"
        "input()\n"
    )
    support = str(Path(__file__).parents[2] / "support")
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": support},
    )
    with run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        processes = processes_of(folder)
        assert processes
        run.send_signal(signal.SIGKILL)
    wait_until_gone(folder)
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]


def test_an_address_from_the_caller_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGALOG_TEST_POSTGRES", "postgresql://ann@db.example:5433/mine?sslmode=require")
    with open_server() as server:
        assert isinstance(server, CallersServer)
        assert not server.can_be_killed
        assert server.url("other") == "postgresql://ann@db.example:5433/other?sslmode=require"
        with pytest.raises(RuntimeError, match="not killed"):
            server.kill()


def test_a_callers_server_gives_fresh_databases_too(own_server: TemporaryServer) -> None:
    own_server.start()
    with CallersServer(own_server.url()).database() as url:
        assert answer(url, "SELECT current_database()") == urlsplit(url).path.removeprefix("/")


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes of the server in a folder, its children among them."""
    first_line = (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
    postmaster = psutil.Process(int(first_line))
    return [postmaster, *postmaster.children(recursive=True)]


def wait_until_gone(folder: Path) -> None:
    """Return when a folder is gone; fail after half a minute."""
    give_up = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < give_up, f"{folder} is still there"
        time.sleep(0.01)
