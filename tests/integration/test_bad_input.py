"""Whatever is wrong with what a process manager is given: one clear error that says what to do, and nothing is lost."""

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from greeting import Card, Greeting, greet

from sagalog import Refused, Saga
from sagalog.errors import (
    DefinitionError,
    InvalidIdentifier,
    InvalidInput,
    InvalidSettings,
    MissingKey,
    NotRunning,
    PayloadTooLarge,
    SagaNotFound,
    SchemaTooNew,
    ServiceNotProvided,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UnknownSaga,
    WaitTimeout,
)
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

Result = TypeVar("Result")
QUICK = Settings(lease=1, poll=0.01, write_timeout=0.2, statement_timeout=1)


def run(test: Coroutine[Any, Any, Result]) -> Result:
    async def bounded() -> Result:
        async with asyncio.timeout(20):
            return await test

    return asyncio.run(bounded())


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/greetings.db"


async def start(database: str, value: Any, **options: Any) -> dict[str, dict[str, int]]:
    """Try a start that must fail, and return how many sagas there are afterwards."""
    saga = options.pop("saga", None) or greet()
    async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
        try:
            await manager.start(saga, value, **options)
        finally:
            assert await manager.counts() == {}
    raise AssertionError("the start was not refused")


def test_an_unknown_saga_is_refused_with_those_that_are_known(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.start(Saga("other", input=Greeting), Greeting("ada"), key="ada")

    with pytest.raises((UnknownSaga, DefinitionError)) as told:
        run(ask())
    assert "other" in str(told.value)


def test_another_version_of_a_known_saga_is_refused(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.start(greet(version=2), Greeting("ada"))

    with pytest.raises(UnknownSaga, match=r"greet version 1.*found greet version 2; add it to sagas="):
        run(ask())


def test_an_input_of_another_type_is_refused(database: str) -> None:
    with pytest.raises(InvalidInput, match="expected Greeting, found Card"):
        run(start(database, Card("x"), key="ada"))


def test_an_input_with_a_wrong_field_is_refused(database: str) -> None:
    with pytest.raises(InvalidInput, match="times"):
        run(start(database, Greeting("ada", times="three")))  # type: ignore[arg-type]


def test_a_payload_over_the_cap_is_refused_with_its_size(database: str) -> None:
    with pytest.raises(
        PayloadTooLarge, match=r"300,0\d\d bytes of JSON, the cap is 262,144; store large data elsewhere"
    ):
        run(start(database, Greeting("x" * 300_000), key="ada"))


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a\x00b", r"U\+0000"),
        ("k" * 10_000, "found 10,000"),
        ("", "found 0"),
        ("a\nb", r"U\+000A"),
        ("a\ud800", r"U\+D800"),
        (7, "found int"),
    ],
)
def test_a_key_that_no_store_can_keep_is_refused(database: str, key: Any, found: str) -> None:
    with pytest.raises(InvalidIdentifier, match=found):
        run(start(database, Greeting("ada"), key=key))


