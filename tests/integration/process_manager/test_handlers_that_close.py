"""A handler that closes or runs the process manager that called it is refused: it would wait for itself for ever."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from followed.bookshop import Order, bookshop
from sagas.greeting import QUICK, run

from sagalog import Event, Participant, Refused, Saga
from sagalog.errors import AlreadyRunning, InvalidAction
from sagalog.process_manager import ProcessManager
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore


class Told(Event):
    name: str


class Closer:
    """Code in a handler that closes its process manager; `said` is what it was told."""

    def __init__(self, how: str = "closed") -> None:
        self.how = how
        self.said: list[str] = []
        self.manager: ProcessManager
        self.loop: asyncio.AbstractEventLoop
        self.tasks: list[asyncio.Task[None]] = []

    async def here(self) -> None:
        """Close it on its event loop."""
        try:
            await (self.manager.__aexit__() if self.how == "closed" else self.manager.run())
        except InvalidAction as problem:
            self.said.append(str(problem))

    async def in_a_task(self) -> None:
        """Close it in a task of the handler's own."""
        await asyncio.get_running_loop().create_task(self.here())

    def from_a_thread(self) -> None:
        """Close it from the thread of a plain function."""
        asyncio.run_coroutine_threadsafe(self.here(), self.loop).result(10)

    def later(self, *_: object) -> bool:
        """Close it from a function that is asked on the event loop, and goes on."""
        self.tasks.append(self.loop.create_task(self.here()))
        return True


