"""A handler whose task is cancelled by other code than sagalog's has failed with an unknown outcome, like any other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

import pytest
from kernel.raising import QUICK, TWICE, Asked, Do, Done, Order
from sagas.greeting import run

from sagalog import Participant, Retry, Saga
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.settings import Settings
from sagalog.store import UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore

ONCE = Retry(attempts=1)


def own_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def at_once() -> None:
    own_task().cancel()
    await asyncio.Event().wait()


async def by_a_watchdog() -> None:
    me = own_task()

    async def watchdog() -> None:
        await asyncio.sleep(0.001)
        me.cancel("connection lost")

    watching = asyncio.get_running_loop().create_task(watchdog())
    await asyncio.Event().wait()
    await watching


async def by_a_timer() -> None:
    asyncio.get_running_loop().call_later(0.001, own_task().cancel)
    await asyncio.Event().wait()


async def swallowed_and_raised() -> None:
    own_task().cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    raise asyncio.CancelledError


WAYS = [at_once, by_a_watchdog, by_a_timer, swallowed_and_raised]
Way = Callable[[], Awaitable[None]]
each_way = pytest.mark.parametrize("way", WAYS)


async def executed(saga: Saga[Order], *participants: Participant) -> SagaResult:
    async with ProcessManager(MemoryStore(), sagas=[saga], participants=list(participants), settings=QUICK) as manager:
        return await manager.execute(saga, Order(), timeout=5)


def error_of(result: SagaResult) -> tuple[str, str, str, str | None]:
    assert result.error is not None
    return result.status, result.error.kind, result.error.type, result.error.step


@each_way
def test_a_step_that_is_cancelled_is_tried_as_its_policy_says_and_undone(way: Way) -> None:
    """Invariant 9."""
    calls: list[str] = []
    saga = Saga("cancelled", input=Order, key=lambda order: order.id, timeout=3600)

    @saga.step(retry=TWICE, timeout=60)
    async def work(order: Order) -> None:
        calls.append("work")
        await way()

    @work.compensate
    async def undo(_: None) -> None:
        calls.append("undo")

    assert undo.__name__ == "undo"
    assert error_of(run(executed(saga))) == ("failed", "error", "CancelledError", "work")
    assert calls == ["work", "work", "undo"]


@each_way
def test_what_a_sibling_does_is_not_stopped_by_a_step_that_is_cancelled(way: Way) -> None:
    done: list[str] = []
    ended = asyncio.Event()
    saga = Saga("beside", input=Order, key=lambda order: order.id)
    with saga.parallel():

        @saga.step
        async def good(order: Order) -> None:
            await ended.wait()
            await asyncio.sleep(0.01)
            done.append("good")

        @good.compensate
        async def undo_good(_: None) -> None:
            done.append("undo good")

        @saga.step(compensation=None, retry=ONCE)
        async def bad(order: Order) -> None:
            ended.set()
            await way()

    assert (undo_good.__name__, bad.name) == ("undo_good", "bad")
    assert error_of(run(executed(saga)))[0::2] == ("failed", "CancelledError")
    assert done == ["good", "undo good"]


@each_way
def test_a_request_and_its_answer_are_not_lost_to_a_handler_that_is_cancelled(way: Way) -> None:
    calls: list[str] = []
    saga = Saga("asking", input=Order, key=lambda order: order.id)
    shop = Participant("shop", retry=TWICE)

    @saga.request(Done, compensation=None, retry=TWICE)
    async def ask(order: Order) -> Do:
        calls.append("ask")
        if len(calls) == 1:
            await way()
        return Do(id=order.id)

    @shop.handles
    async def do(command: Do) -> Done:
        calls.append("do")
        if len(calls) == 3:
            await way()
        return Done(id=command.id)

    assert (ask.name, do.__name__) == ("ask", "do")
    assert run(executed(saga, shop)).status == "completed"
    assert calls == ["ask", "ask", "do", "do"]


@each_way
def test_a_compensation_that_is_cancelled_is_tried_again_and_then_stuck(way: Way) -> None:
    """Invariants 26 and 29."""
    saga = Saga("undoing", input=Order, key=lambda order: order.id)
    calls: list[str] = []

    @saga.step(retry=ONCE)
    async def work(order: Order) -> None:
        raise ValueError

    @work.compensate(retry=TWICE)
    async def undo(_: None) -> None:
        calls.append("undo")
        await way()

    assert undo.__name__ == "undo"
    assert error_of(run(executed(saga))) == ("stuck", "error", "CancelledError", "work")
    assert calls == ["undo", "undo"]


@each_way
def test_a_participant_that_is_cancelled_is_tried_as_its_policy_says_and_parked(way: Way) -> None:
    calls: list[str] = []
    shop = Participant("shop", retry=TWICE, timeout=60)

    @shop.on
    async def handle(event: Asked) -> None:
        calls.append(event.id)
        await way()

    assert handle.__name__ == "handle"

    async def story() -> str:
        async with ProcessManager(MemoryStore(), participants=[shop], settings=QUICK) as manager:
            await manager.publish(Asked(id="1"))
            async with asyncio.timeout(5):
                while not (found := await manager.unmatched(UnmatchedQuery())):
                    await asyncio.sleep(0.001)
            return found[0].reason

    assert "handler handle failed for good after 2 attempts: CancelledError" in run(story())
    assert calls == ["1", "1"]


def test_a_watchdog_that_outlives_its_handler_hurts_nobody() -> None:
    saga = Saga("outlived", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None, retry=ONCE)
    async def first(order: Order) -> None:
        asyncio.get_running_loop().call_later(0.01, own_task().cancel)
        await asyncio.sleep(0)

    @saga.step(compensation=None, retry=ONCE)
    async def second(order: Order) -> None:
        await asyncio.sleep(0.05)

    assert (first.name, second.name) == ("first", "second")
    assert run(executed(saga)).status == "completed"


def test_a_handler_has_one_task_and_one_context_from_its_beginning_to_its_end() -> None:
    found: list[object] = []
    number: ContextVar[int] = ContextVar("number", default=0)
    saga = Saga("one-task", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None, retry=ONCE)
    async def first(order: Order) -> None:
        token = number.set(7)
        found.append(asyncio.current_task())
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        found.append(asyncio.current_task())
        found.append(number.get())
        number.reset(token)
        number.set(8)

    @saga.step(compensation=None, retry=ONCE)
    async def second(order: Order) -> None:
        found.append(number.get())
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            found.append("its own timeout")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))

    assert (first.name, second.name) == ("first", "second")
    assert run(executed(saga)).status == "completed"
    assert found[0] is found[1]
    assert found[2:] == [7, 0, "its own timeout"]


def test_a_step_that_swallows_its_timeout_is_told_again_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sagalog.engine.calls.own_task.TELL_AGAIN", 0.02)
    saga = Saga("stubborn", input=Order, key=lambda order: order.id)
    told: list[str] = []

    @saga.step(compensation=None, retry=ONCE, timeout=0.01)
    async def work(order: Order) -> None:
        while len(told) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("end")
        raise asyncio.CancelledError

    assert work.name == "work"
    with caplog.at_level(logging.WARNING):
        assert error_of(run(executed(saga))) == ("failed", "timeout", "StepTimeout", "work")
    assert "step work of stubborn was cancelled, for its time is over, and goes on: it is waited for" in caplog.messages


def test_what_a_handler_did_although_its_time_was_over_is_recorded() -> None:
    saga = Saga("late", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None, retry=ONCE, timeout=0.01)
    async def work(order: Order) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 7
        return 0

    assert work.name == "work"
    assert run(executed(saga)).status == "completed"


@each_way
def test_a_shutdown_gives_back_what_it_cancels_also_after_a_handler_was_cancelled(way: Way, tmp_path: Path) -> None:
    saga = Saga("ended", input=Order, key=lambda order: order.id)
    began = asyncio.Event()
    calls: list[str] = []
    database = f"sqlite:///{tmp_path}/ended.db"
    hasty = Settings(lease=30, poll=0.01, grace=0)

    @saga.step(compensation=None, retry=TWICE)
    async def work(order: Order) -> None:
        calls.append("work")
        if len(calls) == 1:
            await way()
        if len(calls) == 2:
            began.set()
            await asyncio.Event().wait()

    assert work.name == "work"

    async def story() -> str:
        async with ProcessManager(database, sagas=[saga], settings=hasty) as manager:
            await manager.start(saga, Order())
            async with asyncio.timeout(5):
                await began.wait()
        async with ProcessManager(database, sagas=[saga], settings=hasty) as manager:
            return (await manager.result("o-1", timeout=5)).status

    assert run(story()) == "completed"
    assert calls == ["work"] * 3
