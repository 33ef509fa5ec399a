"""Attributes: which values may be one, what is recorded, and that they never change the course of a saga."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from msgspec import Raw, Struct
from msgspec.structs import replace

from sagalog import Choreography, Event, Saga
from sagalog.codec import CODEC, encode_json
from sagalog.errors import DefinitionError, InvalidInput
from sagalog.saga.attributes import MOST_ATTRIBUTES, Attributes, attribute_data, checked, text_of
from sagalog.saga.events import SagaCompleted, SagaEvent, SagaStarted, StepSucceeded
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.inputs import ActionSucceeded, Start
from sagalog.saga.redecide import first_divergence
from sagalog.testing.kernel import given, message, started


class Order(Struct, frozen=True):
    order_id: str
    customer: str = "c-1"


class Shipment(Struct, frozen=True):
    carrier: str


class Shipped(Event):
    order_id: str
    carrier: str


class Kind(Enum):
    GIFT = "gift"


class Level(IntEnum):
    HIGH = 3


class Country(StrEnum):
    DE = "de"


def lists(_: object) -> Any:
    return {"carrier": ["ups"]}


def returns_nothing(_: object) -> Any:
    return None


def too_many(_: object) -> Attributes:
    return {f"a{number}": 1 for number in range(32)}


def of_customer(order: Order) -> Attributes:
    return {"customer": order.customer}


SHIPPED = StepSucceeded(time=1, step="ship", began=1, result=Raw(encode_json(Shipment("ups"))))


def shipping(attributes: Callable[[Any], Any] | None, of_order: Any = None) -> Saga[Order]:
    saga = Saga("orders", input=Order, timeout=None, attributes=of_order)

    @saga.step(compensation=None, attributes=attributes)
    def ship(order: Order) -> Shipment:
        return Shipment("ups")

    return saga


def after_shipping(attributes: Callable[[Any], Any] | None) -> StepSucceeded:
    """Return what is recorded once the step has succeeded; the saga completes whatever its attributes are."""
    saga = shipping(attributes)
    begun = replace(started(saga, Order("o-1")), attributes={"customer": "c-1"})
    shipped, completed = given(saga, begun).when(ActionSucceeded("ship", 1, 1, SHIPPED.result)).decided()
    assert isinstance(completed, SagaCompleted)
    assert isinstance(shipped, StepSucceeded)
    return shipped


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("value", "data", "text"),
    [
        ("c-1", "c-1", "c-1"),
        ("", "", ""),
        (True, True, "true"),
        (False, False, "false"),
        (7, 7, "7"),
        (-(2**63), -(2**63), "-9223372036854775808"),
        (99.5, 99.5, "99.5"),
        (100.0, 100, "100"),
        (-0.0, 0, "0"),
        (1e300, 1e300, "1e+300"),
        (float(2**63), 2.0**63, "9.223372036854776e+18"),
        (Decimal("19.90"), 19.9, "19.9"),
        (Decimal(100), 100, "100"),
        (Kind.GIFT, "gift", "gift"),
        (Level.HIGH, 3, "3"),
        (Country.DE, "de", "de"),
        (date(2026, 1, 5), "2026-01-05", "2026-01-05"),
        (
            datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-05T08:00:00.000000Z",
            "2026-01-05T08:00:00.000000Z",
        ),
    ],
)
def test_a_value_is_recorded_as_a_plain_one(value: object, data: object, text: str) -> None:
    found = attribute_data(value, "it")
    assert found is not None
    assert (type(found), found, text_of(found)) == (type(data), data, text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "a finite number"),
        (math.inf, "a finite number"),
        (Decimal("NaN"), "a finite number"),
        (2**63, "a whole number of 64 bits"),
        (Decimal("0.12345678901234567890"), "at most 15 digits"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogates"),
        ("ä" * 251, "at most 500 bytes"),
        (datetime(2026, 1, 5, tzinfo=UTC).replace(tzinfo=None), "with a time zone"),
        (["a"], "found one of type list"),
        (b"a", "found one of type bytes"),
    ],
)
def test_any_other_value_is_refused_and_not_repeated(value: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        attribute_data(value, "it")


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        (None, "expected attributes such as"),
        ([("a", 1)], "expected attributes such as"),
        ({"a-b": 1}, "names of attributes like identifiers"),
        ({"a" * 65: 1}, "names of attributes like identifiers"),
        ({1: 1}, "names of attributes like identifiers"),
        ({f"a{number}": 1 for number in range(MOST_ATTRIBUTES + 1)}, "at most 32 attributes of a saga, found 33"),
    ],
)
def test_what_are_no_attributes_is_refused(brought: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        checked(brought)


def test_the_limit_is_of_all_attributes_of_a_saga_and_none_makes_room() -> None:
    known: dict[str, Any] = {f"a{number}": 1 for number in range(MOST_ATTRIBUTES)}
    with pytest.raises(InvalidInput, match="found 33"):
        checked({"one_more": 1}, known)
    assert checked({"one_more": 1, "a0": None}, known) == {"one_more": 1, "a0": None}
    assert checked({"a0": 2, "unknown": None}, known) == {"a0": 2}


# ------------------------------------------------------------------------------------- what is recorded


def test_attributes_are_recorded_with_the_event_that_brings_them() -> None:
    shipped = after_shipping(lambda shipment: {"carrier": shipment.carrier, "customer": None, "odd": None})
    assert shipped.attributes == {"carrier": "ups", "customer": None}
    state = evolve(fold([replace(started(shipping(None), Order("o-1")), attributes={"customer": "c-1"})]), shipped)
    assert state.attributes == {"carrier": "ups"}


def test_a_start_records_those_of_its_input() -> None:
    saga = shipping(None)
    data = saga.definition.input.write(Order("o-1"), "it")
    [first] = given(saga).when(Start("o-1", data, 1, "o-1", attributes={"customer": "c-1", "amount": 10})).decided()
    assert isinstance(first, SagaStarted)
    assert fold([first]).attributes == {"customer": "c-1", "amount": 10}


def test_events_without_attributes_are_written_as_they_always_were() -> None:
    assert b"attributes" not in encode_json(after_shipping(None))
    assert b"attributes" not in encode_json(after_shipping(lambda shipment: {}))
    assert b"attributes" not in encode_json(started(shipping(None), Order("o-1")))


def test_what_is_recorded_is_read_back_with_its_types() -> None:
    event = replace(SHIPPED, attributes={"a": "1", "b": 1, "c": 1.5, "d": True, "e": None, "f": 2**62 + 1})
    read = CODEC.decode(*CODEC.encode(event))
    assert isinstance(read, StepSucceeded)
    assert [(type(one), one) for one in read.attributes.values()] == [
        (type(one), one) for one in event.attributes.values()
    ]


# ------------------------------------------------------------------------------------------- mistakes


def takes_none() -> Attributes:
    return {}


def takes_two(one: object, two: object) -> Attributes:
    return {}


def raises(_: object) -> Attributes:
    raise KeyError("carrier")


@pytest.mark.parametrize(
    ("attributes", "kind", "said"),
    [
        (raises, "KeyError", "in attributes=: 'carrier'"),
        (lists, "InvalidInput", "in attributes=: attribute carrier: expected a text"),
        (returns_nothing, "InvalidInput", "in attributes=: expected attributes such as"),
        (too_many, "InvalidInput", "at most 32 attributes of a saga"),
    ],
)
def test_a_mistake_in_the_attributes_of_a_result_is_recorded_and_the_saga_goes_on(
    attributes: Callable[[Any], Any], kind: str, said: str
) -> None:
    shipped = after_shipping(attributes)
    assert shipped.attributes == {}
    assert shipped.attributes_error is not None
    assert (shipped.attributes_error.type, shipped.attributes_error.step) == (kind, "ship")
    assert said in shipped.attributes_error.message


def test_the_person_who_ends_the_process_is_heard_in_attributes_too() -> None:
    def interrupted(_: object) -> Attributes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        after_shipping(interrupted)


def test_a_changed_function_changes_no_past() -> None:
    before = shipping(lambda shipment: {"carrier": shipment.carrier})
    begun = replace(started(before, Order("o-1")), attributes={"customer": "c-1"})
    history = [begun, *given(before, begun).when(ActionSucceeded("ship", 1, 1, SHIPPED.result)).decided()]
    for today in (shipping(None), shipping(lambda _: {"carrier": "other"}), shipping(raises)):
        assert first_divergence(today.definition, history) is None


def test_attributes_are_no_part_of_the_digest() -> None:
    with_them = shipping(lambda shipment: {"carrier": shipment.carrier}, of_customer)
    assert with_them.definition.digest == shipping(None).definition.digest


# --------------------------------------------------------------------------------------- how they are declared


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("customer", "takes a function of the result, found 'customer'"),
        (takes_none, "takes a function of the result alone"),
        (takes_two, "takes a function of the result alone"),
    ],
)
def test_what_is_no_function_of_the_result_is_refused_when_it_is_declared(attributes: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=f"step ship: attributes= {said}"):
        _ = shipping(attributes).definition
    with pytest.raises(DefinitionError, match=f"attributes= {said.replace('result', 'input')}"):
        _ = shipping(None, attributes).definition


def test_a_function_of_another_type_than_the_result_is_refused() -> None:
    def of_order(order: Order) -> Attributes:
        return {"customer": order.customer}

    with pytest.raises(DefinitionError, match="takes the step's result Shipment, found a function of Order"):
        _ = shipping(of_order).definition


def of_any(thing: Any) -> Attributes:
    return {"carrier": thing.carrier}


def of_either(thing: Shipment | None) -> Attributes:
    return {} if thing is None else {"carrier": thing.carrier}


def of_unknown(thing: object) -> Attributes:
    return {}


# As if its module imported the type for checkers only.
of_unknown.__annotations__["thing"] = "Unheard"


TAKEN: list[Callable[[Any], Any]] = [of_any, of_either, of_unknown, too_many]


@pytest.mark.parametrize("attributes", TAKEN)
def test_a_function_of_what_the_result_may_be_is_taken(attributes: Callable[[Any], Any]) -> None:
    assert shipping(attributes).definition.steps["ship"].attributes is attributes


def test_parts_bring_no_attributes() -> None:
    saga: Any = Saga("orders", input=Order, timeout=None)

    def ids(order: Order) -> list[str]:
        return [order.order_id]

    def ship(line: str) -> Shipment:
        return Shipment(line)

    saga.step(compensation=None, for_each=ids, attributes=raises)(ship)

    with pytest.raises(DefinitionError, match="attributes= with for_each= would be those of the last part"):
        _ = saga.definition


# --------------------------------------------------------------------------------------------- choreographies


class Placed(Event):
    order_id: str
    customer: str


def following() -> Choreography:
    return Choreography("shipping", key="order_id", starts_with=Placed, completes_with=Shipped, observed=True)


def test_events_of_a_choreography_bring_attributes_in_whatever_order_they_come() -> None:
    process = following()
    process.attributes_from(Placed, lambda event: {"customer": event.customer})
    process.attributes_from(Shipped, lambda event: {"carrier": event.carrier})
    assert process.definition.digest == following().definition.digest
    for events in ([0, 1], [1, 0]):
        told = [Placed(order_id="o-1", customer="c-1"), Shipped(order_id="o-1", carrier="ups")]
        history: list[SagaEvent] = [started(process, None, key="o-1")]
        for number in events:
            history += given(process, *history).when(message(told[number], id=f"m-{number}")).decided()
        assert fold(history).attributes == {"customer": "c-1", "carrier": "ups"}
        assert first_divergence(process.definition, history) is None


def test_attributes_from_takes_events_of_the_process_and_functions_of_them() -> None:
    class Other(Event):
        order_id: str

    process = following()
    process.attributes_from(Other, lambda event: {})
    with pytest.raises(DefinitionError, match="attributes_from takes an event of the process, and Other is none"):
        _ = process.definition
    wrong: Any = following()
    wrong.attributes_from(Placed, "customer")
    with pytest.raises(DefinitionError, match="attributes_from Placed takes a function of the event"):
        _ = wrong.definition
    late = following()
    assert late.definition.name == "shipping"
    with pytest.raises(DefinitionError, match="declare them first"):
        late.attributes_from(Placed, lambda event: {})


def test_the_time_zone_of_a_moment_does_not_change_its_place() -> None:
    early = datetime(2026, 1, 5, 23, tzinfo=UTC)
    late = datetime(2026, 1, 6, 1, tzinfo=timezone(timedelta(hours=1)))
    assert str(attribute_data(early, "it")) < str(attribute_data(late + timedelta(seconds=1), "it"))
