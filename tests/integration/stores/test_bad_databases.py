"""Whatever is wrong with the database: one clear error that says what to do, and nothing acknowledged is lost."""

import logging
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from lab.inside import engine_of
from sagas.greeting import QUICK, Greeting, greet, run

from sagalog import Refused, Saga
from sagalog.errors import SchemaTooNew, StoreError, StoreFull, StoreReadOnly, StoreUnavailable, StoreUnfit
from sagalog.process_manager import ProcessManager


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/greetings.db"


async def open_and_close(database: str) -> None:
    async with ProcessManager(database, sagas=[greet()], settings=QUICK):
        pass


def test_a_database_in_a_folder_that_is_not_there_says_which(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"expected a file in a folder that exists \(.*/nowhere\)"):
        run(open_and_close(f"sqlite:///{tmp_path}/nowhere/greetings.db"))


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes and no database\n" * 100)
    with pytest.raises(StoreError, match="not a healthy SQLite database"):
        run(open_and_close(f"sqlite:///{path}"))
    assert path.read_text() == "these are notes and no database\n" * 100


def test_a_database_of_a_newer_version_is_refused_and_not_touched(database: str) -> None:
    run(open_and_close(database))
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO saga_schema VALUES (99, 'from the future', 0)")
    connection.close()
    with pytest.raises(SchemaTooNew, match=r"found schema 99; it was made by a newer sagalog: install that version"):
        run(open_and_close(database))


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_file_in_which_bytes_are_no_text_is_refused_and_not_touched(database: str, encoding: str) -> None:
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute("CREATE TABLE notes (note TEXT)")
    with pytest.raises(StoreUnfit, match=f"expected a database with encoding UTF-8, found {encoding}"):
        run(open_and_close(database))
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    connection.close()


def test_a_locked_database_is_waited_for_and_nothing_is_lost(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """A start that meets a lock fails with a clear error within its bound; the saga is begun when the lock is gone."""

    async def ask() -> None:
        saga = greet()
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            holder = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            try:
                with pytest.raises(StoreUnavailable, match="trying again with the same key is safe"):
                    await manager.start(saga, Greeting("ada"))
            finally:
                holder.execute("ROLLBACK")
                holder.close()
            again = await manager.start(saga, Greeting("ada"))
            assert (await again.result(5)).status == "completed"
            assert await manager.counts() == {"greet": {"completed": 1}}

    with caplog.at_level(logging.INFO, logger="sagalog.transitions"):
        run(ask())
    # Nobody waited for it any more, and it is logged all the same, once.
    assert caplog.messages.count("greet ada SagaStarted") == 1


def test_a_read_only_database_is_refused_and_told_apart(database: str, tmp_path: Path) -> None:
    run(open_and_close(database))
    path = Path(database.removeprefix("sqlite:///"))
    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    if os.geteuid() != 0:
        with pytest.raises(StoreReadOnly, match="cannot be written"):
            run(open_and_close(database))
        return
    # Root may write everything, so another user has to try.
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.owner() == "root" and folder != Path(folder.anchor):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    reader.close()
    with pytest.raises(StoreReadOnly, match="cannot be written"):
        as_another_user(lambda: run(open_and_close(database)))


def as_another_user(call: Any) -> None:
    """Run `call` with the rights of user 65534, and take this process's own back."""
    os.seteuid(65534)
    try:
        call()
    finally:
        os.seteuid(0)


def test_a_full_disk_is_told_apart_and_nothing_acknowledged_is_lost(database: str) -> None:
    async def ask() -> None:
        saga = greet()
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            first = await manager.start(saga, Greeting("ada"))
            assert (await first.result(5)).status == "completed"
            await engine_of(manager).blocking.write(limit_pages, manager, 0)
            with pytest.raises(StoreFull, match=r"no room .*make room, nothing that was acknowledged is lost"):
                for number in range(400):
                    await manager.start(saga, Greeting(f"name {number}", times=500))
            await engine_of(manager).blocking.write(limit_pages, manager, 1_000_000)
            later = await manager.start(saga, Greeting("grace"))
            assert (await later.result(5)).status == "completed"
            assert (await first.status()).status == "completed"

    run(ask())


def limit_pages(manager: Any, more: int) -> None:
    """Let the database grow by `more` pages and no further, on the connection that writes."""
    with manager.store.recorder.datastore.get_connection(commit=True) as connection:
        cursor = connection.cursor().sqlite_cursor
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages + 4 + more}")


