"""What is wrong with the messages of a saga is said when it is built, by name; invariants 4 and 14."""

from typing import Any

import pytest
from kernel.declared import Order, Payment, new_saga, only

from sagalog import Command, Event, Saga
from sagalog.errors import DefinitionError
from sagalog.messages import CommandRefused
from sagalog.saga.messages.declare import snake_case


class Reserve(Command):
    order_id: str


class Reserved(Event):
    order_id: str


class SoldOut(Event):
    reason: str


class Release(Command):
    order_id: str


class Placed(Event):
    order_id: str


class Odd(Event):
    what: Any


def ask(order: Order) -> Reserve:
    return Reserve(order_id=order.order_id)


def order_of(placed: Placed) -> Order:
    return Order(placed.order_id)


def key_of(placed: Any) -> str:
    return str(placed.order_id)


def requesting(function: Any = ask, reply: Any = Reserved, **options: Any) -> Saga[Order]:
    """Return a saga with one request that needs no undoing."""
    saga = new_saga()
    declare: Any = saga.request
    declare(reply, name="reserve", compensation=None, **options)(function)
    return saga


def undone_by(function: Any, **options: Any) -> Saga[Order]:
    """Return a saga with one request that is undone by a function."""
    saga = new_saga()
    step: Any = saga.request(Reserved, name="reserve")(ask)
    step.compensate(**options)(function)
    return saga


def returns_an_event(order: Order) -> Reserved:
    return Reserved(order_id=order.order_id)


def returns_text(order: Order) -> str:
    return order.order_id


def may_return_nothing(order: Order) -> Reserve | None:
    return None


def says_nothing(order: Order):  # type: ignore[no-untyped-def]
    return Reserve(order_id=order.order_id)


def returns_the_base(order: Order) -> Command:
    return Reserve(order_id=order.order_id)


@pytest.mark.parametrize("function", [returns_an_event, returns_text, returns_the_base])
def test_a_request_returns_a_command(function: Any) -> None:
    saga = requesting(function)
    with pytest.raises(DefinitionError, match="request reserve must return a class of Command"):
        _ = saga.definition


def test_a_request_says_what_it_returns() -> None:
    with pytest.raises(DefinitionError, match="request reserve does not say what it returns"):
        _ = requesting(says_nothing).definition


def test_a_request_always_returns_a_command() -> None:
    only(requesting(may_return_nothing), "request reserve", "a request always sends one")


@pytest.mark.parametrize("reply", [Reserve, Payment, str, Event, None])
def test_the_reply_is_an_event(reply: Any) -> None:
    saga = requesting(reply=reply)
    if reply is None:
        # Only a compensation may leave it open.
        only(saga, "request reserve: the reply must be a class of Event, found None")
    else:
        only(saga, "request reserve: the reply must be a class of Event", reply.__name__)


@pytest.mark.parametrize("refused", [Reserve, (SoldOut, Payment), "SoldOut"])
def test_what_refuses_is_an_event(refused: Any) -> None:
    only(requesting(refused=refused), "request reserve: refused= must be a class of Event")


def test_an_event_is_the_reply_or_refuses_and_not_both() -> None:
    only(requesting(refused=(SoldOut, Reserved)), "request reserve: Reserved is the reply and refuses")
    only(requesting(reply=CommandRefused), "request reserve: CommandRefused is the reply and refuses")


def test_a_request_has_a_timeout() -> None:
    only(requesting(timeout=None), "request reserve has no timeout")


def test_messages_can_be_stored() -> None:
    class Strange(Event):
        what: Order | set[complex]

    only(requesting(reply=Strange), "Strange", "cannot be stored as JSON")


def test_a_request_has_a_compensation_or_needs_none() -> None:
    saga = new_saga()
    assert saga.request(Reserved, name="reserve")(ask).name == "reserve"
    only(saga, "step reserve has neither a compensation nor compensation=None")


def takes_another(placed: Placed | None) -> Release:
    return Release(order_id="o")


def releases(reserved: Reserved | None, order: Order) -> Release:
    return Release(order_id=order.order_id)


def releases_by_event(reserved: Reserved | None) -> Placed:
    return Placed(order_id="o")


def does_it_here(reserved: Reserved | None) -> None: ...


def test_the_compensation_of_a_request_takes_the_reply() -> None:
    only(undone_by(takes_another), "compensation of step reserve", "Reserved", "found Placed")


def test_the_compensation_of_a_request_returns_a_command_or_nothing() -> None:
    only(undone_by(releases_by_event), "compensation of step reserve must return a class of Command, found Placed")
    assert undone_by(releases).definition.steps["reserve"].compensation
    local = undone_by(does_it_here).definition.steps["reserve"].compensation
    assert local is not None
    assert local.exchange is None


def test_a_compensation_that_sends_nothing_has_no_reply() -> None:
    only(undone_by(does_it_here, reply=Placed), "compensation of step reserve returns no command, so nothing replies")


