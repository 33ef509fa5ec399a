"""Events that cancel a saga, as they are declared: the mistakes, and what the kernel makes of one."""

from collections.abc import Callable
from typing import Any

import pytest
from kernel.acts import refused
from kernel.stories import act
from msgspec import Raw, Struct

from sagalog import Command, Event, Saga
from sagalog.errors import DefinitionError
from sagalog.messages import Envelope
from sagalog.saga.messages.route import Begin, Deliver, Facts, KnownSaga, Park, SagaRouting
from sagalog.testing.kernel import given


class Order(Struct, frozen=True):
    order_id: str


class Placed(Event):
    order_id: str


class Withdrawn(Event):
    order_id: str


class Reserve(Command):
    order_id: str


class Reserved(Event):
    order_id: str


class SoldOut(Event):
    reason: str


def orders(after_end: Any = "reject") -> Saga[Order]:
    saga = Saga("orders", input=Order, key=lambda order: order.order_id, after_end=after_end)
    saga.started_by(Placed, input=lambda placed: Order(placed.order_id))

    @saga.request(Reserved, refused=SoldOut, compensation=None)
    def reserve(order: Order) -> Reserve:
        return Reserve(order_id=order.order_id)

    assert reserve.name
    return saga


def routed(saga: Saga[Order], data: bytes = b'{"order_id":"o-1"}', **facts: Any) -> Any:
    message = Envelope(
        id="m-1",
        kind="event",
        name="Withdrawn",
        source="test",
        correlation_id="c",
        causation_id=None,
        time=0,
        data=Raw(data),
    )
    routing = SagaRouting([saga.definition])
    (question,) = routing.ask([message])
    assert routing.wanted([question]).keys == (() if question.key is None else (question.key,))
    return routing.answer(question, Facts(**facts))


def by_order(event: Withdrawn) -> str:
    return event.order_id


def test_it_is_for_the_newest_saga_of_its_key() -> None:
    saga = orders()
    saga.cancelled_by(Withdrawn, key=by_order)
    for status in ("pending", "completed"):
        assert routed(saga, keys={"o-1": KnownSaga("s-1", "orders", status)}) == Deliver("s-1")


def test_without_a_saga_it_is_parked_or_prevents_one() -> None:
    saga = orders()
    saga.cancelled_by(Withdrawn, key=by_order)
    assert routed(saga) == Park("no saga orders has the key 'o-1', which Withdrawn is for")
    saga = orders()
    saga.cancelled_by(Withdrawn, key=by_order, before_start="prevent")
    found = routed(saga)
    assert isinstance(found, Begin)
    assert (found.start.key, found.start.called_off, found.start.message) == ("o-1", True, "m-1")
    prevented = given(saga, *given(saga).when(found.start).decided())
    told = refused(prevented, act("fork", next(iter(saga.definition.steps))), "called off before it began")
    assert not [text for text in told.allowed if text.startswith("fork")]


def test_one_that_cannot_be_read_is_parked() -> None:
    saga = orders()
    saga.cancelled_by(Withdrawn, key=by_order)
    assert "the key of saga orders could not be found in Withdrawn" in routed(saga, b"[]").reason


MISTAKES: list[tuple[Callable[[Any], object], str]] = [
    (lambda saga: saga.cancelled_by(Placed, key=by_order), "cancelled_by Placed starts it, too"),
    (lambda saga: saga.cancelled_by(SoldOut, key=by_order), "cancelled_by SoldOut answers reserve, too"),
    (lambda saga: saga.cancelled_by(Reserved, key=by_order), "cancelled_by Reserved answers reserve, too"),
    (lambda saga: saga.cancelled_by(Order, key=by_order), "must be a class of Event, found Order"),
    (lambda saga: saga.cancelled_by(Withdrawn, key="order_id"), "cancelled_by Withdrawn: key="),
    (
        lambda saga: saga.cancelled_by(Withdrawn, key=by_order, before_start="ignore"),
        'before_start= must be "park" or "prevent", found \'ignore\'',
    ),
    (
        lambda saga: [saga.cancelled_by(Withdrawn, key=by_order) for _ in range(2)],
        "cancelled_by Withdrawn is declared twice; keep one",
    ),
]


@pytest.mark.parametrize(("declare", "mistake"), MISTAKES)
def test_a_mistake_in_the_declaration_is_told(declare: Any, mistake: str) -> None:
    saga = orders()
    declare(saga)
    with pytest.raises(DefinitionError) as told:
        _ = saga.definition
    assert mistake in str(told.value)


def test_a_saga_that_starts_again_cannot_be_prevented() -> None:
    saga = orders("rerun")
    saga.cancelled_by(Withdrawn, key=by_order, before_start="prevent")
    with pytest.raises(DefinitionError, match='cannot prevent a start of a saga with after_end="rerun"'):
        _ = saga.definition