def test_sagas_of_a_version_that_is_not_loaded_are_reported_and_left_alone(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 41: start-up reports sagas whose version is not loaded; nobody runs them with another definition."""

    async def begin() -> None:
        saga = greet()
        async with ProcessManager(database, sagas=[saga], settings=QUICK, worker=False) as manager:
            await manager.start(saga, Greeting("ada"))

    async def upgrade() -> None:
        newer = greet(version=2)
        async with ProcessManager(database, sagas=[newer], settings=QUICK) as manager:
            other = await manager.start(newer, Greeting("grace"))
            assert (await other.result(5)).status == "completed"
            assert (await manager.status("ada")).status == "started"

    async def downgrade() -> None:
        async with ProcessManager(database, sagas=[greet(), greet(version=2)], settings=QUICK) as manager:
            row = await manager.status("ada")
            assert (await manager.result(row.saga_id, 5)).status == "completed"

    run(begin())
    with caplog.at_level(logging.WARNING):
        run(upgrade())
    assert "1 sagas wait for greet version 1" in caplog.text
    assert "add it to sagas=[...] until they have ended" in caplog.text
    run(downgrade())


def test_a_saga_declared_otherwise_under_the_same_version_is_reported_and_left_alone(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariants 40 and 41: a definition that changed without a new version runs none of the sagas begun before."""

    async def begin() -> None:
        saga = greet()
        async with ProcessManager(database, sagas=[saga], settings=QUICK, worker=False) as manager:
            await manager.start(saga, Greeting("ada"))

    async def change() -> None:
        changed = Saga("greet", input=Greeting)

        @changed.step(compensation=None)
        async def shout(greeting: Greeting) -> None:
            raise Refused("must not be run")

        assert shout.name == "shout"
        async with ProcessManager(database, sagas=[changed], settings=QUICK) as manager:
            other = await manager.start(changed, Greeting("grace"), key="grace")
            assert (await other.result(5)).status == "failed"
            assert (await manager.status("ada")).status == "started"

    run(begin())
    with caplog.at_level(logging.WARNING):
        run(change())
    assert "was declared differently when they began" in caplog.text


def test_a_history_that_was_tampered_with_is_left_alone_and_others_go_on(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 40: a malformed history is refused and never appended to."""
    path = database.removeprefix("sqlite:///")

    async def begin() -> None:
        saga = greet()
        async with ProcessManager(database, sagas=[saga], settings=QUICK, worker=False) as manager:
            await manager.start(saga, Greeting("ada"))
            await manager.start(saga, Greeting("grace"))

    async def go_on() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            grace = await manager.status("grace")
            assert (await manager.result(grace.saga_id, 5)).status == "completed"
            assert (await manager.status("ada")).version == 1

    run(begin())
    connection = sqlite3.connect(path)
    with connection:
        ada = connection.execute("SELECT saga_id FROM saga_status WHERE saga_key = 'ada'").fetchone()[0]
        connection.execute(
            "UPDATE saga_events SET topic = 'os.system', state = ? WHERE originator_id = ?",
            (msgspec.json.encode({"time": 1}), ada),
        )
    connection.close()
    with caplog.at_level(logging.ERROR):
        run(go_on())
    assert "expected a registered topic, found 'os.system'" in caplog.text


def test_the_file_is_readable_by_its_owner_alone_and_durable(database: str) -> None:
    async def ask() -> list[Any]:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            with manager.store.recorder.datastore.transaction(commit=False) as cursor:  # type: ignore[attr-defined]
                names = ("journal_mode", "synchronous")
                return [cast("Any", cursor).sqlite_cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert run(ask()) == ["wal", 2]
    path = Path(database.removeprefix("sqlite:///"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
