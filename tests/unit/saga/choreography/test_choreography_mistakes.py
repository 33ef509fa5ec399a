"""Each mistake in the contract of a choreography gives one clear error that names it, when it is built."""

# mypy: disable-error-code="empty-body"

from typing import Any

import pytest
from sagas.fulfilling import (
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    OrderCreated,
    OrderEvent,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    RefundFailed,
    RefundRequested,
    ShipmentCreated,
    ShipmentFailed,
    fulfilment,
    participants,
)

from sagalog import Command, Event, Participant
from sagalog.errors import DefinitionError
from sagalog.saga.choreography.declare import Choreography


class OrderChecked(OrderEvent): ...


class InvoiceSent(OrderEvent): ...


class PointsGranted(OrderEvent): ...


class PointsRevoked(OrderEvent): ...


class CustomerTold(Event):
    customer: str


def mistakes(choreography: Choreography) -> list[str]:
    """Return the mistakes that building the choreography tells."""
    with pytest.raises(DefinitionError) as caught:
        _ = choreography.definition
    first, *listed = str(caught.value).splitlines()
    assert first == f"choreography {choreography.name!r} is declared wrongly:"
    return [line.removeprefix("  - ") for line in listed]


def only(choreography: Choreography, *parts: str) -> None:
    """Expect exactly one mistake whose text has all of these parts."""
    found = mistakes(choreography)
    assert len(found) == 1, found
    for part in parts:
        assert part in found[0]


def with_one_more(**changes: Any) -> tuple[Participant, Any]:
    """Return a participant more, and what declares the shop with it once it has its handlers."""
    one = Participant("another")
    return one, lambda: fulfilment(participants=[*participants(), one], **changes)


# ---------------------------------------------------------------------------------------------- what is right


def test_the_reference_choreography_is_right() -> None:
    definition = fulfilment().definition
    assert definition is not None
    assert definition.contract is not None
    assert set(definition.contract.failing) == {
        "InventoryRejected",
        "InventoryReleased",
        "PaymentFailed",
        "PaymentRefunded",
        "RefundFailed",
        "RefundRequested",
        "ShipmentFailed",
    }


def test_the_digest_covers_what_events_say_and_not_how_long_it_may_take() -> None:
    """Invariant 41."""
    digest = fulfilment().definition.digest
    assert fulfilment(timeout=5).definition.digest == digest
    assert fulfilment(version=2).definition.digest != digest
    assert fulfilment(observed=True).definition.digest != digest
    one, declare = with_one_more(ignores=CustomerTold)
    one.on(tell)
    assert declare().definition.digest == digest


def tell(event: ShipmentCreated) -> CustomerTold: ...


def test_effects_side_by_side_may_be_undone_side_by_side() -> None:
    one, declare = with_one_more(
        compensates={
            InventoryReserved: InventoryReleased,
            PaymentProcessed: PaymentRefunded,
            PointsGranted: PointsRevoked,
        }
    )

    @one.on
    def grant(event: OrderCreated) -> PointsGranted: ...

    @one.on
    def revoke(event: InventoryRejected | InventoryReleased) -> PointsRevoked: ...

    assert declare().definition.contract is not None


def test_several_choreographies_and_participants_may_take_one_event() -> None:
    one, declare = with_one_more()

    @one.on
    def count(event: OrderCreated) -> None: ...

    assert declare().definition.name == fulfilment().definition.name


# ---------------------------------------------------------------------------------------------- who says what


def test_an_event_that_nobody_reacts_to_and_that_is_no_end() -> None:
    """Invariant 4."""
    only(fulfilment(stuck_with=(), from_outside={}, ignores=RefundRequested), "nobody reacts to RefundFailed")


def test_an_event_that_nobody_publishes() -> None:
    """Invariant 14."""
    only(fulfilment(completes_with=(ShipmentCreated, InvoiceSent)), "nobody publishes InvoiceSent", "OrderCreated")
    only(
        fulfilment(compensates={**USUAL, OrderChecked: None}),
        "nobody publishes OrderChecked",
        "name it in from_outside",
    )


USUAL = {InventoryReserved: InventoryReleased, PaymentProcessed: PaymentRefunded}


