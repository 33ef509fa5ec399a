"""Plain functions that hang in all threads of a process: what waits for a thread is left to others."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sagas.greeting import run

from sagalog import Event, Participant, Retry, Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store

SETTINGS = Settings(lease=5, poll=0.02, grace=0, handler_threads=2)
ROOMY = Settings(lease=5, poll=0.02, grace=0, handler_threads=8)


class Hang(Event):
    name: str


class Ask(Event):
    name: str


class Stage:
    """Sagas and participants of two processes on one database; the first has its threads full of what hangs."""

    def __init__(self, database: str | Store) -> None:
        self.database = database
        self.go_on = threading.Event()
        self.hanging: list[str] = []
        self.served: list[tuple[str, str]] = []
        # Whether a call hangs is asked when it begins.
        self.hangs: Callable[[str], bool] = lambda name: name.startswith("hung")

    def serve(self, what: str, name: str) -> None:
        """Do what a plain function does: hang until the test ends, or take no time."""
        if self.hangs(name):
            self.hanging.append(name)
            assert self.go_on.wait(60)
        self.served.append((what, name))

    def visit(self, **declared: Any) -> Saga[str]:
        """Return a saga with an async step, and then a plain one."""
        saga = Saga("visit", input=str, key=lambda name: name, **declared)

        @saga.step(compensation=None)
        async def ring(_: str) -> None: ...

        @saga.step(compensation=None, timeout=1, retry=Retry(attempts=1))
        def enter(name: str) -> None:
            self.serve("enter", name)

        assert (ring.name, enter.name) == ("ring", "enter")
        return saga

    @asynccontextmanager
    async def running(self, settings: Settings = SETTINGS, **declared: Any) -> AsyncGenerator[ProcessManager]:
        """Run a process; nobody hangs when a test fails."""
        async with ProcessManager(self.database, settings=settings, **declared) as manager:
            try:
                yield manager
            finally:
                self.go_on.set()

    @asynccontextmanager
    async def full(self, saga: Saga[str], **declared: Any) -> AsyncGenerator[ProcessManager]:
        """Run a process of which both threads hang."""
        async with self.running(sagas=[saga], **declared) as manager:
            for number in range(2):
                await manager.start(saga, f"hung {number}")
            await until(lambda: len(self.hanging) == 2)
            yield manager


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def owners(manager: ProcessManager, ids: list[str]) -> set[str | None]:
    return {(await manager.status(one)).owner for one in ids}


def test_sagas_that_wait_for_a_thread_go_on_elsewhere(each_database: str | Store) -> None:
    """Invariant 31: a call that no thread has begun has not happened, so others may make it."""
    stage = Stage(each_database)
    saga = stage.visit()

    async def test() -> None:
        async with stage.full(saga) as first:
            runs = [await first.start(saga, f"guest {number}") for number in range(5)]
            async with stage.running(ROOMY, sagas=[saga]):
                for one in runs:
                    result = await one.result(10)
                    assert result.status == "completed"
            assert len(stage.hanging) == 2

    run(test())
    # Those that hung have ended too, each once.
    assert sorted(stage.served) == sorted(
        [("enter", f"guest {number}") for number in range(5)] + [("enter", f"hung {number}") for number in range(2)]
    )


def test_what_waits_for_a_thread_is_no_attempt(each_database: str | Store) -> None:
    """A step that is tried once has not been tried when no thread came to it."""
    stage = Stage(each_database)
    saga = stage.visit()

    async def test() -> None:
        async with stage.full(saga) as only:
            one = await only.start(saga, "guest")
            while (await one.status()).owner is not None or (await one.status()).current_step != "enter":
                await asyncio.sleep(0.01)
            stage.go_on.set()
            # Nobody else is there, so it goes on here as soon as a thread is free.
            result = await one.result(10)
            assert result.status == "completed"
            assert [event.topic for event in only.store.read(one.id) if "Retry" in event.topic] == []

    run(test())


def test_the_deadline_ends_a_saga_that_waits_for_a_thread(each_database: str | Store) -> None:
    """Invariant 30."""
    stage = Stage(each_database)
    saga = stage.visit(timeout=2)

    async def test() -> None:
        async with stage.full(saga) as only:
            one = await only.start(saga, "guest")
            result = await one.result(15)
            assert result.status == "failed"
            assert result.error is not None
            assert result.error.kind == "deadline"
            assert ("enter", "guest") not in stage.served

    run(test())
    assert ("enter", "guest") not in stage.served


def test_a_process_that_stops_gives_back_at_once_what_waits_for_a_thread(each_database: str | Store) -> None:
    stage = Stage(each_database)
    saga = stage.visit()

    async def test() -> None:
        async with stage.running(ROOMY, worker=False, sagas=[saga]) as looking, stage.full(saga) as first:
            ids = [(await first.start(saga, f"guest {number}")).id for number in range(3)]
            while {(await looking.status(one)).current_step for one in ids} != {"enter"}:
                await asyncio.sleep(0.005)
            stopping = asyncio.get_running_loop().create_task(first.__aexit__())
            while await owners(looking, ids) != {None}:
                await asyncio.sleep(0.005)
            assert not stopping.done()
            stage.go_on.set()
            await stopping

    run(test())
    assert {name for _, name in stage.served} == {"hung 0", "hung 1"}


def test_compensations_that_wait_for_a_thread_run_elsewhere(each_database: str | Store) -> None:
    """Invariant 29."""
    stage = Stage(each_database)
    trip = Saga("trip", input=str, key=lambda name: name)

    @trip.step
    async def book(_: str) -> None: ...

    @book.compensate
    def cancel(_: None, name: str) -> None:
        stage.serve("cancel", name)

    @trip.step(compensation=None, retry=Retry(attempts=1))
    async def leave(_: str) -> None:
        raise ValueError("no train")

    assert (cancel.__name__, leave.name) == ("cancel", "leave")

    async def test() -> None:
        async with stage.full(trip) as first:
            runs = [await first.start(trip, f"guest {number}") for number in range(3)]
            async with stage.running(ROOMY, sagas=[trip]):
                for one in runs:
                    assert (await one.result(10)).status == "failed"
                # What hangs is not undone once more beside itself.
                assert sorted(stage.hanging) == ["hung 0", "hung 1"]

    run(test())
    assert len(stage.served) == len(set(stage.served)) == 5


def test_nothing_is_undone_while_a_thread_runs_the_action_of_a_sibling(each_database: str | Store) -> None:
    """Invariant 18: a branch that waits for a thread gives the saga up, but not while another one is under way."""
    stage = Stage(each_database)
    saga = Saga("pair", input=str, key=lambda name: name)
    undone: list[str] = []

    async def undo(_: str | None, name: str) -> None:
        undone.append(f"{name} while hanging: {not stage.go_on.is_set()}")

    with saga.parallel():

        @saga.step
        def left(name: str) -> str:
            stage.serve("left", name)
            return name

        @saga.step
        def right(name: str) -> str:
            stage.serve("right", f"right of {name}")
            return name

    left.compensate(undo)
    right.compensate(undo)

    async def test() -> None:
        settings = Settings(lease=5, poll=0.02, grace=0, handler_threads=1)
        async with stage.running(settings, sagas=[saga]) as first:
            one = await first.start(saga, "hung")
            await until(lambda: len(stage.hanging) == 1)
            async with stage.running(ROOMY, sagas=[saga]) as second:
                fine = await first.start(saga, "guest")
                assert (await fine.result(10)).status == "completed"
                assert (await second.status(one.id)).owner is not None
                stage.go_on.set()
                assert (await one.result(10)).status == "completed"

    run(test())
    assert undone == []
    assert len(stage.served) == len(set(stage.served)) == 4


@pytest.mark.parametrize("has_others", [True, False])
def test_a_participant_that_hangs_stops_no_other(each_database: str | Store, has_others: bool) -> None:
    stage = Stage(each_database)
    hangs, answers = Participant("hangs"), Participant("answers")

    @hangs.on
    def hang(message: Hang) -> None:
        stage.serve("hang", f"hung {message.name}")

    @answers.on
    def answer(message: Ask) -> None:
        stage.serve("answer", message.name)

    assert (hang.__name__, answer.__name__) == ("hang", "answer")
    both = [hangs, answers]

    async def test() -> None:
        async with stage.running(participants=both) as first:
            for number in range(3):
                await first.publish(Hang(name=f"{number}"))
            await until(lambda: len(stage.hanging) == 2)
            for number in range(5):
                await first.publish(Ask(name=f"{number}"))
            if has_others:
                async with stage.running(ROOMY, participants=both):
                    await until(lambda: len(stage.served) == 5)
                    # What hangs is not begun beside itself.
                    assert len(stage.hanging) == 2
            else:
                stage.go_on.set()
            await until(lambda: len(stage.served) == 8)

    run(test())
    assert len(stage.served) == len(set(stage.served)) == 8


def test_the_log_says_once_what_hangs_and_what_to_do(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(each_database)
    saga = stage.visit()

    async def test() -> None:
        async with stage.full(saga) as first:
            runs = [await first.start(saga, f"guest {number}") for number in range(5)]
            async with stage.running(ROOMY, sagas=[saga]):
                for one in runs:
                    await one.result(10)

    with caplog.at_level(logging.INFO, logger="sagalog.engine"):
        run(test())
    said = [record.getMessage() for record in caplog.records if "threads for plain functions" in record.getMessage()]
    assert len(said) == 1
    assert "2 run, in step enter of visit (2, for" in said[0]
    assert "handler_threads" in said[0]
    assert "time limit" in said[0]
    # Of what no thread has begun nobody says that a thread runs it.
    overdue = [record.getMessage() for record in caplog.records if "is overdue" in record.getMessage()]
    assert len(overdue) <= 2
