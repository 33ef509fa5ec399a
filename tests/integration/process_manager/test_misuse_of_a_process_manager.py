"""A process manager that is opened twice, or asked before, after or from elsewhere, says so and harms nobody."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sagas.greeting import QUICK, Greeting, greet, run

from sagalog import Event, Saga
from sagalog.engine.blocking import Threads
from sagalog.errors import AlreadyRunning, NotRunning, SagalogError, StoreUnavailable
from sagalog.process_manager import ProcessManager, SagaRun
from sagalog.store import Store
from sagalog.stores import store_for
from sagalog.stores.memory.store import MemoryStore
from sagalog.transport import Receiver


class Told(Event):
    text: str


# ---------------------------------------------------------------------------------------------- opened twice


def test_a_process_manager_that_is_open_cannot_be_opened_and_goes_on(each_database: str | Store) -> None:
    saga = greet()

    async def story() -> None:
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(AlreadyRunning, match="found one that is open"):
                async with manager:
                    raise AssertionError
            with pytest.raises(AlreadyRunning):
                await asyncio.gather(manager.__aenter__(), manager.__aenter__())
            assert (await manager.execute(saga, Greeting("ada"), timeout=10)).status == "completed"

    run(story())


def test_of_two_who_open_it_at_once_one_is_refused() -> None:
    saga = greet()

    async def story() -> None:
        manager = ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK)
        found = await asyncio.gather(manager.__aenter__(), manager.__aenter__(), return_exceptions=True)
        assert [type(one).__name__ for one in found] == ["ProcessManager", "AlreadyRunning"]
        assert (await manager.execute(saga, Greeting("ada"), timeout=10)).status == "completed"
        await manager.__aexit__(None, None, None)

    run(story())


def test_one_that_was_closed_can_be_opened_again_on_another_loop(each_database: str | Store) -> None:
    saga = greet()
    manager = ProcessManager(each_database, sagas=[saga], settings=QUICK)

    async def story(name: str) -> str:
        async with manager:
            return (await manager.execute(saga, Greeting(name), timeout=10)).status

    assert [run(story("ada")), run(story("bob"))] == ["completed", "completed"]


def test_two_that_share_a_store_do_not_close_it_under_each_other(each_database: str | Store) -> None:
    saga = greet()
    store = store_for(each_database) if isinstance(each_database, str) else each_database

    async def story() -> None:
        async with ProcessManager(store, sagas=[saga], settings=QUICK) as first:
            async with ProcessManager(store, sagas=[saga], settings=QUICK) as second:
                assert (await second.execute(saga, Greeting("ada"), timeout=10)).status == "completed"
            assert (await first.execute(saga, Greeting("bob"), timeout=10)).status == "completed"

    run(story())
    if isinstance(each_database, str):
        with pytest.raises(StoreUnavailable):
            store.counts()


class BrokenTransport:
    """A transport whose broker cannot be reached, and which cannot be closed either."""

    name = "broken"

    async def open(self, receive: Receiver) -> None:
        raise ConnectionError("no broker")

    async def close(self) -> None:
        raise ConnectionError("no broker to close")

    def carries(self, envelope: Any) -> bool:
        return False

    async def send(self, envelopes: Any) -> Any:
        raise NotImplementedError


def test_what_was_begun_is_ended_if_opening_fails(tmp_path: Path) -> None:
    saga = greet()
    address = f"sqlite:///{tmp_path}/shop.db"

    async def story() -> None:
        before = set(threading.enumerate())
        transports: Any = [BrokenTransport()]
        manager = ProcessManager(address, sagas=[saga], settings=QUICK, transports=transports)
        with pytest.raises(ConnectionError):
            await manager.__aenter__()
        with pytest.raises(NotRunning):
            await manager.start(saga, Greeting("ada"))
        assert [one.name for one in set(threading.enumerate()) - before if not one.name.startswith("asyncio")] == []
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not any(name.startswith("sagalog") for name in names)
        # Its lease was given back, and nothing of it is in the way.
        async with ProcessManager(address, sagas=[saga], settings=QUICK) as other:
            assert (await other.execute(saga, Greeting("ada"), timeout=10)).status == "completed"

    run(story())


# ---------------------------------------------------------------------------------------------- before and after

Call = Callable[[ProcessManager], Awaitable[object]]

SAGA = greet()
CALLS: dict[str, Call] = {
    "start": lambda manager: manager.start(SAGA, Greeting("ada")),
    "execute": lambda manager: manager.execute(SAGA, Greeting("ada")),
    "result": lambda manager: manager.result("x"),
    "resume": lambda manager: manager.resume("x", actor="ada", reason="mended"),
    "status": lambda manager: manager.status("x"),
    "find": lambda manager: manager.find(),
    "steps": lambda manager: manager.steps("x"),
    "history": lambda manager: manager.history("x"),
    "state": lambda manager: manager.state("x"),
    "counts": lambda manager: manager.counts(),
    "publish": lambda manager: manager.publish(Told(text="x")),
    "park": lambda manager: manager.park(b"x", source="x", reason="x"),
    "unmatched": lambda manager: manager.unmatched(),
    "redeliver": lambda manager: manager.redeliver("x", actor="ada", reason="x"),
    "discard": lambda manager: manager.discard("x", actor="ada", reason="x"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_asked_of_one_that_is_not_open_is_refused(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        manager = ProcessManager(f"sqlite:///{tmp_path}/shop.db", sagas=[SAGA], settings=QUICK)
        with pytest.raises(NotRunning, match=r"is not open; use `async with manager:`"):
            await CALLS[name](manager)
        async with manager:
            pass
        with pytest.raises(NotRunning, match="was closed"):
            await CALLS[name](manager)

    run(story())


@pytest.mark.parametrize("name", CALLS)
def test_what_is_asked_from_the_event_loop_of_another_thread_is_refused_and_says_how(name: str) -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=QUICK) as manager:
            told = await asyncio.to_thread(elsewhere, lambda: CALLS[name](manager))
            assert "asyncio.run_coroutine_threadsafe(manager.start(...), loop).result()" in told
            assert "another event loop runs where it was called" in told

    run(story())


def elsewhere(call: Callable[[], Awaitable[object]]) -> str:
    """Await a call on a loop of its own and return what it raises."""

    async def called() -> None:
        await call()

    with pytest.raises(NotRunning) as told:
        asyncio.run(called())
    return str(told.value)


def test_a_run_is_not_waited_for_on_another_loop_and_can_be_by_handing_it_over() -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=QUICK) as manager:
            started: SagaRun = await manager.start(SAGA, Greeting("ada"))
            assert "run_coroutine_threadsafe" in await asyncio.to_thread(elsewhere, lambda: started.result(5))
            assert "run_coroutine_threadsafe" in await asyncio.to_thread(elsewhere, started.status)
            loop = asyncio.get_running_loop()

            def handed_over() -> str:
                return asyncio.run_coroutine_threadsafe(started.result(5), loop).result().status

            assert await asyncio.to_thread(handed_over) == "completed"

    run(story())


def test_a_call_without_an_event_loop_is_refused() -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=QUICK) as manager:

            def driven_by_hand() -> str:
                call = manager.start(SAGA, Greeting("ada"))
                with pytest.raises(NotRunning) as told:
                    call.send(None)
                return str(told.value)

            assert "no event loop runs where it was called" in await asyncio.to_thread(driven_by_hand)

    run(story())


def test_something_more_is_not_followed_from_another_thread(tmp_path: Path) -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), settings=QUICK) as manager:

            def follow() -> None:
                manager.follow(object(), {})  # type: ignore[arg-type]

            with pytest.raises(NotRunning, match="run_coroutine_threadsafe"):
                await asyncio.to_thread(follow)

    run(story())


# ---------------------------------------------------------------------------------------------- signals


def test_run_says_that_signals_come_to_the_main_thread_only() -> None:
    manager = ProcessManager(MemoryStore(), settings=QUICK)

    def outside() -> str:
        with pytest.raises(NotRunning) as told:
            asyncio.run(manager.run())
        return str(told.value)

    async def story() -> str:
        return await asyncio.to_thread(outside)

    assert "signals come to the main thread only" in run(story())


def test_run_waits_for_signals_once() -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), settings=QUICK) as manager:
            first = asyncio.create_task(manager.run())
            await asyncio.sleep(0)
            with pytest.raises(AlreadyRunning, match="waits for a signal already"):
                await manager.run()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    run(story())


# ---------------------------------------------------------------------------------------------- races at the end


def test_whoever_asks_while_it_is_being_closed_is_told_so_or_gets_the_answer() -> None:
    """No call is left waiting for a thread that has ended."""

    async def story() -> None:
        for turns in range(12):
            manager = ProcessManager(MemoryStore(), sagas=[SAGA], settings=QUICK)
            await manager.__aenter__()
            closing = asyncio.create_task(manager.__aexit__(None, None, None))
            for _ in range(turns):
                await asyncio.sleep(0)
            found = await asyncio.gather(
                manager.execute(SAGA, Greeting("ada")),
                manager.discard("x", actor="ada", reason="x"),
                manager.find(),
                return_exceptions=True,
            )
            await closing
            # In a sentence of ours, and not in what some thread or future had to say.
            assert [one for one in found if isinstance(one, BaseException) and not isinstance(one, SagalogError)] == []

    run(story())


def test_what_is_asked_of_threads_that_have_ended_is_refused_and_not_waited_for() -> None:
    """A call may have been let in just before: whoever hands it over to a thread must not wait for ever."""

    async def story() -> None:
        threads = Threads(1, 1)
        threads.close()
        for call in (threads.write, threads.renew, threads.read):
            with pytest.raises(NotRunning, match="the process manager was closed"):
                await call(int)
        with pytest.raises(NotRunning, match="the process manager was closed"):
            await threads.handler(int)

    run(story())


def test_closed_twice_at_once_it_is_closed_once_and_no_outcome_is_lost(each_database: str | Store) -> None:
    """The second went past what the first still waited for, and the step was made again when it was opened next."""
    done: list[str] = []
    saga = Saga("slow", input=str, key=lambda key: key)
    gate, begun = asyncio.Event(), asyncio.Event()

    @saga.step(compensation=None)
    async def act(key: str) -> None:
        begun.set()
        await gate.wait()
        done.append(key)

    async def test() -> str:
        manager = ProcessManager(each_database, sagas=[saga], settings=QUICK)
        await manager.__aenter__()
        await manager.start(saga, "one")
        await begun.wait()
        closing = [asyncio.ensure_future(manager.__aexit__()) for _ in range(2)]
        # Far beyond the first thing that either of them waits for.
        for _ in range(100):
            await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*closing)
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as again:
            return (await again.execute(saga, "one", timeout=15)).status

    assert (run(test()), act.name) == ("completed", "act")
    assert done == ["one"]


def test_it_is_not_closed_from_another_thread_and_goes_on() -> None:
    saga = greet()

    async def test() -> str:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(NotRunning, match="another event loop runs"):
                await asyncio.to_thread(asyncio.run, manager.__aexit__())
            return (await manager.execute(saga, Greeting("ada"))).status

    assert run(test()) == "completed"