def of_a_step(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    @saga.step(compensation=None)
    async def act(_: str) -> None:
        await closer.here()

    assert act.name == "act"
    return {"sagas": [saga]}


def of_a_task_of_a_step(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    @saga.step(compensation=None)
    async def act(_: str) -> None:
        await asyncio.sleep(0)
        await closer.in_a_task()

    assert act.name == "act"
    return {"sagas": [saga]}


def of_a_plain_step(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    @saga.step(compensation=None)
    def act(_: str) -> None:
        closer.from_a_thread()

    assert act.name == "act"
    return {"sagas": [saga]}


def of_one_of_several_steps(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    @saga.step(compensation=None, for_each=lambda _: ["a", "b"])
    def act(_: str) -> None:
        closer.from_a_thread()

    assert act.name == "act"
    return {"sagas": [saga]}


def of_a_compensation(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    @saga.step
    async def act(_: str) -> None: ...

    @act.compensate
    async def undo(_: None) -> None:
        await closer.here()

    @saga.step(compensation=None)
    async def refuse(_: str) -> None:
        raise Refused("no")

    assert refuse.name == "refuse"
    return {"sagas": [saga]}


def of_a_condition(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)
    # Asked where the saga begins: by whoever starts it, or where messages are routed.
    saga.started_by(Told, input=lambda event: event.name, key=lambda event: event.name)

    @saga.step(compensation=None, when=closer.later)
    async def act(_: str) -> None: ...

    assert act.name == "act"
    return {"sagas": [saga]}


def of_a_key(closer: Closer) -> dict[str, Any]:
    saga = Saga("s", input=str, key=lambda key: key)

    def key(event: Told) -> str:
        closer.later()
        return event.name

    saga.started_by(Told, input=lambda event: event.name, key=key)

    @saga.step(compensation=None)
    async def act(_: str) -> None: ...

    assert act.name == "act"
    return {"sagas": [saga]}


def of_a_participant(closer: Closer) -> dict[str, Any]:
    desk = Participant("desk")

    @desk.on
    async def hear(_: Told) -> None:
        await closer.here()

    assert hear.__name__ == "hear"
    return {"participants": [desk]}


def of_a_plain_participant(closer: Closer) -> dict[str, Any]:
    desk = Participant("desk")

    @desk.on
    def hear(_: Told) -> None:
        closer.from_a_thread()

    assert hear.__name__ == "hear"
    return {"participants": [desk]}


EACH = [
    of_a_step,
    of_a_task_of_a_step,
    of_a_plain_step,
    of_one_of_several_steps,
    of_a_compensation,
    of_a_condition,
    of_a_key,
    of_a_participant,
    of_a_plain_participant,
]


async def refused(closer: Closer) -> str:
    """Return what a closer was told, once it has been."""
    while not closer.said:
        await asyncio.sleep(0.005)
    await asyncio.gather(*closer.tasks)
    return closer.said[0]


@pytest.mark.parametrize("of", EACH)
@pytest.mark.parametrize("how", ["closed", "run"])
def test_no_handler_waits_for_the_end_of_its_own_process_manager(
    of: Callable[[Closer], dict[str, Any]], how: str
) -> None:
    closer = Closer(how)

    async def test() -> str:
        declared = of(closer)
        manager = closer.manager = ProcessManager(MemoryStore(), settings=QUICK, **declared)
        closer.loop = asyncio.get_running_loop()
        async with manager:
            await manager.publish(Told(name="t"))
            if of not in (of_a_condition, of_a_key):
                for saga in declared.get("sagas", ()):
                    await manager.start(saga, "a")
            return await refused(closer)

    said = run(test())
    assert f"cannot be {how} by one of its own handlers" in said
    assert "let the handler tell whoever opened it, by an asyncio.Event" in said


def test_a_function_that_translates_what_is_followed_is_refused_too(each_database: str | Store) -> None:
    closer = Closer()

    def placed(_: Order.Placed) -> None:
        closer.from_a_thread()

    async def test() -> str:
        manager = closer.manager = ProcessManager(each_database, settings=QUICK)
        closer.loop = asyncio.get_running_loop()
        manager.follow(shop, {Order.Placed: placed})
        async with manager:
            return await refused(closer)

    with bookshop("popo") as shop:
        shop.place(1)
        assert "cannot be closed by one of its own handlers" in run(test())


def test_a_handler_that_closed_its_process_manager_has_failed_and_everything_goes_on(
    each_database: str | Store,
) -> None:
    saga = Saga("s", input=str, key=lambda key: key)
    managers: list[ProcessManager] = []

    @saga.step(compensation=None)
    async def act(key: str) -> None:
        if key == "closes":
            await managers[0].__aexit__()

    async def test() -> tuple[str, str]:
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            managers.append(manager)
            result = await manager.execute(saga, "closes", timeout=15)
            return result.status, (await manager.execute(saga, "other", timeout=10)).status

    assert (run(test()), act.name) == (("failed", "completed"), "act")


def test_a_handler_may_open_and_close_another_process_manager(each_database: str | Store) -> None:
    saga, inner = Saga("outer", input=str, key=lambda key: key), Saga("inner", input=str, key=lambda key: key)

    @inner.step(compensation=None)
    async def act(key: str) -> str:
        return key

    @saga.step(compensation=None)
    async def ask(key: str) -> str:
        async with ProcessManager(MemoryStore(), sagas=[inner], settings=QUICK) as other:
            return (await other.execute(inner, key, timeout=10)).status

    async def test() -> str:
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            return (await manager.execute(saga, "a", timeout=10)).status

    assert (run(test()), act.name, ask.name) == ("completed", "act", "ask")


def test_a_handler_tells_whoever_opened_its_process_manager_who_closes_it(each_database: str | Store) -> None:
    """What the sentence says works."""
    saga = Saga("s", input=str, key=lambda key: key)

    async def test() -> str:
        enough = asyncio.Event()

        @saga.step(compensation=None)
        async def act(key: str) -> str:
            enough.set()
            return key

        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(AlreadyRunning):
                await manager.__aenter__()
            run = await manager.start(saga, "a")
            await enough.wait()
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as other:
            assert act.name == "act"
            return (await other.result(run.id, 10)).status

    assert run(test()) == "completed"
