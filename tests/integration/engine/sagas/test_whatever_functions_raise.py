"""Whatever the user's functions of a declaration raise, its saga is stuck, its event parked, its caller told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kernel.raising import QUICK, RAISED, Asked, Done, Mute, Order, raiser
from sagas.greeting import run

from sagalog import Choreography, Event, Saga
from sagalog.errors import InvalidInput
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.store import UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore

NO_KEYS: dict[str, str] = {}
FUNCTIONS = ["StopIteration", "GeneratorExit", "SystemExit", "a panic", "a group of panics", "no text"]


@pytest.mark.parametrize("what", FUNCTIONS)
@pytest.mark.parametrize("where", ["when", "for_each", "child", "truth"])
def test_a_saga_is_stuck_with_its_reason_whatever_a_function_of_its_declaration_raises(what: str, where: str) -> None:
    """Invariant 12."""
    raising = raiser(what, is_async=False)

    class Truthless:
        def __bool__(self) -> bool:
            raising()
            return True

    saga: Saga[Order] = Saga("asking", input=Order, key=lambda order: order.id)
    child: Saga[Order] = Saga("child", input=Order)
    child.sleep(1)
    if where == "for_each":

        @saga.step(compensation=None, for_each=lambda order: raising() or [1])
        async def each(number: int) -> None: ...

        assert each.name == "each"
    elif where == "child":
        saga.child(child, input=lambda order: raising() or order)
    else:
        condition: Any = Truthless() if where == "truth" else None

        @saga.step(compensation=None, when=lambda order: condition or raising())
        async def maybe(order: Order) -> None: ...

        assert maybe.name == "maybe"

    async def story() -> SagaResult:
        async with ProcessManager(MemoryStore(), sagas=[saga, child], settings=QUICK) as manager:
            return await manager.execute(saga, Order(), timeout=10)

    result = run(story())
    assert result.status == "stuck"
    assert result.error is not None
    assert (result.error.kind, result.error.type) == ("fault", RAISED[what][2])


@pytest.mark.parametrize("what", [*FUNCTIONS, "StopAsyncIteration", "CancelledError"])
def test_whoever_starts_a_saga_is_told_which_function_raised_what_would_end_their_own_code(what: str) -> None:
    raising = raiser(what, is_async=False)
    saga = Saga("asking", input=Order, key=lambda order: raising() or "never")
    saga.sleep(1)

    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK, redact=lambda text: "***") as manager:
            for ask in (manager.start, manager.execute):
                with pytest.raises(InvalidInput if what != "no text" else Mute) as caught:
                    await ask(saga, Order())
                if what != "no text":
                    text = str(caught.value)
                    assert text.startswith(f"key= of saga asking raised {RAISED[what][2]}")
                    assert "lost" not in text
            assert await manager.counts() == {}

    run(story())


def test_whoever_starts_a_saga_gets_the_exception_that_its_function_raised() -> None:
    saga = Saga("asking", input=Order, key=lambda order: NO_KEYS[order.id])
    saga.sleep(1)

    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(KeyError, match="o-1"):
                await manager.start(saga, Order())

    run(story())


@pytest.mark.parametrize("what", FUNCTIONS)
@pytest.mark.parametrize("where", ["key", "input"])
def test_an_event_is_parked_with_its_reason_whatever_a_function_of_a_start_raises(what: str, where: str) -> None:
    raising = raiser(what, is_async=False)
    saga = Saga("started", input=Order)

    @saga.step(compensation=None)
    async def work(order: Order) -> None: ...

    assert work.name == "work"
    saga.started_by(
        Asked,
        input=lambda event: (raising() if where == "input" else None) or Order(event.id),
        key=lambda event: (raising() if where == "key" else None) or event.id,
    )

    async def story() -> str:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            while not (found := await manager.unmatched(UnmatchedQuery())):
                await asyncio.sleep(0)
            return found[0].reason

    assert f"saga started could not be started by Asked: {RAISED[what][2]}" in run(story())


@pytest.mark.parametrize("what", FUNCTIONS)
def test_an_event_is_parked_with_its_reason_whatever_the_key_of_a_wait_raises(what: str) -> None:
    raising = raiser(what, is_async=False)
    saga = Saga("waiting", input=Order)
    saga.wait_for(Asked, key=lambda event: raising() or event.id)

    async def story() -> str:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            while not (found := await manager.unmatched(UnmatchedQuery())):
                await asyncio.sleep(0)
            return found[0].reason

    assert f"the key of saga waiting could not be found in Asked: {RAISED[what][2]}" in run(story())


class Moody(Event):
    """An event whose class is in a good mood while it is published, and not when it is read."""

    id: str

    def __post_init__(self) -> None:
        if mood:
            mood[0]()


mood: list[Callable[[], object]] = []


@pytest.mark.parametrize("what", FUNCTIONS)
def test_an_event_is_parked_with_its_reason_whatever_its_class_raises_when_a_choreography_reads_it(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Choreography("moods", key="id", starts_with=Moody, completes_with=Done, observed=True)
    store = MemoryStore()

    async def story() -> str:
        async with ProcessManager(store, choreographies=[contract], settings=QUICK, worker=False) as client:
            await client.publish(Moody(id="1"))
            monkeypatch.setitem(globals(), "mood", [raiser(what, is_async=False)])
            async with ProcessManager(store, choreographies=[contract], settings=QUICK):
                while not (found := await client.unmatched(UnmatchedQuery())):
                    await asyncio.sleep(0)
                return found[0].reason

    assert "the key of choreography moods could not be found in Moody: " in run(story())
