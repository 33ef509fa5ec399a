"""Whoever cancels what writes for a whole process, wherever it waits, loses no write and no answer."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from databases.held import Hold, held, pass_by
from databases.stores import store_of
from kernel.raising import Asked, Order
from sagas.greeting import run

from sagalog import Saga
from sagalog.errors import StoreUnavailable, WriteRefused
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Append, Store

SETTINGS = Settings(poll=0.01, grace=5, write_timeout=5)
OPTIONS = SETTINGS.store_options()
HURRIED = Settings(poll=0.01, grace=5, write_timeout=0.3)


def counted() -> tuple[Saga[Order], list[str]]:
    """Return a saga of one step, and the ids of the orders that the step was run for."""
    saga = Saga("counted", input=Order, key=lambda order: order.id)
    calls: list[str] = []

    @saga.step(compensation=None)
    async def work(order: Order) -> None:
        calls.append(order.id)

    assert work.name == "work"
    return saga, calls


def cancel_the_committer() -> None:
    for task in asyncio.all_tasks():
        if task.get_name() == "sagalog-committer":
            task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_one_that_is_cancelled_while_nothing_is_to_be_written_writes_what_comes(each_database: str | Store) -> None:
    saga, calls = counted()

    async def story() -> str:
        async with ProcessManager(store_of(each_database, OPTIONS), sagas=[saga], settings=SETTINGS) as manager:
            await asyncio.sleep(0.01)
            cancel_the_committer()
            return (await manager.execute(saga, Order())).status

    assert run(story()) == "completed"
    assert calls == ["o-1"]


def test_one_that_is_cancelled_before_it_has_begun_begins(each_database: str | Store) -> None:
    saga, _ = counted()

    async def story() -> str:
        manager = ProcessManager(store_of(each_database, OPTIONS), sagas=[saga], settings=SETTINGS, worker=False)
        begun = asyncio.get_running_loop().create_task(manager.__aenter__())
        await until(lambda: any(one.get_name() == "sagalog-committer" for one in asyncio.all_tasks()) or begun.done())
        cancel_the_committer()
        await begun
        created = (await manager.start(saga, Order())).created
        await manager.__aexit__()
        return str(created)

    assert run(story()) == "True"


@pytest.mark.parametrize("after", [False, True], ids=["before it has landed", "after it has landed"])
def test_a_write_that_is_under_way_is_known_by_its_outcome(each_database: str | Store, after: bool) -> None:
    """Whether or not it lands behind the committer's back, it is written once, and whoever waits is told so."""
    saga, calls = counted()

    async def story() -> list[tuple[bool, str]]:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, sagas=[saga], settings=SETTINGS) as manager:
            hold = Hold(one, "append", after)
            starting = asyncio.ensure_future(manager.start(saga, Order("1")))
            await until(hold.is_reached)
            cancel_the_committer()
            later = asyncio.ensure_future(manager.start(saga, Order("2")))
            await asyncio.sleep(0.01)
            hold.let_go()
            runs = [await starting, await later]
            return [(one.created, (await one.result(10)).status) for one in runs]

    assert run(story()) == [(True, "completed")] * 2
    assert sorted(calls) == ["1", "2"]


@pytest.mark.parametrize("after", [False, True], ids=["before it has landed", "after it has landed"])
def test_messages_keep_their_order_and_come_once(each_database: str | Store, after: bool) -> None:
    async def story() -> list[str]:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, settings=SETTINGS) as manager:
            hold = Hold(one, "post", after)
            publishing = [asyncio.ensure_future(manager.publish(Asked(id="1"), id="1"))]
            await until(hold.is_reached)
            publishing += [asyncio.ensure_future(manager.publish(Asked(id=n), id=n)) for n in ("2", "3")]
            await asyncio.sleep(0.01)
            cancel_the_committer()
            await asyncio.sleep(0.01)
            hold.let_go()
            await asyncio.gather(*publishing)
            return [envelope.id for _, envelope in manager.store.read_messages(0, 100)]

    assert run(story()) == ["1", "2", "3"]