@pytest.mark.parametrize("what", ["correlation_id", "causation_id"])
def test_a_correlation_or_causation_id_with_a_nul_is_refused(database: str, what: str) -> None:
    with pytest.raises(InvalidIdentifier, match=r"U\+0000"):
        run(start(database, Greeting("ada"), **{what: "a\x00"}))


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"])
def test_text_that_no_store_can_keep_is_refused_inside_an_input(database: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        run(start(database, Greeting(name), key="ada"))


def test_a_start_without_a_key_is_refused_and_told_how_to_give_one(database: str) -> None:
    """INVARIANTS 8: no identity, no entry."""
    saga = Saga("keyless", input=Greeting)

    @saga.step(compensation=None)
    async def nothing(greeting: Greeting) -> None: ...

    assert nothing.name == "nothing"
    with pytest.raises(MissingKey, match=r"pass key=\.\.\., or declare Saga\(key="):
        run(start(database, Greeting("ada"), saga=saga))


def test_a_service_that_is_not_provided_is_named_with_the_step_that_asks_for_it(database: str) -> None:
    class Printer: ...

    saga = Saga("print", input=Greeting)

    @saga.step(compensation=None)
    async def print_card(greeting: Greeting, printer: Printer) -> None: ...

    assert print_card.name == "print_card"
    with pytest.raises(ServiceNotProvided, match=r"print\.print_card: printer: Printer\ngive an instance in services="):
        ProcessManager(database, sagas=[saga])


def test_two_sagas_with_one_name_and_version_are_refused(database: str) -> None:
    with pytest.raises(DefinitionError, match="two sagas are greet version 1"):
        ProcessManager(database, sagas=[greet(), greet()])


def test_a_handler_that_returns_the_wrong_type_makes_its_saga_stuck_and_no_other(database: str) -> None:
    saga = Saga("wrong", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    async def write(greeting: Greeting) -> Card:
        return Card("fine") if greeting.name == "ada" else greeting  # type: ignore[return-value]

    assert write.name == "write"

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            bad = await manager.start(saga, Greeting("bob"))
            good = await manager.start(saga, Greeting("ada"))
            assert (await good.result(5)).status == "completed"
            result = await bad.result(5)
            assert result.status == "stuck"
            assert result.error is not None
            assert "expected Card, found Greeting" in result.error.message
            row = await bad.status()
            assert row.waiting_for == "a person"
            assert row.error_text is not None
            assert "mend the program, then resume" in row.error_text

    run(ask())


def test_a_saga_that_nobody_started_is_not_found(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.status("nobody")

    with pytest.raises(SagaNotFound, match=r"'nobody'.*sagalog list"):
        run(ask())


def test_a_process_manager_that_does_not_run_says_how_to_run_it(database: str) -> None:
    saga = greet()
    with pytest.raises(NotRunning, match="async with"):
        run(ProcessManager(database, sagas=[saga]).start(saga, Greeting("ada")))


def test_waiting_too_short_says_what_the_saga_waits_for_and_leaves_it_alone(database: str) -> None:
    release = asyncio.Event()
    saga = Saga("slow", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    async def wait(greeting: Greeting) -> None:
        await release.wait()

    assert wait.name == "wait"

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            slow = await manager.start(saga, Greeting("ada"))
            with pytest.raises(WaitTimeout, match=r"still started after 0\.01 s, waiting for step wait; it goes on"):
                await slow.result(0.01)
            release.set()
            assert (await slow.result(5)).status == "completed"

    run(ask())


@pytest.mark.parametrize("address", ["", "shop.db", "mysql://x/y", "sqlite:shop.db", "memory://x"])
def test_an_address_that_names_no_store_is_refused_with_examples(address: str) -> None:
    with pytest.raises(InvalidSettings, match=r"sqlite:///shop\.db or postgresql://"):
        ProcessManager(address)


def test_a_setting_that_cannot_be_is_named_with_its_variable() -> None:
    with pytest.raises(InvalidSettings, match=r"SAGALOG_LEASE: .*greater than 0"):
        Settings.from_environment({"SAGALOG_LEASE": "-1"})


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


def test_a_locked_database_is_waited_for_and_nothing_is_lost(database: str) -> None:
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

    run(ask())


READ_ONLY = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from greeting import Greeting, greet
from sagalog.process_manager import ProcessManager

async def main():
    saga = greet()
    async with ProcessManager(sys.argv[1], sagas=[saga]) as manager:
        await manager.start(saga, Greeting("ada"))

asyncio.run(main())
"""


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
            await manager._blocking.write(limit_pages, manager, 0)
            with pytest.raises(StoreFull, match=r"no room .*make room, nothing that was acknowledged is lost"):
                for number in range(400):
                    await manager.start(saga, Greeting(f"name {number}", times=500))
            await manager._blocking.write(limit_pages, manager, 1_000_000)
            later = await manager.start(saga, Greeting("grace"))
            assert (await later.result(5)).status == "completed"
            assert (await first.status()).status == "completed"

    run(ask())


def limit_pages(manager: Any, more: int) -> None:
    """Let the database grow by `more` pages and no further, on every connection that writes."""
    datastore = manager.store.recorder.datastore
    with ExitStack() as taken:
        for _ in range(QUICK.readers * 2 + 1):
            cursor = taken.enter_context(datastore.get_connection(commit=False)).cursor().sqlite_cursor
            pages = cursor.execute("PRAGMA page_count").fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {pages + 4 + more}")


def test_sagas_of_a_version_that_is_not_loaded_are_reported_and_left_alone(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """INVARIANTS 41: start-up reports sagas whose version is not loaded; nobody runs them with another definition."""

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
    """INVARIANTS 40 and 41: a definition that changed without a new version runs none of the sagas begun before."""

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
    """INVARIANTS 40: a malformed history is refused and never appended to."""
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
                return [cursor.sqlite_cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert run(ask()) == ["wal", 2]
    path = Path(database.removeprefix("sqlite:///"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_saga_can_be_declared_without_loading_any_driver() -> None:
    code = "import sys, sagalog; print([m for m in ('asyncio', 'sqlite3', 'psycopg', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
