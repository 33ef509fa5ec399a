"""The invariants of a step: its outcomes, what is durable before an effect, and what starts compensation."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, Sent, parcel_saga, raising

from sagalog import Refused, Retry, Saga, StepContext
from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore


def told(desk: Desk, database: str | Store | None = None, **options: Any) -> tuple[Any, list[e.SagaEvent]]:
    """Run one parcel to its rest and return its result and history."""
    saga = parcel_saga(**options)

    async def story(lab: Lab) -> tuple[Any, list[e.SagaEvent]]:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        return await process.result(saga_id), await process.do(process.manager.history(saga_id))

    return in_lab(database or MemoryStore(), story)


def test_a_refused_step_is_not_retried_and_not_undone(each_database: str | Store) -> None:
    """Invariants 9 and 16."""
    desk = Desk()
    desk.does["pay"] = raising(Refused("no money"))
    result, _ = told(desk, each_database)
    assert (result.status, result.error.message, result.error.step) == ("failed", "no money", "pay")
    assert desk.calls() == ["pick", "pay", "unpick"]


@pytest.mark.parametrize(
    "problem", [ConnectionError("x"), TimeoutError("x"), ValueError("x"), OSError(), SystemExit(1)]
)
def test_any_other_error_is_unknown_retried_and_then_undone_with_none(problem: BaseException) -> None:
    """Invariant 9: only Refused exempts from compensation."""
    desk = Desk()
    desk.does["pay"] = raising(problem)
    result, _ = told(desk)
    assert result.status == "failed"
    assert desk.calls() == ["pick", "pay", "pay", "pay", "refund", "unpick"]
    assert desk.seen["refund"] == [(None,)]


def test_a_step_that_takes_too_long_is_unknown() -> None:
    """Invariant 9: a timeout says nothing about what was done."""
    desk = Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(60)
    result, history = told(desk)
    assert result.status == "failed"
    kinds = [event.error.kind for event in history if isinstance(event, e.StepFailed)]
    assert kinds == ["timeout"] * 3
    assert desk.calls()[-2:] == ["refund", "unpick"]


def test_a_step_that_was_cut_off_by_a_crash_is_made_again_under_its_key(each_database: str | Store) -> None:
    """Invariants 9 and 31."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(2)

    async def story(lab: Lab) -> str:
        first = await lab.begin([saga], {Desk: desk})
        saga_id = await first.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        first.kill()
        second = await lab.begin([saga], {Desk: desk})
        return (await second.result(saga_id)).status

    assert in_lab(each_database, story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]
    assert len({key for name, key, _ in desk.diary if name == "pay"}) == 1


def test_what_undoes_a_step_is_durable_before_the_step_is_run(each_database: str | Store) -> None:
    """Invariant 10: the input and every earlier result are in the log, and the row says which step is in hand."""
    saga, desk = parcel_saga(), Desk()
    process: list[Process] = []
    found: list[tuple[str, list[str], str | None]] = []

    def look(ctx: StepContext) -> None:
        store = process[0].manager.store
        stored = CODEC.decode_all((x.topic, x.state) for x in store.read(ctx.saga_id))
        row = store.status(ctx.saga_id)
        found.append((ctx.step, [type(event).__name__ for event in stored], None if row is None else row.current_step))

    for name in ("pick", "pay", "send"):
        desk.does[name] = look

    async def story(lab: Lab) -> None:
        process.append(await lab.begin([saga], {Desk: desk}))
        await process[0].execute(saga, Parcel())

    in_lab(each_database, story)
    assert found == [
        ("pick", ["SagaStarted"], "pick"),
        ("pay", ["SagaStarted", "StepSucceeded"], "pay"),
        ("send", ["SagaStarted", "StepSucceeded", "StepSucceeded"], "send"),
    ]


@dataclass
class Basket:
    items: list[str]


@dataclass
class Shelf:
    items: list[str]


