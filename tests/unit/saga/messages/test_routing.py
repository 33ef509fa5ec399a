"""Which saga an event is for: the rules at the head of `sagalog.saga.messages.route`, one by one."""

from typing import Any

import pytest
from msgspec import Raw, Struct

from sagalog import Command, Event, Saga
from sagalog.messages import Envelope, name_of
from sagalog.saga.inputs import Start
from sagalog.saga.messages.route import Begin, Deliver, Facts, KnownSaga, Park, SagaRouting, Wanted


class Order(Struct, frozen=True):
    order_id: str


class Placed(Event):
    order_id: str


class Reserve(Command):
    order_id: str


class Reserved(Event):
    order_id: str


class SoldOut(Event):
    reason: str


class Arrived(Event):
    order_id: str


class Unheard(Event):
    order_id: str


def orders(after_end: Any = "reject", version: int = 1, waits: bool = True) -> Saga[Order]:
    saga = Saga("orders", input=Order, version=version, key=lambda order: order.order_id, after_end=after_end)
    saga.started_by(Placed, input=lambda placed: Order(placed.order_id))

    @saga.request(Reserved, refused=SoldOut, compensation=None)
    def reserve(order: Order) -> Reserve:
        return Reserve(order_id=order.order_id)

    assert reserve.name
    if waits:
        saga.wait_for(Arrived, key=lambda arrived: arrived.order_id)
    return saga


def event(kind: type[Event], cause: str | None = None, data: bytes | None = None, correlation: str = "c") -> Envelope:
    return Envelope(
        id=f"{kind.__name__}-1",
        kind="event",
        name=name_of(kind),
        source="test",
        correlation_id=correlation,
        causation_id=cause,
        time=0,
        data=Raw(data or b'{"order_id":"o-1","reason":"none"}'),
    )


def routed(message: Envelope, saga: Saga[Order] | None = None, **facts: Any) -> Any:
    """Return what becomes of one event; "nothing" if it is not even asked about."""
    routing = SagaRouting([(saga or orders()).definition])
    questions = routing.ask([message])
    return routing.answer(questions[0], Facts(**facts)) if questions else "nothing"


RUNNING = KnownSaga("s-1", "orders", "pending")
ENDED = KnownSaga("s-1", "orders", "failed", 2, "Placed-0")
OTHERS = KnownSaga("x-1", "returns", "pending")

# Rule 1


@pytest.mark.parametrize("kind", [Reserved, SoldOut, Arrived, Placed, Unheard])
def test_whatever_a_command_of_a_saga_led_to_is_for_that_saga(kind: type[Event]) -> None:
    """Invariants 3 and 4: the reply finds its saga by the command, whatever else there is."""
    keys = {"o-1": KnownSaga("s-2", "orders", "pending")}
    assert routed(event(kind, "s-1:reserve"), commands={"s-1:reserve": RUNNING}, keys=keys) == Deliver("s-1")


def test_a_reply_finds_a_saga_that_has_ended_too() -> None:
    """Invariant 20."""
    assert routed(event(Reserved, "s-1:reserve"), commands={"s-1:reserve": ENDED}) == Deliver("s-1")


def test_the_reply_to_another_saga_is_not_ours() -> None:
    assert routed(event(Reserved, "x-1:reserve"), commands={"x-1:reserve": OTHERS}) is None


# Rule 2


def test_an_event_starts_a_saga_with_itself_for_the_cause() -> None:
    answer = routed(event(Placed))
    assert isinstance(answer, Begin)
    assert (answer.start.key, bytes(answer.start.input)) == ("o-1", b'{"order_id":"o-1"}')
    assert answer.start == Start("o-1", answer.start.input, 1, "c", "Placed-1", "Placed-1")


def test_a_start_with_the_key_of_an_open_saga_goes_to_that_one() -> None:
    """Invariant 2: it is recorded there as refused."""
    assert routed(event(Placed), keys={"o-1": RUNNING}) == Deliver("s-1")


def test_a_start_with_the_key_of_an_ended_saga_goes_to_that_one() -> None:
    """Invariant 2."""
    assert routed(event(Placed), keys={"o-1": ENDED}) == Deliver("s-1")


def test_a_saga_that_may_run_again_does_so_once_it_has_ended() -> None:
    answer = routed(event(Placed), orders("rerun"), keys={"o-1": ENDED})
    assert isinstance(answer, Begin)
    assert answer.start.run == 3
    assert routed(event(Placed), orders("rerun"), keys={"o-1": RUNNING}) == Deliver("s-1")


def test_the_event_that_started_a_run_never_starts_another_one() -> None:
    """Invariants 2 and 7."""
    ended = KnownSaga("s-1", "orders", "completed", 2, "Placed-1")
    assert routed(event(Placed), orders("rerun"), keys={"o-1": ended}) == Deliver("s-1")


def test_the_newest_version_is_started() -> None:
    routing = SagaRouting([orders(version=2).definition, orders(version=1).definition])
    answer = routing.answer(routing.ask([event(Placed)])[0], Facts())
    assert isinstance(answer, Begin)
    assert answer.definition.version == 2