def test_a_compensation_that_sends_a_command_has_a_timeout() -> None:
    only(undone_by(releases, timeout=None), "compensation of step reserve has no timeout")


def test_a_step_after_the_pivot_cannot_be_undone_by_a_command_either() -> None:
    saga = new_saga()
    saga.request(Reserved, name="pay", pivot=True)(ask)
    step: Any = saga.request(Reserved, name="ship")(ask)
    step.compensate(releases)
    only(saga, "step ship comes after the pivot")


def test_the_reply_is_bound_by_its_type() -> None:
    saga = requesting()

    def later(reserved: Reserved, order: Order) -> str:
        return reserved.order_id

    saga.step(compensation=None)(later)
    (reserved, _) = saga.definition.steps["later"].parameters
    assert (reserved.source, reserved.key) == ("result", "reserve")


def test_a_wait_says_whose_event_it_is() -> None:
    """Invariant 4: every handled event has a correlation rule."""
    saga = new_saga()
    wait: Any = saga.wait_for
    wait(Placed, key=None)
    only(saga, "wait placed has no key")


def test_what_is_waited_for_is_an_event() -> None:
    saga = new_saga()
    wait: Any = saga.wait_for
    wait(Reserve, key=key_of)
    only(saga, "wait reserve: the event must be a class of Event, found Reserve")


def test_two_waits_for_one_event_need_names() -> None:
    saga = new_saga()
    for _ in range(2):
        saga.wait_for(Placed, key=key_of)
    only(saga, "two steps have the name placed; give one of them name=")


def test_a_wait_or_pause_is_checked_like_any_step() -> None:
    saga = new_saga()
    pause: Any = saga.sleep
    pause(5, when=False)
    only(saga, "step sleep is never reached")
    for wrong in (0, -1):
        with pytest.raises(DefinitionError, match="sleep sleep: expected"):
            pause(wrong)
    forever: Any = new_saga()
    forever.sleep(None)
    only(forever, "sleep sleep has no duration")


def starting(**options: Any) -> Saga[Order]:
    saga = new_saga()
    start: Any = saga.started_by
    start(options.pop("event", Placed), **options)
    saga.sleep(1)
    return saga


def test_a_start_by_an_event_has_a_key_of_its_own_or_the_sagas() -> None:
    """Invariant 4."""
    only(starting(input=order_of), "started_by Placed has no key")
    saga = new_saga(key=key_of)
    saga.started_by(Placed, input=order_of)
    saga.sleep(1)
    assert list(saga.definition.starts) == ["Placed"]


def test_a_start_by_an_event_makes_the_input() -> None:
    key = {"key": key_of}
    only(starting(input=None, **key), "started_by Placed: input= takes a function of the event, found None")
    only(starting(input=Order("o"), **key), "started_by Placed: input= takes a function")
    only(starting(input=order_of, key="order_id"), "started_by Placed: key= takes a function")


def test_what_starts_a_saga_is_an_event() -> None:
    only(
        starting(event=Reserve, input=order_of, key=key_of),
        "started_by Reserve: the event must be a class of Event",
    )


def test_an_event_starts_a_saga_or_is_waited_for() -> None:
    """Invariant 4: nobody could tell which of both it is."""
    saga = starting(input=order_of, key=key_of)
    saga.wait_for(Placed, key=key_of)
    only(saga, "started_by Placed is waited for by a step, too")


def test_an_event_is_declared_to_start_a_saga_once() -> None:
    saga = starting(input=order_of, key=key_of)
    saga.started_by(Placed, input=order_of, key=key_of)
    only(saga, "started_by Placed is declared twice")


def test_nothing_is_declared_after_the_saga_was_built() -> None:
    saga = requesting()
    assert saga.definition.digest
    for declare in (
        lambda: saga.sleep(1),
        lambda: saga.wait_for(Placed, key=key_of),
        lambda: saga.request(Reserved, name="again")(ask),
        lambda: saga.started_by(Placed, input=order_of, key=key_of),
    ):
        with pytest.raises(DefinitionError, match="declared after the saga was given to a process manager"):
            declare()


def test_the_kind_of_a_step_and_its_message_belong_to_the_shape_of_a_saga() -> None:
    """Invariant 41: a saga on its way would take another reply for no answer."""
    sagas = [new_saga() for _ in range(5)]
    sagas[0].step(name="a", compensation=None)(returns_text)
    sagas[1].request(Reserved, name="a", compensation=None)(ask)
    sagas[2].request(Placed, name="a", compensation=None)(ask)
    sagas[3].wait_for(Reserved, key=lambda reserved: reserved.order_id, name="a")
    sagas[4].sleep(1, name="a")
    digests = {saga.definition.digest for saga in sagas}
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ParcelArrived", "parcel_arrived"),
        ("Paid", "paid"),
        ("HTTPFailed", "http_failed"),
        ("Order2Sent", "order2_sent"),
    ],
)
def test_a_wait_is_named_after_its_event(name: str, expected: str) -> None:
    assert snake_case(name) == expected
