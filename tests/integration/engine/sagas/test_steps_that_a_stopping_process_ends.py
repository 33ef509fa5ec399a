"""What a process that stops waits for, and how often it tells it so: async steps that are cancelled may clean up."""

import asyncio
from collections.abc import Callable

import pytest
from databases.held import Hold, held
from databases.stores import store_of
from lab.inside import engine_of
from sagas.greeting import run

from sagalog import Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore

HASTY = Settings(lease=60, poll=0.01, grace=0)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


def test_a_step_beside_one_whose_outcome_is_being_written_ends_with_its_process(each_database: str | Store) -> None:
    """Invariant 35: what runs side by side is cancelled and waited for, wherever its saga is told to end."""
    ring, gone = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    def pair() -> Saga[str]:
        saga = Saga("pair", input=str, key=lambda given: given)
        with saga.parallel():

            @saga.step(compensation=None)
            async def quick(_: str) -> None:
                await ring.wait()

            @saga.step(compensation=None)
            async def long(_: str) -> None:
                runs.append("begins")
                try:
                    if runs == ["begins"]:
                        await asyncio.Event().wait()
                finally:
                    runs.append("ends")
                    gone.set()

        assert (quick.name, long.name) == ("quick", "long")
        return saga

    async def test() -> None:
        store, one = held(store_of(each_database))
        saga = pair()
        async with ProcessManager(store, sagas=[saga], settings=HASTY) as first:
            await first.start(saga, "p")
            await until(lambda: runs == ["begins"])
            hold = Hold(one, "append", after=True)
            ring.set()
            await until(hold.is_reached)
            closing = asyncio.ensure_future(first.__aexit__())
            try:
                await gone.wait()
            finally:
                hold.let_go()
            await closing
            assert runs == ["begins", "ends"]
        async with ProcessManager(each_database, sagas=[pair()], settings=HASTY) as second:
            assert (await second.result("p", 10)).status == "completed"

    run(test())
    assert runs == ["begins", "ends"] * 2


@pytest.mark.parametrize(("again", "told"), [(10.0, 1), (0.02, 2)])
def test_a_step_that_cleans_up_when_its_process_stops_is_not_told_again_at_once(
    again: float, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagalog.engine.sagas.worker.LAST_ROUND", 0.005)
    monkeypatch.setattr("sagalog.engine.calls.call.TELL_AGAIN", again)
    saga = Saga("tidy", input=str, key=lambda given: given)
    began, cancelled, go = asyncio.Event(), list[str](), asyncio.Event()

    @saga.step(compensation=None)
    async def work(given: str) -> None:
        began.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                cancelled.append(given)

    assert work.name == "work"

    async def test() -> None:
        rounds = [0]
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=HASTY) as manager:
            await manager.start(saga, "one")
            await began.wait()
            driven = engine_of(manager).worker._driven
            wait = driven.empty_within

            async def counted(seconds: float) -> None:
                rounds[0] += 1
                await wait(seconds)

            monkeypatch.setattr(driven, "empty_within", counted)
            closing = asyncio.ensure_future(manager.__aexit__())
            await until(lambda: rounds[0] > 10 and len(cancelled) >= told)
            go.set()
            await closing

    run(test())
    assert len(cancelled) == told or again < 1


def quick_saga() -> Saga[str]:
    """Declare a saga that is done at once."""
    quick = Saga("quick", input=str, key=lambda given: given)

    @quick.step(compensation=None)
    async def pass_by(given: str) -> str:
        return given

    return quick


def test_steps_side_by_side_are_not_begun_elsewhere_while_they_clean_up_here(each_database: str | Store) -> None:
    """Invariant 35: an async step that is cancelled at the end of the grace may take its time to put things right."""
    went_on, cleaning, overlaps = asyncio.Event(), set[str](), list[str]()
    quick = quick_saga()
    pair = Saga("pair", input=str, key=lambda given: given)

    async def branch(name: str) -> None:
        if cleaning:
            overlaps.append(name)
        if went_on.is_set():
            return
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.add(name)
            await went_on.wait()
            cleaning.discard(name)

    with pair.parallel():

        @pair.step(compensation=None)
        async def left(_: str) -> None:
            await branch("left")

        @pair.step(compensation=None)
        async def right(_: str) -> None:
            await branch("right")

    assert (left.name, right.name) == ("left", "right")

    async def test() -> None:
        first = ProcessManager(each_database, sagas=[quick, pair], settings=HASTY)
        second = ProcessManager(each_database, sagas=[quick, pair], settings=HASTY)
        async with first:
            one = await first.start(pair, "pair")
            await until(lambda: len(engine_of(first).worker._driven.runners[one.id]._running) == 2)
            async with second:
                closing = asyncio.ensure_future(first.__aexit__())
                await until(lambda: len(cleaning) == 2)
                for number in range(30):
                    await second.execute(quick, str(number))
                    await asyncio.sleep(0.01)
                went_on.set()
                await closing
                assert (await second.result(one.id, 10)).status == "completed"

    run(test())
    assert not overlaps
