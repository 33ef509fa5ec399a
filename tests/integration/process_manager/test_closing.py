"""A close that has begun goes on to its end, whoever gives up waiting for it, and whoever cancels what."""

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from sagas.greeting import run

from sagalog import Saga
from sagalog.errors import AlreadyRunning
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore

PATIENT = Settings(lease=5, poll=0.01, grace=10)
LONGEST = 15.0


class Slow:
    """A saga with a step that lasts until `go` is set, on the event loop or in a thread."""

    def __init__(self, plain: bool = False) -> None:
        self.saga = Saga("slow", input=str, key=lambda key: key)
        self.began: list[str] = []
        self.done: list[str] = []
        self.go = threading.Event()

        async def act(key: str) -> None:
            self.began.append(key)
            while not self.go.is_set():
                await asyncio.sleep(0.002)
            self.done.append(key)

        def act_plainly(key: str) -> None:
            self.began.append(key)
            assert self.go.wait(LONGEST)
            self.done.append(key)

        self.saga.step(compensation=None, name="act")(act_plainly if plain else act)

    async def opened(self, database: str | Store) -> ProcessManager:
        """Return a process manager in which the step runs."""
        manager = ProcessManager(database, sagas=[self.saga], settings=PATIENT)
        await manager.__aenter__()
        await manager.start(self.saga, "one")
        while not self.began:
            await asyncio.sleep(0.002)
        return manager

    async def status_elsewhere(self, database: str | Store) -> str:
        """Return what another process finds, which runs the saga if it can be had."""
        async with ProcessManager(database, sagas=[self.saga], settings=PATIENT) as other:
            return (await other.result("one", 10)).status


async def give_up_closing(manager: ProcessManager) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(manager.__aexit__(), 0.05)


def test_a_close_goes_on_when_whoever_waited_for_it_gives_up(each_database: str | Store) -> None:
    slow = Slow()

    async def test() -> str:
        manager = await slow.opened(each_database)
        await give_up_closing(manager)
        with pytest.raises(AlreadyRunning, match="is being closed; await its end"):
            await manager.__aenter__()
        again = asyncio.ensure_future(manager.__aexit__())
        await asyncio.sleep(0.05)
        assert not again.done()
        async with ProcessManager(each_database, sagas=[slow.saga], settings=PATIENT) as other:
            await asyncio.sleep(0.1)
            assert (await other.status("one")).owner is not None
            slow.go.set()
            await again
            assert (await other.result("one", 10)).status == "completed"
        async with manager:
            return (await manager.execute(slow.saga, "two", timeout=10)).status

    assert run(test()) == "completed"
    assert (slow.began, slow.done) == (["one", "two"], ["one", "two"])


def test_a_close_goes_on_when_every_task_is_cancelled_again_and_again(each_database: str | Store) -> None:
    """Invariant 18: a plain function is waited for; what it came to is recorded, and it is run once."""
    slow = Slow(plain=True)

    async def test() -> str:
        manager = await slow.opened(each_database)
        closing = asyncio.ensure_future(manager.__aexit__())
        await asyncio.sleep(0.02)
        for number in range(20):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.02 if number % 2 else 0)
        assert (await asyncio.gather(closing, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        async with ProcessManager(each_database, sagas=[slow.saga], settings=PATIENT) as other:
            await asyncio.sleep(0.1)
            assert (await other.status("one")).owner is not None
            assert slow.began == ["one"]
        slow.go.set()
        await manager.__aexit__()
        return await slow.status_elsewhere(each_database)

    assert run(test()) == "completed"
    assert (slow.began, slow.done) == (["one"], ["one"])


def test_a_body_that_is_cancelled_closes_in_full_and_is_cancelled_then(each_database: str | Store) -> None:
    slow = Slow()

    async def body() -> None:
        async with ProcessManager(each_database, sagas=[slow.saga], settings=PATIENT) as manager:
            await manager.start(slow.saga, "one")
            await asyncio.Event().wait()

    async def test() -> str:
        task = asyncio.ensure_future(body())
        while not slow.began:
            await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        slow.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await slow.status_elsewhere(each_database)

    assert run(test()) == "completed"
    assert slow.began == ["one"]


@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_a_loop_that_is_to_end_waits_for_the_end_of_the_close(each_database: str | Store, plain: bool) -> None:
    """`asyncio.run` cancels every task when its first one has ended, and waits for them."""
    slow = Slow(plain)

    async def story() -> None:
        manager = await slow.opened(each_database)
        threading.Timer(0.3, slow.go.set).start()
        await give_up_closing(manager)

    began = time.monotonic()
    ending = threading.Thread(target=lambda: asyncio.run(story()), daemon=True)
    ending.start()
    ending.join(LONGEST)
    assert not ending.is_alive()
    assert time.monotonic() - began < PATIENT.grace
    # Its lease is no more, so that nobody has to wait for its end.
    assert run(slow.status_elsewhere(each_database)) == "completed"
    assert slow.done == ["one"]


def test_a_close_that_is_begun_anew_closes_no_store_under_another(each_database: str | Store) -> None:
    slow = Slow(plain=True)

    async def test() -> str:
        manager = await slow.opened(each_database)
        async with ProcessManager(manager.store, sagas=[slow.saga], settings=PATIENT) as other:
            slow.go.set()
            closing = asyncio.ensure_future(manager.__aexit__())
            for _ in range(30):
                await asyncio.sleep(0.005)
                for task in asyncio.all_tasks() - {closing, asyncio.current_task()}:
                    task.cancel()
            await closing
            return (await other.execute(slow.saga, "two", timeout=10)).status

    assert run(test()) == "completed"


class Unclosable:
    """A transport that cannot be closed."""

    name = "unclosable"

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def open(self, receive: Any) -> None:
        """Receive nothing."""

    async def close(self) -> None:
        await self.go.wait()
        raise ConnectionError("no broker to close")

    def carries(self, envelope: Any) -> bool:
        return False

    async def send(self, envelopes: Any) -> Any:
        raise NotImplementedError


def test_what_goes_wrong_in_a_close_for_which_nobody_waits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        transport = Unclosable()
        transports: Any = [transport]
        manager = ProcessManager(MemoryStore(), settings=PATIENT, transports=transports)
        await manager.__aenter__()
        await give_up_closing(manager)
        transport.go.set()
        while manager._lifecycle.state != "closed":
            await asyncio.sleep(0.002)
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "sagalog"):
        run(test())
    assert (
        "the process manager was closed, and not without trouble: ConnectionError: no broker to close"
        in caplog.messages
    )
