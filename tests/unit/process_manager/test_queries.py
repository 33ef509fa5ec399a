"""What is looked for is looked for, or refused: nothing that cannot be there silently finds nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sagas.greeting import Card, Greeting, greet

from sagalog import Refused, Saga
from sagalog.errors import InvalidAction, InvalidIdentifier, InvalidQuery, SagaNotFound
from sagalog.process_manager import ProcessManager
from sagalog.store import Query, UnmatchedQuery

AnyQuery: Any = Query
AnyUnmatched: Any = UnmatchedQuery


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"statuses": "stuck"}, r"statuses: expected a list of some of started, .*, found 'stuck'; write \['stuck'\]"),
        ({"statuses": ["stuk"]}, "found 'stuk' among them"),
        ({"statuses": ["stuck", None]}, "found None among them"),
        ({"statuses": ["parked"]}, "found 'parked' among them"),
        ({"statuses": None}, "found None"),
        ({"statuses": 3}, "found 3"),
        ({"statuses": ["x" * 1_000_000]}, "found 'x{79}… among them"),
        ({"limit": 0}, "limit: expected a whole number from 1 on, found 0"),
        ({"limit": -1}, "found -1"),
        ({"limit": True}, "found True"),
        ({"limit": 2.5}, "found 2.5"),
        ({"limit": None}, "found None"),
        ({"limit": 2**63}, "found 9223372036854775808"),
        ({"key": 3}, "key: expected text, found 3"),
        ({"error": ["x"]}, "error: expected text"),
        ({"saga_name": greet()}, "saga_name: expected text"),
        ({"before": 12}, "before: expected text"),
        (
            {"started_before": datetime.now(UTC)},
            "started_before: expected microseconds since the epoch, found dat",
        ),
        ({"started_after": 1.5}, "started_after: expected microseconds since the epoch, found 1.5"),
        ({"started_after": 2**70}, "started_after: expected microseconds"),
    ],
    ids=range(20),
)
def test_a_question_for_sagas_that_nothing_can_answer_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidQuery, match=text) as caught:
        AnyQuery(**wanted)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"statuses": "parked"}, r"statuses: expected a list of some of parked, .*, found 'parked'"),
        ({"statuses": ["stuck"]}, "found 'stuck' among them"),
        ({"limit": 0}, "limit: expected a whole number from 1 on"),
        ({"name": 1}, "name: expected text"),
        ({"consumer": 1}, "consumer: expected text"),
        ({"correlation_id": 1}, "correlation_id: expected text"),
        ({"unmatched_id": 1}, "unmatched_id: expected text"),
        ({"before": 1}, "before: expected text"),
    ],
    ids=range(8),
)
def test_a_question_for_messages_that_nothing_can_answer_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidQuery, match=text):
        AnyUnmatched(**wanted)


@pytest.mark.parametrize("statuses", [(), [], ("stuck",), ["stuck", "failed"], {"stuck"}, frozenset(("completed",))])
def test_statuses_may_come_in_any_collection(statuses: Any) -> None:
    assert AnyQuery(statuses=statuses).statuses == statuses


def bank(opened: list[bool]) -> Saga[Greeting]:
    saga = greet(version=2)

    @saga.step(compensation=None)
    async def pay(card: Card) -> None:
        if not opened:
            raise TypeError("the bank's form has changed")

    return saga


def with_manager(story: Callable[[ProcessManager, Saga[Greeting], list[bool]], Awaitable[None]]) -> None:
    async def run() -> None:
        opened: list[bool] = []
        saga = bank(opened)
        async with asyncio.timeout(20), ProcessManager("memory://", sagas=[saga]) as manager:
            await story(manager, saga, opened)

    asyncio.run(run())


def test_a_stuck_saga_is_resumed_by_its_key_or_its_id() -> None:
    async def story(manager: ProcessManager, saga: Saga[Greeting], opened: list[bool]) -> None:
        for name in ("ada", "bob"):
            assert (await manager.execute(saga, Greeting(name))).status == "stuck"
        opened.append(True)
        await manager.resume("ada", actor="eve", reason="mended")
        await manager.resume((await manager.status("bob")).saga_id, actor="eve", reason="mended")
        for name in ("ada", "bob"):
            while (await manager.status(name)).status != "completed":
                await asyncio.sleep(0.01)
            assert (await manager.result(name)).status == "completed"
        with pytest.raises(InvalidAction):
            await manager.resume("ada", "greet", actor="eve", reason="again")

    with_manager(story)


def test_what_is_not_there_is_not_found_whatever_is_asked_of_it() -> None:
    async def story(manager: ProcessManager, saga: Saga[Greeting], opened: list[bool]) -> None:
        await manager.execute(saga, Greeting("ada"))
        for ask in (
            manager.status("nobody"),
            manager.status("ada", "another"),
            manager.status("x" * 1_000_000),
            manager.status("a\x1b\ud800"),
            manager.result("nobody"),
            manager.steps("nobody"),
            manager.steps("ada"),
            manager.history("nobody"),
            manager.state("nobody"),
            manager.resume("nobody", actor="eve", reason="x"),
            manager.resume("ada", "another", actor="eve", reason="x"),
        ):
            with pytest.raises(SagaNotFound) as caught:
                await ask
            assert len(str(caught.value)) < 400
            assert str(caught.value).isprintable()
        anything: Any = manager
        for nothing in (None, 3, b"ada"):
            with pytest.raises(InvalidIdentifier, match="expected the id or key of a saga"):
                await anything.status(nothing)
        for wrong in ("stuck", ["stuk"]):
            with pytest.raises(InvalidQuery):
                await anything.find(statuses=wrong)
        with pytest.raises(TypeError, match="status"):
            await anything.find(status="stuck")
        assert [row.saga_key for row in await manager.find(statuses=["stuck"], error="form")] == ["ada"]

    with_manager(story)


def test_a_refusal_is_found_by_its_text() -> None:
    """What is looked for as an error is a part of the type or of the text."""

    async def story(manager: ProcessManager, saga: Saga[Greeting], opened: list[bool]) -> None:
        await manager.execute(saga, Greeting("ada"))
        assert [row.saga_key for row in await manager.find(error="TypeError")] == ["ada"]
        assert await manager.find(error=Refused.__name__) == []

    with_manager(story)


@pytest.mark.parametrize("field", ["limit", "key", "error", "started_before"])
def test_a_number_that_nobody_can_write_out_is_refused_in_words(field: str) -> None:
    with pytest.raises(InvalidQuery, match=f"{field}: expected .*, found something of type int that cannot be shown"):
        AnyQuery(**{field: 10**5000})
