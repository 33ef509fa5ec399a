"""Whatever the user's code raises, an attempt ends, its outcome is recorded, and the process manager can be closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from greeting import run

from sagalog import Choreography, Command, Event, Participant, Refused, Retry, Saga
from sagalog.errors import InvalidInput
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.memory import MemoryStore

QUICK = Settings(poll=0.01, grace=5)
TWICE = Retry(attempts=2, delay=0.001)


class Panic(BaseException):
    """What a native extension raises when it has lost its way."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Order(msgspec.Struct, frozen=True):
    id: str = "o-1"


class Asked(Event):
    id: str


class Done(Event):
    id: str


class Do(Command):
    id: str


# What is raised, and the error that is recorded of it.
RAISED: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "StopIteration": (StopIteration, "error", "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration, "error", "StopAsyncIteration"),
    "GeneratorExit": (GeneratorExit, "error", "GeneratorExit"),
    "SystemExit": (lambda: SystemExit(3), "error", "SystemExit"),
    "CancelledError": (asyncio.CancelledError, "error", "CancelledError"),
    "a panic": (lambda: Panic("lost"), "error", "Panic"),
    "a group of panics": (lambda: BaseExceptionGroup("all", [Panic("lost")]), "error", "Panic"),
    "no text": (Mute, "error", "Mute"),
    "NUL and surrogates": (lambda: ValueError("a\x00\udc80"), "error", "ValueError"),
    "a fault in a group": (lambda: ExceptionGroup("g", [ExceptionGroup("h", [NameError("x")])]), "fault", "NameError"),
    "refusals in a group": (lambda: ExceptionGroup("g", [Refused("no"), Refused("nor that")]), "refused", "Refused"),
    "a refusal beside an error": (
        lambda: ExceptionGroup("g", [Refused("no"), ConnectionError("cut")]),
        "error",
        "ConnectionError",
    ),
}


def raiser(what: str, is_async: bool, waits: bool = False) -> Callable[[], Any]:
    """Return a function, or a coroutine function, that raises one of `RAISED`."""
    make = RAISED[what][0]

    def plain() -> None:
        raise make()

    async def coroutine() -> None:
        if waits:
            await asyncio.sleep(0)
        raise make()

    return coroutine if is_async else plain


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


# ---------------------------------------------------------------------------------------------- the user's functions

NO_KEYS: dict[str, str] = {}
FUNCTIONS = ["StopIteration", "GeneratorExit", "SystemExit", "a panic", "a group of panics", "no text"]


@pytest.mark.parametrize("what", FUNCTIONS)
@pytest.mark.parametrize("where", ["when", "for_each", "child", "truth"])
def test_a_saga_is_stuck_with_its_reason_whatever_a_function_of_its_declaration_raises(what: str, where: str) -> None:
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
