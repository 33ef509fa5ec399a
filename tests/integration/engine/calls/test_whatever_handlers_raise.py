"""Whatever a handler raises, an attempt ends, its outcome is recorded, and the process manager can be closed."""

import asyncio

import pytest
from kernel.raising import QUICK, RAISED, TWICE, Asked, Do, Done, Order, raiser
from sagas.greeting import run

from sagalog import Participant, Refused, Retry, Saga
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore


def failing(what: str, is_async: bool, waits: bool = False) -> Saga[Order]:
    raising = raiser(what, is_async, waits)
    saga = Saga("failing", input=Order, key=lambda order: order.id, timeout=3600)
    if is_async:

        @saga.step(compensation=None, retry=TWICE)
        async def work(order: Order) -> None:
            await raising()

    else:

        @saga.step(compensation=None, retry=TWICE, name="work")
        def work_in_a_thread(order: Order) -> None:
            raising()

    assert "work" in saga.definition.steps
    return saga


async def executed(database: str | Store, saga: Saga[Order]) -> SagaResult:
    async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
        return await manager.execute(saga, Order(), timeout=10)


WAYS = [
    pytest.param(False, False, id="plain"),
    pytest.param(True, False, id="async"),
    pytest.param(True, True, id="late"),
]


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize(("is_async", "waits"), WAYS)
def test_an_attempt_ends_whatever_its_handler_raises(what: str, is_async: bool, waits: bool) -> None:
    result = run(executed(MemoryStore(), failing(what, is_async, waits)))
    _, kind, name = RAISED[what]
    assert result.status == ("stuck" if kind == "fault" else "failed")
    assert result.error is not None
    assert (result.error.kind, result.error.step) == (kind, "work")
    # A coroutine cannot raise it: what Python puts in its place says which it was.
    assert result.error.type == name


@pytest.mark.parametrize("what", ["StopIteration", "a panic", "NUL and surrogates"])
def test_every_store_keeps_what_such_a_handler_raised(each_database: str | Store, what: str) -> None:
    async def story() -> None:
        saga = failing(what, is_async=False)
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            assert (await manager.execute(saga, Order(), timeout=10)).status == "failed"
            (row,) = await manager.find(statuses=("failed",))
            assert row.error_type == RAISED[what][2]

    run(story())


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_sibling_did_is_recorded_and_undone_whatever_is_raised_beside_it(what: str, is_async: bool) -> None:
    """Invariant 18."""
    raising = raiser(what, is_async)
    kind = RAISED[what][1]
    done: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []
    began, failed = asyncio.Event(), asyncio.Event()
    saga = Saga("beside", input=Order, key=lambda order: order.id)
    with saga.parallel():

        @saga.step
        async def good(order: Order) -> int:
            began.set()
            await failed.wait()
            done.append("good")
            return 1

        @good.compensate
        async def undo_good(_: int | None) -> None:
            done.append("undo good")

        if is_async:

            @saga.step(compensation=None, retry=Retry(attempts=1))
            async def bad(order: Order) -> None:
                await began.wait()
                failed.set()
                await raising()

        else:

            @saga.step(compensation=None, retry=Retry(attempts=1), name="bad")
            def bad_in_a_thread(order: Order) -> None:
                loops[0].call_soon_threadsafe(failed.set)
                raising()

    assert "bad" in saga.definition.steps

    async def story() -> str:
        loops.append(asyncio.get_running_loop())
        return (await executed(MemoryStore(), saga)).status

    status = run(story())
    assert (status, done) == (("stuck", ["good"]) if kind == "fault" else ("failed", ["good", "undo good"]))


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_compensation_is_tried_again_and_then_stuck_whatever_it_raises(what: str, is_async: bool) -> None:
    """Invariants 24 and 26."""
    raising = raiser(what, is_async)
    saga = Saga("undoing", input=Order, key=lambda order: order.id)

    @saga.step
    async def good(order: Order) -> int:
        return 1

    if is_async:

        @good.compensate(retry=TWICE)
        async def undo(_: int | None) -> None:
            await raising()

    else:

        @good.compensate(retry=TWICE)
        def undo_in_a_thread(_: int | None) -> None:
            raising()

    @saga.step(compensation=None)
    async def refuse(order: Order) -> None:
        raise Refused("no")

    assert refuse.name == "refuse"
    result = run(executed(MemoryStore(), saga))
    assert result.status == "stuck"
    assert result.error is not None
    assert (result.error.type, result.error.kind, result.error.step) == (RAISED[what][2], RAISED[what][1], "good")


# ---------------------------------------------------------------------------------------------- participants


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_participants_handler_is_tried_as_its_policy_says_and_parked_whatever_it_raises(
    what: str, is_async: bool
) -> None:
    raising = raiser(what, is_async)
    calls: list[str] = []
    shop = Participant("shop", retry=TWICE)
    if is_async:

        @shop.on
        async def handle(event: Asked) -> Done:
            calls.append(event.id)
            await raising()
            return Done(id=event.id)

    else:

        @shop.on(name="handle")
        def handle_in_a_thread(event: Asked) -> Done:
            calls.append(event.id)
            raising()
            return Done(id=event.id)

    assert shop.definition.handlers

    async def story() -> str:
        async with ProcessManager(MemoryStore(), participants=[shop], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            while not (found := await manager.unmatched(UnmatchedQuery())):
                await asyncio.sleep(0)
            return found[0].reason

    reason = run(story())
    assert len(calls) == (2 if RAISED[what][1] == "error" else 1)
    assert f"handler handle failed for good after {len(calls)} attempt" in reason
    assert RAISED[what][2] in reason


def test_a_command_is_refused_by_a_group_that_holds_only_refusals() -> None:
    shop = Participant("shop", retry=TWICE)

    @shop.handles
    async def do(command: Do) -> Done:
        async with asyncio.TaskGroup() as group:
            group.create_task(refused())
        return Done(id=command.id)

    async def refused() -> None:
        raise Refused("no stock")

    saga = Saga("asking", input=Order, key=lambda order: order.id)

    @saga.request(Done)
    def ask(order: Order) -> Do:
        return Do(id=order.id)

    @ask.compensate
    def undo(_: Done | None) -> None: ...

    assert do.__name__ == "do"
    assert undo.__name__ == "undo"

    async def story() -> SagaResult:
        async with ProcessManager(MemoryStore(), sagas=[saga], participants=[shop], settings=QUICK) as manager:
            return await manager.execute(saga, Order(), timeout=10)

    result = run(story())
    assert result.error is not None
    assert (result.status, result.error.kind, result.error.message) == ("failed", "refused", "no stock")