def test_a_reaction_that_is_never_reached() -> None:
    """Invariant 14."""
    one, declare = with_one_more()

    @one.on
    def greet(event: OrderChecked) -> None: ...

    only(declare(), "another.greet is never reached: nobody publishes OrderChecked", "from_outside", "ignores")
    assert fulfilment(participants=[*participants(), one], ignores=OrderChecked).definition is not None


def test_an_event_without_the_key() -> None:
    """Invariant 4."""
    one, declare = with_one_more()
    one.on(tell)
    without_key, nobody_reacts = mistakes(declare())
    assert "CustomerTold has no field order_id" in without_key
    assert "nobody reacts to CustomerTold" in nobody_reacts
    only(
        fulfilment(observed=True, completes_with=(ShipmentCreated, CustomerTold)),
        "CustomerTold has no field order_id, which is the key of every event",
    )


# ---------------------------------------------------------------------------------------------- every way to its end


def test_an_effect_that_nobody_undoes_on_a_way_that_fails() -> None:
    """Invariants 14 and 15."""
    inventory, _, shipping = participants()
    payments = Participant("payments")

    @payments.on
    def process(event: InventoryReserved) -> PaymentProcessed | PaymentFailed: ...

    # Nobody gives the money back: the goods are all that is thought of.
    @payments.on
    def give_up(event: ShipmentFailed) -> PaymentFailed: ...

    @payments.on
    def refund(event: RefundRequested) -> PaymentRefunded: ...

    declared: dict[str, Any] = {"participants": [inventory, payments, shipping], "stuck_with": ()}
    only(
        fulfilment(**declared, from_outside={RefundRequested: InventoryRejected}),
        "after OrderCreated, InventoryReserved, PaymentProcessed, ShipmentFailed, PaymentFailed, InventoryReleased",
        "PaymentProcessed stands: no reaction publishes PaymentRefunded on this way",
    )
    never_reached = mistakes(fulfilment(**declared, from_outside={}, ignores=RefundRequested))
    assert "nobody publishes PaymentRefunded: no reaction that can follow from OrderCreated" in never_reached[0]


def test_an_undoing_that_may_stay_silent() -> None:
    """Invariant 15."""
    _, payments, shipping = participants()
    inventory = Participant("inventory")

    @inventory.on
    def reserve(event: OrderCreated) -> InventoryReserved | InventoryRejected: ...

    @inventory.on
    def release(event: PaymentFailed | PaymentRefunded) -> InventoryReleased | None: ...

    only(
        fulfilment(
            participants=[inventory, payments, shipping],
            from_outside={},
            stuck_with=RefundFailed,
            ignores=RefundRequested,
        ),
        "after OrderCreated, InventoryReserved, PaymentProcessed, ShipmentFailed, PaymentRefunded",
        "InventoryReserved stands: no reaction publishes InventoryReleased",
    )


def test_an_effect_of_which_nothing_is_said() -> None:
    """Invariant 14: a failure may follow, so it has to be undone, or to need no undoing."""
    only(
        fulfilment(compensates={PaymentProcessed: PaymentRefunded}),
        "after OrderCreated, InventoryReserved, ",
        "nothing says what undoes InventoryReserved; add it to compensates, with None",
    )
    choreography = fulfilment(compensates={InventoryReserved: None, PaymentProcessed: PaymentRefunded})
    assert choreography.definition.contract is not None


def test_a_way_that_leads_to_no_end() -> None:
    """Invariant 14."""
    only(
        fulfilment(fails_with=InventoryReleased),
        "nobody reacts to InventoryRejected, and it is no end; react to it, or name it in completes_with",
    )
    one, declare = with_one_more(fails_with=InventoryReleased)

    @one.on
    def apologise(event: InventoryRejected) -> None: ...

    only(declare(), "after OrderCreated, InventoryRejected nothing more comes, and it has neither completed nor failed")


def test_a_way_that_completes_and_fails() -> None:
    one, declare = with_one_more()

    @one.on
    def check(event: PaymentProcessed) -> PaymentFailed | None: ...

    found = mistakes(declare())
    assert any(
        "ShipmentCreated says that it is completed and PaymentFailed that it cannot be" in text for text in found
    )