def test_a_compensation_sees_what_was_recorded_whatever_handlers_did_to_their_copies() -> None:
    """Invariant 11."""
    saga = Saga("baskets", input=Basket)
    seen: list[tuple[list[str], list[str]]] = []

    @saga.step
    def fill(basket: Basket) -> Shelf:
        shelf = Shelf(list(basket.items))
        basket.items.append("changed by fill")
        return shelf

    @fill.compensate
    def empty(shelf: Shelf | None, basket: Basket) -> None:
        assert shelf is not None
        seen.append((list(shelf.items), list(basket.items)))
        shelf.items.clear()
        if len(seen) < 3:
            raise ConnectionError("again")

    @saga.step(compensation=None)
    def sell(shelf: Shelf, basket: Basket) -> None:
        shelf.items.append("changed by sell")
        basket.items.append("changed by sell")
        raise Refused("nobody came")

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga])
        return (await process.execute(saga, Basket(["mug"]))).status

    assert in_lab(MemoryStore(), story) == "failed"
    assert seen == [(["mug"], ["mug"])] * 3


FAULTS = [
    TypeError("x"),
    NameError("x"),
    AttributeError("x"),
    AssertionError("x"),
    NotImplementedError("x"),
    ImportError("x"),
]


@pytest.mark.parametrize("problem", FAULTS, ids=lambda problem: type(problem).__name__)
def test_a_programming_error_parks_the_saga_and_undoes_nothing(problem: Exception) -> None:
    """Invariant 12."""
    desk = Desk()
    desk.does["pay"] = raising(problem)
    result, history = told(desk)
    assert result.status == "stuck"
    assert (result.error.kind, result.error.step, result.error.type) == ("fault", "pay", type(problem).__name__)
    assert desk.calls() == ["pick", "pay"]
    assert isinstance(history[-1], e.SagaStuck)


def result_of(make: Any, kind: Any = str) -> Any:
    """Run a saga of one step that returns what `make` makes."""
    saga = Saga("results", input=Parcel)

    def produce(parcel: Parcel) -> Any:
        return make()

    produce.__annotations__["return"] = kind
    saga.step(compensation=None)(produce)

    async def story(lab: Lab) -> Any:
        process = await lab.begin([saga])
        return await process.execute(saga, Parcel())

    return in_lab(MemoryStore(), story)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: 3, "TypeError"),
        (lambda: Sent("x"), "TypeError"),
        (lambda: "x" * 300_000, "PayloadTooLarge"),
        (lambda: "a\0b", "InvalidInput"),
        (lambda: "\ud800", "InvalidInput"),
    ],
)
def test_a_result_that_is_not_as_declared_or_cannot_be_stored_parks_the_saga(make: Any, error: str) -> None:
    """Invariant 12: the step was done; undoing it because of its return value would multiply a mistake."""
    result = result_of(make)
    assert (result.status, result.error.kind, result.error.type) == ("stuck", "fault", error)


def test_a_saga_that_was_parked_goes_on_once_the_program_is_mended(each_database: str | Store) -> None:
    """Invariant 12."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(TypeError("a mistake"), 1)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        assert (await process.result(saga_id)).status == "stuck"
        await process.do(process.manager.resume(saga_id, actor="ada", reason="mended"))
        await lab.until(lambda: "send" in desk.calls())
        await lab.sleep(1)
        return (await process.do(process.manager.status(saga_id))).status

    assert in_lab(each_database, story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]


def test_after_the_pivot_nothing_is_undone_whatever_happens() -> None:
    """Invariant 13."""
    saga, calls = Saga("letters", input=Parcel, timeout=30.0), list[str]()

    @saga.step
    async def stamp(parcel: Parcel) -> None:
        calls.append("stamp")

    @stamp.compensate
    async def unstamp(nothing: None) -> None:
        calls.append("unstamp")

    @saga.step(pivot=True)
    async def post(parcel: Parcel) -> None:
        calls.append("post")

    @saga.step(timeout=5, retry=Retry(attempts=10))
    async def tell(parcel: Parcel) -> None:
        calls.append("tell")
        raise ConnectionError("nobody answers")

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga])
        return (await process.execute(saga, Parcel())).status

    assert in_lab(MemoryStore(), story) == "stuck"
    assert calls == ["stamp", "post", *["tell"] * 10]
