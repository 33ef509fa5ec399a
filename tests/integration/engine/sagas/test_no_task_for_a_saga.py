"""A saga that waits for nothing but its writes takes no task, no thread and no timer; only what waits does."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from databases.troubled import Troubled
from msgspec import Struct

from sagalog import Saga
from sagalog.engine.backoff import Pauses
from sagalog.engine.sagas import refusals
from sagalog.errors import WriteRefused
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Append

SAGAS = 50


class Order(Struct):
    order_id: str


class Counting:
    """Counts what is asked of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tasks: Counter[str] = Counter()
        self.timers: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.is_over = False
        loop.set_task_factory(cast("Any", self._task))
        for name, counter in (("call_at", self.timers), ("call_soon", self.calls)):
            setattr(loop, name, self._counted(getattr(loop, name), counter, 1 if name == "call_at" else 0))

    def _task(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        if not self.is_over:
            self.tasks[getattr(coro, "__qualname__", "")] += 1
        return asyncio.Task(coro, loop=loop, **options)

    def _counted(self, call: Any, counter: Counter[str], place: int) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            if not self.is_over:
                counter[getattr(arguments[place], "__qualname__", "")] += 1
            return call(*arguments, **options)

        return counted


def ran(saga: Saga[Order], folder: Path) -> Counting:
    """Run sagas at once, and return what they asked of the event loop."""

    async def test() -> Counting:
        async with ProcessManager(f"sqlite:///{folder}/sagas.db", sagas=[saga]) as manager:
            await manager.execute(saga, Order("warm"))
            counting = Counting(asyncio.get_running_loop())
            results = await asyncio.gather(*(manager.execute(saga, Order(f"o{n}")) for n in range(SAGAS)))
            counting.is_over = True
            assert [one.status for one in results] == ["completed"] * SAGAS
            return counting

    return asyncio.run(test())


def test_handlers_that_never_wait_cost_no_task_and_no_timer(tmp_path: Path) -> None:
    saga = Saga("quick", input=Order, key=lambda order: order.order_id)

    @saga.step(compensation=None)
    async def first(order: Order) -> str:
        return order.order_id

    @saga.step(compensation=None)
    async def second(order: Order) -> str:
        return order.order_id

    counting = ran(saga, tmp_path)
    assert (first.name, second.name) == ("first", "second")
    assert counting.tasks["ProcessManager.execute"] + counting.tasks["Execution.execute"] == SAGAS
    # Only the loops of the engine, which look from time to time, and what the test itself has asked for.
    assert sum(counting.tasks.values()) < SAGAS + 20, counting.tasks
    assert sum(counting.timers.values()) < SAGAS / 2, counting.timers
    # Four for the caller of each saga: its task, its start, its result, its end.
    assert sum(counting.calls.values()) < 6 * SAGAS + 100, counting.calls


def test_handlers_that_wait_have_a_task_each_and_nothing_else_has(tmp_path: Path) -> None:
    saga = Saga("waiting", input=Order, key=lambda order: order.order_id)

    @saga.step(timeout=60, compensation=None)
    async def first(order: Order) -> str:
        await asyncio.sleep(0)
        return order.order_id

    counting = ran(saga, tmp_path)
    assert first.name == "first"
    # The task of a handler is made directly; nothing else is made for one.
    assert sum(counting.tasks.values()) < SAGAS + 20, counting.tasks
    assert counting.timers["OwnTask._tell"] == SAGAS


def test_a_refused_decision_is_insisted_on_in_a_task_that_ends_with_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pauses are up to a minute, so it would be there when the event loop is closed."""
    monkeypatch.setattr(refusals, "PAUSES", Pauses(60.0, 60.0))
    store, saga = Troubled(), Saga("refused", input=Order, key=lambda order: order.order_id)
    runs: list[str] = []

    @saga.step(compensation=None)
    async def only(order: Order) -> str:
        runs.append(order.order_id)
        return order.order_id

    def trouble(appends: Sequence[Append]) -> None:
        if any(one.expected for one in appends):
            raise WriteRefused("nothing goes on here")

    def insisting() -> list[asyncio.Task[Any]]:
        tasks = [task for task in asyncio.all_tasks() if "Refusals" in getattr(task.get_coro(), "__qualname__", "")]
        return [task for task in tasks if not task.done()]

    async def test() -> None:
        store.trouble = trouble
        async with ProcessManager(store, sagas=[saga], settings=Settings(grace=0, poll=0.01)) as manager:
            await manager.start(saga, Order("o1"))
            while not insisting():
                await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        assert insisting() == []

    asyncio.run(test())
    assert (only.name, runs) == ("only", ["o1"])