def test_a_process_that_waits_for_somebody_outside_has_to_end_once_they_answer() -> None:
    checked = Participant("checks")

    @checked.on
    def ship(event: OrderChecked) -> ShipmentCreated: ...

    @checked.on
    def ask(event: OrderCreated) -> None: ...

    declared: dict[str, Any] = {
        "participants": [checked],
        "fails_with": (),
        "compensates": {},
        "stuck_with": (),
        "from_outside": {OrderChecked: OrderCreated},
    }
    assert fulfilment(**declared).definition.contract is not None
    only(fulfilment(**{**declared, "from_outside": {}, "ignores": OrderChecked}), "nobody publishes ShipmentCreated")

    class OrderForgotten(OrderEvent): ...

    declared["from_outside"] = {OrderForgotten: OrderCreated}
    checked = Participant("checks")

    @checked.on
    def forget(event: OrderForgotten) -> None: ...

    @checked.on
    def begin(event: OrderCreated) -> ShipmentCreated | None: ...

    only(fulfilment(**{**declared, "participants": [checked]}), "after OrderCreated, OrderForgotten nothing more comes")


def test_more_ways_than_anybody_understands() -> None:
    one, declare = with_one_more()
    for number in range(15):

        @one.on(name=f"maybe_{number}")
        def maybe(event: OrderCreated) -> InventoryReserved | None: ...

    found = mistakes(declare())
    assert "more than 20,000 ways; divide it" in found[-1]


# ---------------------------------------------------------------------------------------------- the declaration itself


def test_an_event_that_says_two_things() -> None:
    assert "ShipmentCreated fails it and completes it" in mistakes(fulfilment(fails_with=ShipmentCreated))[0]
    assert "OrderCreated starts it and completes it" in mistakes(fulfilment(completes_with=OrderCreated))[0]
    assert "ShipmentCreated completes it and is an effect" in mistakes(
        fulfilment(compensates={**USUAL, ShipmentCreated: None})
    )[0]  # fmt: skip
    assert "InventoryReserved undoes an effect and is an effect" in mistakes(
        fulfilment(compensates={PaymentProcessed: InventoryReserved, InventoryReserved: None})
    )[0]  # fmt: skip
    assert "RefundFailed is ignored and yet has a part" in mistakes(fulfilment(ignores=RefundFailed))[0]


def test_what_is_no_event() -> None:
    class Ship(Command):
        order_id: str

    found = mistakes(fulfilment(completes_with=Ship, fails_with=(Event, str)))
    assert found == [
        "completes_with takes events, and Ship is none; subclass Event",
        "fails_with takes events, and Event is none; subclass Event",
        "fails_with takes events, and str is none; subclass Event",
    ]


def test_what_is_left_out() -> None:
    first, second = mistakes(fulfilment(starts_with=(), completes_with=()))
    assert "starts_with names no event" in first
    assert "completes_with names no event" in second
    only(fulfilment(participants=()), "it has no participants", "observed=True")
    only(
        fulfilment(observed=True, participants=participants()), "observed=True says that its participants are not known"
    )


def test_names_and_versions_and_times_that_cannot_be() -> None:
    only(fulfilment(version=0), "version must be a whole number from 1")
    with pytest.raises(DefinitionError, match="choreography order-fulfilment: expected a timeout over 0 seconds"):
        fulfilment(timeout=0)
    nameless = Choreography(
        "a\0b", key="order_id", starts_with=OrderCreated, completes_with=ShipmentCreated, observed=True
    )
    only(nameless, "its name", "U+0000")


def test_two_types_of_one_name() -> None:
    class Other(OrderEvent):
        NAME = "ShipmentCreated"

    one, declare = with_one_more()

    @one.on
    def late(event: Other) -> None: ...

    only(declare(), "two types of events travel under the name ShipmentCreated")


def test_a_mistake_of_a_participant_is_told_as_its_own() -> None:
    with pytest.raises(DefinitionError, match="participant 'empty' is declared wrongly"):
        _ = fulfilment(participants=[*participants(), Participant("empty")]).definition
