"""A shutdown lets go of what can be made again, and waits for what must not be left half done."""

import asyncio
import threading
from pathlib import Path

import pytest
from sagas.greeting import Card, Greeting, run

from sagalog import Refused, Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

HASTY = Settings(lease=5, poll=0.01, grace=0)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shutdown.db"


def test_an_async_step_that_takes_too_long_is_given_back_and_made_again(database: str) -> None:
    began: list[str] = []
    saga = Saga("slow", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    async def write(greeting: Greeting) -> Card:
        began.append(greeting.name)
        if len(began) == 1:
            await asyncio.Event().wait()
        return Card(greeting.name)

    assert write.name == "write"

    async def test() -> None:
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as first:
            slow = await first.start(saga, Greeting("ada"))
            while not began:
                await asyncio.sleep(0)
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as second:
            assert (await second.result(slow.id, 4)).status == "completed"

    run(test())
    assert began == ["ada", "ada"]


def test_a_plain_function_is_waited_for_because_its_thread_cannot_be_stopped(database: str) -> None:
    """Invariant 18: nobody else makes or undoes the step while the thread still works on it."""
    working, stopping = threading.Event(), threading.Event()
    began: list[str] = []
    saga = Saga("plain", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    def write(greeting: Greeting) -> Card:
        began.append(greeting.name)
        working.set()
        assert stopping.wait(10)
        return Card(greeting.name)

    assert write.name == "write"

    async def test() -> None:
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as first:
            slow = await first.start(saga, Greeting("ada"))
            while not working.is_set():
                await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.05, stopping.set)
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as second:
            assert (await second.result(slow.id, 4)).status == "completed"

    run(test())
    assert began == ["ada"]


def test_a_compensation_that_runs_is_waited_for(database: str) -> None:
    """Invariant 29: no shutdown aborts a compensation."""
    torn: list[str] = []
    saga = Saga("undone", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step
    async def write(greeting: Greeting) -> Card:
        return Card(greeting.name)

    @write.compensate
    async def tear(card: Card | None) -> None:
        torn.append("begun")
        await asyncio.sleep(0.05)
        torn.append("ended")

    @saga.step(compensation=None)
    async def post(card: Card) -> None:
        raise Refused("no stamps")

    assert post.name == "post"

    async def test() -> None:
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as first:
            undone = await first.start(saga, Greeting("ada"))
            while not torn:
                await asyncio.sleep(0)
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as second:
            assert (await second.result(undone.id, 4)).status == "failed"

    run(test())
    assert torn == ["begun", "ended"]


def test_whoever_waits_for_a_saga_is_told_that_the_process_manager_was_closed(database: str) -> None:
    saga = Saga("endless", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None, timeout=None)
    async def write(greeting: Greeting) -> None:
        await asyncio.Event().wait()

    assert write.name == "write"

    async def test() -> str:
        async with ProcessManager(database, sagas=[saga], settings=HASTY) as manager:
            endless = await manager.start(saga, Greeting("ada"))
            waiting = asyncio.create_task(endless.result())
            await asyncio.sleep(0)
        with pytest.raises(Exception, match="closed") as told:
            await waiting
        return type(told.value).__name__

    assert run(test()) == "NotRunning"
