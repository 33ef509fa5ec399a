"""How a saga is declared as a step of another one, and what is declared wrongly."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kernel.declared import Order, always, mistakes, new_saga, only, waived
from msgspec import Struct

from sagalog import ChildResult, Saga
from sagalog.cli.pictures.chart import chart_of
from sagalog.cli.pictures.mermaid import mermaid
from sagalog.cli.pictures.svg import svg
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager


class Lines(Struct, frozen=True):
    order_id: str


def lines_saga(pivot: bool = False) -> Saga[Lines]:
    saga = Saga("order-lines", input=Lines, version=3)

    @saga.step(compensation=None)
    def pick(lines: Lines) -> None: ...

    if pivot:

        @saga.step(pivot=True)
        def send(lines: Lines) -> None: ...

    return saga


def key_of(order: Order) -> str:
    return order.order_id


def of_order(order: Order) -> Lines:
    return Lines(order.order_id)


def test_a_child_has_the_name_of_its_saga_unless_it_is_given_one() -> None:
    saga = new_saga()
    assert saga.child(lines_saga(), input=of_order).name == "order-lines"
    assert saga.child(lines_saga(), input=of_order, name="ship").name == "ship"
    step = saga.definition.steps["ship"]
    assert (step.kind, step.result.kind) == ("child", ChildResult)
    assert step.child is not None
    assert step.child.definition.name == "order-lines"


def test_a_function_may_make_the_input_of_the_results_of_earlier_steps() -> None:
    saga = new_saga()

    @waived(saga)
    def reserve(order: Order) -> int:
        return 7

    @saga.child(lines_saga())
    def ship(order: Order, reserve: int) -> Lines:
        return Lines(f"{order.order_id} {reserve}")

    assert ship(Order("order-1"), 7) == Lines("order-1 7")
    assert [p.source for p in saga.definition.steps["ship"].parameters] == ["input", "result"]


def test_a_later_step_takes_the_result_of_a_child() -> None:
    saga = new_saga()
    saga.child(lines_saga(), input=of_order, name="ship")
    saga.child(lines_saga(), input=of_order, name="bill", when=always)

    @waived(saga)
    def tell(ship: ChildResult, bill: ChildResult | None) -> None: ...

    assert [p.key for p in saga.definition.steps["tell"].parameters] == ["ship", "bill"]


def test_a_function_that_makes_another_input_is_refused() -> None:
    saga = new_saga()

    @saga.child(lines_saga())  # type: ignore[arg-type]
    def ship(order: Order) -> Order:
        return order

    only(saga, "child ship", "must say that it returns the input of saga order-lines, Lines; found Order")


def test_a_coroutine_function_is_refused() -> None:
    saga = new_saga()
    child: Callable[[Callable[..., Any]], Any] = saga.child(lines_saga())

    @child
    async def ship(order: Order) -> Lines:
        return Lines("")

    assert any("let it be a plain one" in text for text in mistakes(saga))


def test_a_child_with_a_pivot_can_only_stand_where_nothing_is_undone_afterwards() -> None:
    """Invariants 13, 14 and 28."""
    saga = new_saga()
    saga.child(lines_saga(pivot=True), input=of_order)
    only(saga, "child order-lines", "has a pivot, send, so it cannot be undone")
    for options in ({"pivot": True}, {"compensation": None}):
        saga = new_saga()
        declare: Any = saga.child
        declare(lines_saga(pivot=True), input=of_order, **options)
        assert saga.definition.steps["order-lines"].compensation is None
    saga = new_saga()

    @waived(saga, pivot=True)
    def pay(order: Order) -> None: ...

    saga.child(lines_saga(pivot=True), input=of_order)
    assert saga.definition.steps["order-lines"].compensation is None


def test_a_saga_that_is_a_step_of_itself_is_refused() -> None:
    one, two = new_saga(), Saga("two", input=Order)
    one.child(two, input=lambda order: order)
    two.child(one, input=lambda order: order)
    assert any("saga orders is a step of itself" in text for text in mistakes(one))


def test_the_mistakes_of_a_child_are_told_with_its_parent() -> None:
    saga = new_saga()
    saga.child(Saga("empty", input=Order), input=lambda order: order)
    assert any("saga 'empty' is declared wrongly" in text for text in mistakes(saga))


def test_a_process_manager_has_to_know_the_children_of_its_sagas() -> None:
    saga, child = new_saga(), lines_saga()
    saga.child(child, input=of_order)
    with pytest.raises(DefinitionError, match=r"orders\.order-lines: saga order-lines version 3\nadd them to sagas"):
        ProcessManager("memory://", sagas=[saga])
    ProcessManager("memory://", sagas=[saga, child])


def test_a_picture_shows_that_a_step_is_a_saga_and_is_undone_as_one() -> None:
    saga = new_saga()
    saga.child(lines_saga(), input=of_order, name="ship")
    chart = chart_of(saga.definition)
    box = chart.stages[0][0]
    assert (box.detail, box.undo, box.undo_detail) == ("saga order-lines version 3", "undo ship", "as a whole")
    assert "saga order-lines version 3" in mermaid(chart)
    assert "saga order-lines version 3" in svg(chart)


def test_the_input_that_cannot_be_made_is_a_mistake_of_the_program() -> None:
    """Invariant 12."""
    saga, child = new_saga(key=key_of), lines_saga()
    saga.child(child, input=lambda order: Lines(1))  # type: ignore[arg-type]

    async def run() -> str:
        async with ProcessManager("memory://", sagas=[saga, child]) as manager:
            result = await manager.execute(saga, Order("order-1"), timeout=10)
            assert result.error is not None
            return f"{result.status} {result.error.kind} {result.error.message}"

    assert asyncio.run(run()).startswith("stuck fault in making the child's input: the input of saga order-lines")
