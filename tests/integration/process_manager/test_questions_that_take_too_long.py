"""A question whose time is limited keeps its limit whatever the database does, and an answer that fails says why."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator

import psycopg
import pytest
from pages.command_line import sagalog
from sagas.greeting import Greeting, greet, run

from sagalog import Event
from sagalog.errors import StoreUnavailable, WaitTimeout
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

pytestmark = pytest.mark.postgres
HASTY = Settings(statement_timeout=0.3, write_timeout=0.3)
# A statement that waits for a lock waits for longer than a test has time.
PATIENT = Settings(statement_timeout=300.0, write_timeout=300.0)
SAGA = greet()
TABLES = ("saga_status", "saga_events", "saga_unmatched")


class Heard(Event):
    name: str


@contextlib.contextmanager
def locked(database: str, *tables: str) -> Generator[None]:
    with psycopg.connect(database) as session:
        for table in tables:
            session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        session.rollback()


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_result_that_is_waited_for_comes_in_time_or_not_at_all(migrated_postgres_url: str, seconds: float) -> None:
    async def story() -> None:
        async with ProcessManager(migrated_postgres_url, sagas=[SAGA], settings=PATIENT, worker=False) as manager:
            saga = await manager.start(SAGA, Greeting("ada"))
            with locked(migrated_postgres_url, "saga_status"):
                # The second time all threads that read are busy.
                for _ in range(3):
                    async with asyncio.timeout(5):
                        with pytest.raises(WaitTimeout, match=r"nobody knows yet whether saga .* has ended"):
                            await saga.result(timeout=seconds)

    run(story())


def test_what_is_executed_in_a_limited_time_is_given_up_in_time(migrated_postgres_url: str) -> None:
    async def story() -> None:
        saga = greet()
        async with ProcessManager(migrated_postgres_url, sagas=[saga], settings=PATIENT, worker=False) as manager:
            with locked(migrated_postgres_url, "saga_status"):
                async with asyncio.timeout(5):
                    with pytest.raises(
                        WaitTimeout, match=r"nobody knows yet whether saga greet was started, after 0\.05 s"
                    ):
                        await manager.execute(saga, Greeting("ada"), timeout=0.05)
            # It is in the queue all the same, and the same key is the same saga.
            again = await manager.start(saga, Greeting("ada"))
            assert await manager.counts() == {"greet": {"started": 1}}
            with pytest.raises(WaitTimeout, match="is still started after 0 s"):
                await again.result(timeout=0)

    run(story())


QUESTIONS: dict[str, Callable[[ProcessManager, str], Awaitable[object]]] = {
    "status": lambda manager, saga_id: manager.status(saga_id),
    "find": lambda manager, _: manager.find(statuses=["stuck"]),
    "history": lambda manager, saga_id: manager.history(saga_id),
    "state": lambda manager, saga_id: manager.state(saga_id),
    "steps": lambda manager, saga_id: manager.steps(saga_id),
    "counts": lambda manager, _: manager.counts(),
    "unmatched": lambda manager, _: manager.unmatched(),
    "result": lambda manager, saga_id: manager.result(saga_id),
    "resume": lambda manager, saga_id: manager.resume(saga_id, actor="ada", reason="r"),
    "start": lambda manager, _: manager.start(SAGA, Greeting("bob")),
    "publish": lambda manager, _: manager.publish(Heard(name="x")),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_met_a_lock_says_so_and_nothing_of_batches(migrated_postgres_url: str, question: str) -> None:
    async def story() -> None:
        async with ProcessManager(migrated_postgres_url, sagas=[SAGA], settings=HASTY, worker=False) as manager:
            saga = await manager.start(SAGA, Greeting("ada"))
            with (
                locked(migrated_postgres_url, *TABLES, "saga_steps"),
                pytest.raises(StoreUnavailable, match="look for long transactions and locks") as caught,
            ):
                await QUESTIONS[question](manager, saga.id)
            assert caught.type is StoreUnavailable

    run(story())


@pytest.mark.parametrize("table", ["saga_schema", "saga_status", "saga_workers"])
def test_an_opening_that_met_a_lock_says_so_and_nothing_of_batches(migrated_postgres_url: str, table: str) -> None:
    async def story() -> None:
        async with ProcessManager(migrated_postgres_url, sagas=[SAGA], settings=HASTY):
            pass
        with (
            locked(migrated_postgres_url, table),
            pytest.raises(StoreUnavailable, match="look for long transactions and locks") as caught,
        ):
            async with ProcessManager(migrated_postgres_url, sagas=[SAGA], settings=HASTY):
                pass
        assert caught.type is StoreUnavailable

    run(story())


@pytest.mark.parametrize("words", [("list",), ("show", "ada"), ("history", "ada"), ("unmatched", "list")])
def test_a_command_that_met_a_lock_says_so_and_nothing_of_batches(
    migrated_postgres_url: str, words: tuple[str, ...]
) -> None:
    async def story() -> None:
        async with ProcessManager(migrated_postgres_url, sagas=[SAGA], settings=HASTY, worker=False):
            pass

    run(story())
    with locked(migrated_postgres_url, *TABLES):
        ran = sagalog(
            "--db", migrated_postgres_url, "--debug", *words, environment={"SAGALOG_STATEMENT_TIMEOUT": "0.3"}
        )
    assert ran.code == 5
    assert "look for long transactions and locks" in ran.err
    assert ran.err.splitlines()[-1].startswith("sagalog.errors.StoreUnavailable: ")