# Rule 3


def test_an_event_that_is_waited_for_goes_to_the_newest_run_of_its_key() -> None:
    assert routed(event(Arrived, "elsewhere"), keys={"o-1": ENDED}) == Deliver("s-1")


def test_an_event_for_a_key_that_no_saga_has_is_parked() -> None:
    """Invariant 4."""
    assert routed(event(Arrived)) == Park("no saga orders has the key 'o-1', which Arrived is for")


def test_what_only_an_older_version_waits_for_is_still_taken() -> None:
    routing = SagaRouting([orders(version=2, waits=False).definition, orders(version=1).definition])
    assert routing.answer(routing.ask([event(Arrived)])[0], Facts(keys={"o-1": RUNNING})) == Deliver("s-1")


# Rule 4


def test_a_reply_to_a_command_that_nobody_issued_is_parked() -> None:
    """Invariant 4."""
    answer = routed(event(Reserved, "forged"))
    assert answer == Park("Reserved answers forged, and nobody knows of a command or an event with that id")


def test_an_event_of_the_type_of_a_reply_that_something_else_caused_is_nobodys() -> None:
    assert routed(event(Reserved, "known"), origins=frozenset(["known"])) is None


def test_a_reply_without_a_cause_goes_to_the_only_open_saga_with_its_correlation_id() -> None:
    assert routed(event(Reserved), correlated={"c": [RUNNING, ENDED, OTHERS]}) == Deliver("s-1")


@pytest.mark.parametrize(
    ("found", "said"),
    [([], "no open saga has"), ([ENDED], "no open saga has"), ([RUNNING, RUNNING], "2 open sagas have")],
)
def test_a_reply_without_a_cause_is_never_given_to_an_arbitrary_saga(found: list[KnownSaga], said: str) -> None:
    """Invariant 4."""
    answer = routed(event(SoldOut), correlated={"c": found})
    assert isinstance(answer, Park)
    assert said in answer.reason


# Everything else


def test_an_event_that_nobody_here_knows_is_asked_about_only_if_a_command_may_have_led_to_it() -> None:
    assert routed(event(Unheard)) == "nothing"
    assert routed(event(Unheard, "elsewhere")) is None


def test_a_saga_without_requests_asks_about_nothing_but_its_own_events() -> None:
    plain = Saga("plain", input=Order, key=lambda order: order.order_id)
    plain.wait_for(Arrived, key=lambda arrived: arrived.order_id)
    routing = SagaRouting([plain.definition])
    assert routing.names == {"Arrived"}
    questions = routing.ask([event(Unheard, "elsewhere"), event(Arrived, "elsewhere")])
    assert routing.wanted(questions) == Wanted(keys=("o-1",))


def test_commands_are_nobodys_here() -> None:
    command = Envelope(
        id="1", kind="command", name="Placed", source="test", correlation_id="c", time=0, data=Raw(b"{}")
    )
    assert SagaRouting([orders().definition]).ask([command]) == []


def test_an_event_that_cannot_be_read_is_parked_with_the_reason() -> None:
    for kind in (Placed, Arrived):
        answer = routed(event(kind, data=b'{"order":1}'))
        assert isinstance(answer, Park)
        assert "InvalidInput" in answer.reason
        assert kind.__name__ in answer.reason


def give(what: Any) -> Any:
    def key(event: Any) -> Any:
        return event.nothing if what is None else what

    return key


@pytest.mark.parametrize("bad", [give(None), give(""), give(3), give("\n")])
def test_a_key_that_cannot_be_found_parks_the_event(bad: Any) -> None:
    saga = Saga("orders", input=Order)
    saga.started_by(Placed, input=lambda placed: Order(placed.order_id), key=bad)
    saga.wait_for(Arrived, key=bad)
    for kind in (Placed, Arrived):
        assert isinstance(routed(event(kind), saga), Park)


OLD = "o\u200b-1"


def test_a_key_that_an_older_version_took_is_that_of_its_saga_and_of_no_new_one() -> None:
    data = f'{{"order_id":"{OLD}"}}'.encode()
    for kind in (Placed, Arrived):
        assert routed(event(kind, data=data), keys={OLD: RUNNING}) == Deliver("s-1")
        assert isinstance(routed(event(kind, data=data)), Park)
    parked = routed(event(Placed, data=data))
    assert parked.reason.startswith("saga orders could not be started by Placed: InvalidIdentifier: the key: ")
    assert "U+200B" in parked.reason


def test_a_mistake_in_a_function_does_not_hide_that_a_saga_asked_for_it() -> None:
    saga = orders()
    answer = routed(event(Arrived, "s-1:reserve", b"{}"), saga, commands={"s-1:reserve": RUNNING})
    assert answer == Deliver("s-1")


def test_lookups_are_asked_for_once_for_a_whole_batch() -> None:
    routing = SagaRouting([orders().definition])
    batch = [event(Placed), event(Placed), event(Arrived, "x"), event(Reserved, "x"), event(SoldOut), event(Unheard)]
    assert routing.wanted(routing.ask(batch)) == Wanted(("x",), ("x",), ("o-1",), ("c",))
