"""Whoever opens a database while somebody else makes or upgrades its tables says so, and can be told to give up."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import IO

import psycopg
import pytest
from databases.catalogs import plain
from databases.stores import opened
from pages.command_line import program, write_app
from sagas.greeting import greet, run

from sagalog.errors import NotRunning
from sagalog.opening import unless
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.stores import store_for
from sagalog.stores.migrations import Migration
from sagalog.stores.postgres.connection import SQL as OURS
from sagalog.stores.postgres.store import PostgresStore

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
PATIENT = Settings(statement_timeout=60.0)
WAITING = {"sqlite": "locked by another process; waiting", "postgres": "made or upgraded by the session with pid"}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/sagas.db"


def kind_of(database: str) -> str:
    return "sqlite" if database.startswith("sqlite") else "postgres"


@contextlib.contextmanager
def migrating(database: str) -> Generator[None]:
    """Hold what whoever makes the tables holds, as if it had been stopped in the middle."""
    if kind_of(database) == "postgres":
        with psycopg.connect(database, application_name="deploy-7") as session:
            session.execute(OURS["try_lock_schema"])
            yield
        return
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        yield


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    while not any(text in message for message in caplog.messages):
        await asyncio.sleep(0.01)


def sessions(database: str) -> int:
    """Return how many sessions of ours a server has."""
    with plain(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sagalog' AND datname = current_database()"
        ).fetchone()
        return int(row[0])


def test_an_opening_that_waits_for_a_migration_says_so_and_can_be_cancelled(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        manager = ProcessManager(database, sagas=[greet()], settings=PATIENT)
        with migrating(database):
            before = set(threading.enumerate())
            opening = asyncio.create_task(manager.__aenter__())
            await said(caplog, WAITING[kind_of(database)])
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(5):
                    await opening
            begun = set(threading.enumerate()) - before
            assert not [thread.name for thread in begun if thread.name.startswith("sagalog-")]
        if kind_of(database) == "postgres":
            while sessions(database):
                await asyncio.sleep(0.01)
        # Nothing is left of it that another opening would meet.
        async with manager:
            assert await manager.counts() == {}

    run(story())
    if kind_of(database) == "postgres":
        assert "of deploy-7" in caplog.text
        assert "which is idle in transaction" in caplog.text


def test_an_opening_that_is_cancelled_does_not_end_that_of_another_on_the_same_store(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        store = store_for(database, PATIENT.store_options())
        first, second = (ProcessManager(store, sagas=[greet()], settings=PATIENT) for _ in range(2))
        with migrating(database):
            opening = asyncio.create_task(first.__aenter__())
            await said(caplog, WAITING[kind_of(database)])
            other = asyncio.create_task(second.__aenter__())
            await asyncio.sleep(0)
            other.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(5):
                    await other
            assert not opening.done()
        await opening
        assert await first.counts() == {}
        await first.__aexit__()

    run(story())


def test_a_worker_that_waits_for_a_migration_ends_at_sigterm(database: str, tmp_path: Path) -> None:
    name = write_app(tmp_path, "waiting_app")
    words = program("--db", database, "--app-dir", str(tmp_path), "--app", name, "run")
    folder = Path(__file__).parents[2] / "support"
    with (
        migrating(database),
        subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(folder)}) as worker,
    ):
        try:
            lines = _until(worker.stderr, WAITING[kind_of(database)])
            worker.send_signal(signal.SIGTERM)
            _, rest = worker.communicate(timeout=5)
        finally:
            worker.kill()
    assert worker.returncode == 0
    assert "SIGTERM" in rest
    # It has never worked on anything.
    assert "working on" not in lines + rest


def _until(stream: IO[str] | None, text: str) -> str:
    assert stream is not None
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"expected {text!r}, found {seen!r}")


@pytest.mark.postgres
def test_the_server_ends_a_migration_that_is_silent_and_none_that_takes_its_time(postgres_url: str) -> None:
    looking = "CREATE TABLE seen AS SELECT name, setting FROM pg_settings WHERE name LIKE '%_timeout'"
    with opened(postgres_url) as store:
        assert isinstance(store, PostgresStore)
        store.apply(Migration(1000, "look", looking))
        limits = dict(store.query("SELECT name, setting FROM seen")[1])
    assert limits["idle_in_transaction_session_timeout"] == "60000"
    assert limits["statement_timeout"] == "0"
    assert limits.get("transaction_timeout", "0") == "0"


@pytest.mark.postgres
def test_a_statement_of_a_migration_ends_when_its_opening_is_given_up(postgres_url: str) -> None:
    """It would go on in the server for as long as it takes, and everybody else would wait for what it has locked."""
    began = threading.Event()
    ended: list[BaseException] = []
    given_up = threading.Event()
    with opened(postgres_url) as store:
        assert isinstance(store, PostgresStore)

        def migrate() -> None:
            assert isinstance(store, PostgresStore)
            with unless(given_up.is_set):
                began.set()
                try:
                    store.apply(Migration(1000, "wait", "SELECT pg_sleep(600)"))
                except BaseException as problem:
                    ended.append(problem)

        thread = threading.Thread(target=migrate)
        thread.start()
        sleeping = (
            b"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
        with plain(postgres_url) as connection:
            while not connection.execute(sleeping).fetchone()[0]:
                assert thread.is_alive()
            given_up.set()
            thread.join(5)
            assert not thread.is_alive()
            while connection.execute(sleeping).fetchone()[0]:
                pass
        assert [type(problem) for problem in ended] == [NotRunning]
        assert store.schema_version() < 1000
