"""Each task of the engine, cancelled by somebody else at the worst moment: what it knew is not lost with it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from databases.held import Hold, held
from databases.stores import store_of
from kernel.raising import Asked, Done, Order
from lab.inside import engine_of
from sagas.greeting import run
from sagas.parcel import parcel_saga

from sagalog import Event, Participant, Retry, Saga
from sagalog.engine.sagas.late_outcomes import LateOutcomes
from sagalog.errors import StoreUnavailable, WriteRefused
from sagalog.process_manager import ProcessManager
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import DeadlineReached
from sagalog.settings import Settings
from sagalog.store import Route, Store
from sagalog.stores.memory.store import MemoryStore

SETTINGS = Settings(poll=0.01, grace=5)
OPTIONS = SETTINGS.store_options()
AGAIN = Retry(attempts=50, delay=0.001, factor=1.0)


class First(Event):
    id: str


class Second(Event):
    id: str


def cancel(name: str) -> None:
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == name]
    task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def strangle(what: str, times: int) -> None:
    """Cancel the first tasks that run something before they have begun."""
    left = [times]

    def make(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Any:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if getattr(coroutine, "__qualname__", "") == what and left[0] > 0:
            left[0] -= 1
            task.cancel()
        return task

    asyncio.get_running_loop().set_task_factory(cast("Any", make))


def test_a_saga_whose_task_is_cancelled_before_it_begins_is_driven_all_the_same(each_database: str | Store) -> None:
    saga = Saga("driven", input=Order, key=lambda order: order.id)
    calls: list[str] = []

    @saga.step(compensation=None)
    async def work(order: Order) -> None:
        calls.append(order.id)

    assert work.name == "work"

    async def story() -> str:
        async with ProcessManager(store_of(each_database, OPTIONS), sagas=[saga], settings=SETTINGS) as manager:
            strangle("Worker._drive", 3)
            return (await manager.execute(saga, Order(), timeout=10)).status

    assert run(story()) == "completed"
    assert calls == ["o-1"]


def test_a_message_whose_task_is_cancelled_before_it_begins_is_handled(each_database: str | Store) -> None:
    shop, calls = Participant("shop"), list[str]()

    @shop.on
    async def handle(event: Asked) -> None:
        calls.append(event.id)

    assert handle.__name__ == "handle"

    async def story() -> None:
        async with ProcessManager(store_of(each_database, OPTIONS), participants=[shop], settings=SETTINGS) as manager:
            strangle("Participants._handle", 3)
            for number in ("1", "2"):
                await manager.publish(Asked(id=number), correlation_id="lane")
            await until(lambda: len(calls) == 2)

    run(story())
    assert calls == ["1", "2"]


def test_what_came_of_a_message_is_written_before_the_message_is_handled_again(each_database: str | Store) -> None:
    """The handler had ended when everything was cancelled, and nobody waits for the write of its answer any more."""
    shop, calls = Participant("shop", retry=AGAIN), list[str]()

    @shop.on
    async def handle(event: Asked) -> Done:
        calls.append(event.id)
        return Done(id=event.id)

    assert handle.__name__ == "handle"

    async def story() -> list[str]:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, participants=[shop], settings=SETTINGS) as manager:
            gate = threading.Event()

            def hold(kind: str, writes: Sequence[Any], written: bool) -> None:
                if kind == "post" and not written and any(posting.taken for posting in writes):
                    assert gate.wait(10)

            one.hook = hold
            await manager.publish(Asked(id="1"))
            await until(lambda: calls == ["1"])
            await asyncio.sleep(0.02)
            me = asyncio.current_task()
            for task in asyncio.all_tasks() - {me}:
                task.cancel()
            await asyncio.sleep(0.1)
            gate.set()
            while len(found := [envelope.name for _, envelope in store.read_messages(0, 10)]) < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            return found

    assert run(story()) == ["Asked", "Done"]
    assert calls == ["1"]


def test_a_lease_is_renewed_in_time_however_often_its_loop_is_cancelled() -> None:
    async def story() -> list[bool]:
        settings = Settings(poll=0.01, lease=0.6)
        async with ProcessManager(MemoryStore(), settings=settings) as manager:
            name, held_all_the_time = engine_of(manager).worker.worker_id, list[bool]()
            for _ in range(12):
                await asyncio.sleep(0.13)
                held_all_the_time.append(engine_of(manager).worker.holds_as(name))
                cancel("sagalog-renew")
                await asyncio.sleep(0)
            return held_all_the_time

    assert run(story()) == [True] * 12


@pytest.mark.parametrize("how", ["cancelled", "unavailable"])
def test_a_saga_that_was_taken_without_anybody_being_told_is_given_back(each_database: str | Store, how: str) -> None:
    saga = Saga("waits", input=Order, key=lambda order: order.id)
    saga.wait_for(Asked, key=lambda event: event.id, timeout=1000)

    async def story() -> None:
        store, one = held(store_of(each_database, OPTIONS))
        settings = Settings(poll=0.01, longest_wait=0.01)
        async with ProcessManager(store, sagas=[saga], settings=settings) as manager:
            saga_id = (await manager.start(saga, Order())).id

            def is_free() -> bool:
                row = store.status(saga_id)
                return row is not None and row.owner is None

            await until(is_free)
            definition = next(iter(manager.definitions.values()))
            if how == "cancelled":
                hold = Hold(one, "claim_one", after=True)
                taking = asyncio.ensure_future(engine_of(manager).worker.take(definition, saga_id))
                await until(hold.is_reached)
                taking.cancel()
                await asyncio.sleep(0)
                hold.let_go()
            else:

                def lose_the_answer(kind: str, _: Sequence[Any], written: bool) -> None:
                    if kind == "claim_one" and written:
                        raise StoreUnavailable("the answer was lost")

                one.hook = lose_the_answer
                with pytest.raises(StoreUnavailable):
                    await engine_of(manager).worker.take(definition, saga_id)
            assert not is_free()
            await until(is_free)

    run(story())


def test_what_is_set_aside_while_the_router_is_cancelled_is_waited_for_by_what_comes_later(
    each_database: str | Store,
) -> None:
    shop, calls = Participant("shop"), list[str]()

    @shop.on
    async def handle(event: Asked) -> None:
        calls.append(event.id)

    assert handle.__name__ == "handle"

    async def story() -> None:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, participants=[shop], settings=SETTINGS) as manager:
            is_aside, go, is_well = threading.Event(), threading.Event(), threading.Event()

            def trouble(kind: str, writes: Sequence[Any], written: bool) -> None:
                if kind != "route":
                    return
                (route,) = writes
                assert isinstance(route, Route)
                if not written and not is_well.is_set() and any(row.message_id == "1" for row in route.inbox):
                    raise WriteRefused("not this row")
                if written and any(row.message_id == "1" for row in route.parked) and not is_aside.is_set():
                    is_aside.set()
                    assert go.wait(10)

            one.hook = trouble
            await manager.publish(Asked(id="1"), id="1", correlation_id="lane")
            await until(is_aside.is_set)
            cancel("sagalog-router")
            await asyncio.sleep(0)
            go.set()
            await manager.publish(Asked(id="2"), id="2", correlation_id="lane")
            await manager.publish(Asked(id="3"), id="3", correlation_id="another")
            await until(lambda: "3" in calls)
            is_well.set()
            await until(lambda: len(calls) == 3)

    run(story())
    assert calls == ["3", "1", "2"]


def test_a_message_that_a_cancelled_router_has_written_comes_before_the_next(each_database: str | Store) -> None:
    saga = Saga("waits", input=Order, key=lambda order: order.id)
    saga.wait_for(First, key=lambda event: event.id, timeout=1000)
    saga.wait_for(Second, key=lambda event: event.id, timeout=1000)

    async def story() -> list[str]:
        store, one = held(store_of(each_database, OPTIONS))
        one.without_hints()
        settings = Settings(poll=5, longest_wait=100)
        async with ProcessManager(store, sagas=[saga], settings=settings) as manager:
            started = await manager.start(saga, Order())
            await until(lambda: engine_of(manager).worker.drives(started.id))
            await asyncio.sleep(0.02)
            hold = Hold(one, "route", after=True)
            await manager.publish(Second(id="o-1"), id="m-2")
            await until(hold.is_reached)
            cancel("sagalog-router")
            await asyncio.sleep(0)
            hold.let_go()
            await manager.publish(First(id="o-1"), id="m-1")
            assert (await started.result(10)).status == "completed"
            events = [event.state for event in store.read(started.id)]
            found = [[name for name in ("m-1", "m-2") if f'"{name}"'.encode() in state] for state in events]
            return [name for names in found for name in names]

    told = run(story())
    assert told.index("m-2") < told.index("m-1")


def test_whoever_is_asked_for_is_asked_for_again_when_the_asking_was_cancelled() -> None:
    asked: list[str] = []

    async def story() -> None:
        late: LateOutcomes

        async def take(_: Definition, saga_id: str) -> bool:
            asked.append(saga_id)
            if len(asked) < 5:
                await asyncio.sleep(0.005)
                return False
            late.pop(saga_id)
            return True

        async def record(*_: object) -> bool:
            return False

        late = LateOutcomes(take, record, record, 1_000)
        late.keep(parcel_saga().definition, "odd", [DeadlineReached()])
        for number in range(1, 5):
            await until(lambda number=number: len(asked) >= number)  # type: ignore[misc]
            cancel("sagalog-late-odd")
            await asyncio.sleep(0)
        await until(lambda: len(asked) == 5)
        await late.stop(1)

    run(story())


def test_what_is_kept_at_the_moment_at_which_the_asking_ends_is_asked_for() -> None:
    asked: list[str] = []

    async def story() -> None:
        late: LateOutcomes
        definition = parcel_saga().definition

        async def take(_: Definition, saga_id: str) -> bool:
            asked.append(saga_id)
            late.pop(saga_id)
            if len(asked) == 1:
                asyncio.get_running_loop().call_soon(lambda: late.keep(definition, saga_id, [DeadlineReached()]))
            return True

        async def record(*_: object) -> bool:
            return False

        late = LateOutcomes(take, record, record, 1_000)
        late.keep(definition, "odd", [DeadlineReached()])
        await until(lambda: len(asked) == 2)
        await late.stop(1)

    run(story())


def test_whoever_starts_a_saga_when_everything_was_written_is_told_that_it_is_closed() -> None:
    saga = Saga("late", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None)
    async def work(order: Order) -> None: ...

    assert work.name == "work"

    async def story() -> None:
        manager = ProcessManager(MemoryStore(), sagas=[saga], settings=SETTINGS)
        await manager.__aenter__()
        outside_inputs, definition = engine_of(manager).outside_inputs, next(iter(manager.definitions.values()))
        await manager.__aexit__()
        with pytest.raises(StoreUnavailable, match="closed before"):
            await outside_inputs.start(definition, Order(), "late", None, None)

    run(story())