def test_one_that_is_cancelled_while_it_backs_off_goes_on_when_the_store_is_back(each_database: str | Store) -> None:
    saga, calls = counted()

    async def story() -> str:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, sagas=[saga], settings=HURRIED) as manager:
            tried: list[str] = []

            def away(kind: str, *_: Any) -> None:
                tried.append(kind)
                raise StoreUnavailable("gone")

            one.hook = away
            starting = asyncio.ensure_future(manager.start(saga, Order()))
            for number in range(3):
                await until(lambda number=number: len(tried) > number)  # type: ignore[misc]
                await asyncio.sleep(0.005)
                cancel_the_committer()
            # Those who do not wait for ever are told all the while.
            with pytest.raises(StoreUnavailable, match="nobody knows yet"):
                await starting
            one.hook = pass_by
            await until(lambda: "o-1" in calls)
            return (await manager.execute(saga, Order())).status

    assert run(story()) == "completed"
    assert calls == ["o-1"]


def test_what_rests_when_it_is_cancelled_is_tried_again(each_database: str | Store) -> None:
    saga, calls = counted()

    async def story() -> list[str]:
        store, one = held(store_of(each_database, OPTIONS))
        async with ProcessManager(store, sagas=[saga], settings=SETTINGS) as manager:
            refused: list[str] = []

            def refuse(kind: str, writes: Sequence[Any], written: bool) -> None:
                odd = [it for it in writes if isinstance(it, Append) and it.status.saga_key == "odd"]
                if odd and not written and len(refused) < 2:
                    refused.append(kind)
                    raise WriteRefused("not yet")

            one.hook = refuse
            starting = asyncio.ensure_future(manager.start(saga, Order("odd")))
            await until(lambda: len(refused) == 1)
            await asyncio.sleep(0.005)
            cancel_the_committer()
            other = await manager.start(saga, Order("even"))
            return [(await it.result(10)).status for it in (other, await starting)]

    assert run(story()) == ["completed"] * 2
    assert sorted(calls) == ["even", "odd"]


@pytest.mark.parametrize("closer_too", [False, True], ids=["it alone", "whoever closes too"])
@pytest.mark.parametrize("after", [False, True], ids=["before it has landed", "after it has landed"])
def test_what_is_queued_is_written_before_it_is_closed(
    each_database: str | Store, after: bool, closer_too: bool
) -> None:
    saga, _ = counted()

    async def story() -> list[bool]:
        store, one = held(store_of(each_database, OPTIONS))
        manager = ProcessManager(store, sagas=[saga], settings=SETTINGS, worker=False)
        await manager.__aenter__()
        hold = Hold(one, "append", after)
        starting = [asyncio.ensure_future(manager.start(saga, Order("1")))]
        await until(hold.is_reached)
        starting += [asyncio.ensure_future(manager.start(saga, Order("2")))]
        await asyncio.sleep(0.01)
        closing = asyncio.ensure_future(manager.__aexit__())
        await asyncio.sleep(0.01)
        cancel_the_committer()
        if closer_too:
            closing.cancel()
        await asyncio.sleep(0.01)
        hold.let_go()
        created = [(await one).created for one in starting]
        await asyncio.wait({closing})
        assert closing.cancelled() == closer_too
        return created

    assert run(story()) == [True, True]

    async def look() -> set[str]:
        async with ProcessManager(store_of(each_database, OPTIONS), settings=SETTINGS, worker=False) as manager:
            return {row.saga_key for row in await manager.find()}

    assert run(look()) == {"1", "2"}


def test_one_that_is_cancelled_all_the_time_writes_all_the_same(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    saga, calls = counted()
    keys = [str(number) for number in range(60)]

    async def story() -> set[str]:
        async with ProcessManager(store_of(each_database, OPTIONS), sagas=[saga], settings=SETTINGS) as manager:

            async def strike() -> None:
                while True:
                    await asyncio.sleep(0.07)
                    cancel_the_committer()

            striking = asyncio.ensure_future(strike())
            found: set[str] = set()
            for some in (keys[:20], keys[20:40], keys[40:]):
                runs = await asyncio.gather(*(manager.start(saga, Order(key)) for key in some))
                assert all(one.created for one in runs)
                found |= {(await one.result(10)).status for one in runs}
                await asyncio.sleep(0.1)
            striking.cancel()
            return found

    assert run(story()) == {"completed"}
    assert sorted(calls) == sorted(keys)
    assert "sagalog-committer was cancelled by code that is not sagalog's, and is begun anew" in caplog.messages
