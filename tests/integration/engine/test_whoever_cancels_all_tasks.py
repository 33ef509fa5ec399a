"""Code that cancels every task of the event loop ends no saga and no process manager: what it ended is begun anew."""

import asyncio
import threading

import pytest
from kernel.raising import QUICK, TWICE, Asked, Done, Order
from sagas.greeting import run

from sagalog import Participant, Refused, Retry, Saga
from sagalog.process_manager import ProcessManager
from sagalog.stores.memory.store import MemoryStore

ONCE = Retry(attempts=1)


SPARED = ("main",)


def name_this_main() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.set_name("main")


async def cancel_all() -> None:
    for task in asyncio.all_tasks():
        if task.get_name() not in SPARED:
            task.cancel()
    await asyncio.sleep(0)


def test_a_handler_that_cancels_every_task_has_failed_and_no_saga_is_lost() -> None:
    saga = Saga("cancels-all", input=Order, key=lambda order: order.id)
    other = Saga("bystander", input=Order, key=lambda order: order.id)
    calls: list[str] = []

    @saga.step(compensation=None, retry=TWICE)
    async def work(order: Order) -> None:
        calls.append("work")
        await asyncio.sleep(0.01)
        await cancel_all()

    @other.step(compensation=None, retry=Retry(attempts=10, delay=0.02))
    async def wait(order: Order) -> None:
        await asyncio.sleep(0.1)

    assert (work.name, wait.name) == ("work", "wait")

    async def story() -> tuple[str, str]:
        name_this_main()
        async with ProcessManager(MemoryStore(), sagas=[saga, other], settings=QUICK) as manager:
            await manager.start(other, Order(id="b"))
            await manager.start(saga, Order(id="a"))
            results = [(await manager.result(key, timeout=10)).status for key in ("a", "b")]
            return results[0], results[1]

    assert run(story()) == ("failed", "completed")
    assert calls == ["work", "work"]


def test_a_thread_is_waited_for_whoever_cancels_the_task_that_waits_for_it() -> None:
    saga = Saga("in-a-thread", input=Order, key=lambda order: order.id)
    other = Saga("cancels-all", input=Order, key=lambda order: order.id)
    working, ending = threading.Event(), threading.Event()
    calls: list[str] = []

    @saga.step(compensation=None, retry=ONCE)
    def work(order: Order) -> None:
        calls.append("work")
        working.set()
        assert ending.wait(10)

    @other.step(compensation=None, retry=ONCE)
    async def cancel(order: Order) -> None:
        while not working.is_set():
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.1, ending.set)
        await cancel_all()
        raise Refused("no")

    assert (work.name, cancel.name) == ("work", "cancel")

    async def story() -> str:
        name_this_main()
        async with ProcessManager(MemoryStore(), sagas=[saga, other], settings=QUICK) as manager:
            await manager.start(saga, Order(id="a"))
            await manager.start(other, Order(id="b"))
            return (await manager.result("a", timeout=10)).status

    assert run(story()) == "completed"
    assert calls == ["work"]


def test_what_a_process_manager_does_all_the_time_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    saga = Saga("answered", input=Order, key=lambda order: order.id)
    shop = Participant("shop")

    @saga.step(compensation=None)
    async def work(order: Order) -> None: ...

    @shop.on
    async def handle(event: Asked) -> Done:
        return Done(id=event.id)

    assert (work.name, handle.__name__) == ("work", "handle")

    async def story() -> None:
        name_this_main()
        async with ProcessManager(MemoryStore(), sagas=[saga], participants=[shop], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            await asyncio.sleep(0.02)
            await cancel_all()
            await manager.publish(Asked(id="2"))
            assert (await manager.execute(saga, Order(), timeout=5)).status == "completed"
            while [one.name for _, one in manager.store.read_messages(0, 100)].count("Done") < 2:
                await asyncio.sleep(0.001)

    run(story())
    for name in ("claim", "committer", "give-back", "renew", "router", "participants"):
        said = f"sagalog-{name} was cancelled by code that is not sagalog's, and is begun anew"
        assert caplog.messages.count(said) == 1


def test_a_participant_that_cancels_every_task_is_tried_a_few_times_and_parked() -> None:
    calls: list[str] = []
    shop = Participant("shop", retry=TWICE)

    @shop.on
    async def handle(event: Asked) -> None:
        calls.append(event.id)
        await asyncio.sleep(0)
        await cancel_all()

    assert handle.__name__ == "handle"

    async def story() -> None:
        name_this_main()
        async with ProcessManager(MemoryStore(), participants=[shop], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            async with asyncio.timeout(10):
                while not await manager.unmatched():
                    await asyncio.sleep(0.001)

    run(story())
    assert 2 <= len(calls) <= 5


def test_a_loop_that_ends_without_closing_the_process_manager_is_not_held_up() -> None:
    saga = Saga("left-open", input=Order, key=lambda order: order.id)
    cancelled: list[str] = []

    @saga.step(compensation=None, retry=Retry(attempts=100))
    async def work(order: Order) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(order.id)
            raise

    assert work.name == "work"

    async def story() -> None:
        manager = ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK)
        await manager.__aenter__()
        await manager.start(saga, Order())
        await asyncio.sleep(0.02)

    ending = threading.Thread(target=lambda: asyncio.run(story()), daemon=True)
    ending.start()
    ending.join(5)
    assert not ending.is_alive()
    assert cancelled == ["o-1"]
