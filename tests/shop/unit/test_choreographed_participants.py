"""Each participant of the choreographed order does its part once, refuses what it must, undoes what may be there."""

from collections.abc import Iterator

import pytest
from sagas.shop import Shop, operations, order

from domain.inventory import reactions as inventory
from domain.inventory.messages import InventoryRejected, InventoryReleased, InventoryReserved
from domain.ordering.messages import CARRIER_NEVER, OrderCreated
from domain.payments import reactions as payments
from domain.payments.messages import (
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    RefundFailed,
    RefundRequested,
)
from domain.payments.service import CLOSED_ACCOUNT_CARD, SLOW_REFUND_CARD, SLOW_REFUND_TRIES, BankUnavailable
from domain.shipping import reactions as shipping
from domain.shipping.messages import ShipmentCreated, ShipmentFailed
from domain.shipping.service import CarrierDown, CarrierMute
from sagalog import MessageContext


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        shop.inventory.receive("mug", 5, key="opening:mug")
        yield shop


def created(**changes: object) -> OrderCreated:
    return OrderCreated.of(order("o1").model_copy(update=changes))


def context(participant: str, *, message_id: str = "m1", attempt: int = 1) -> MessageContext:
    return MessageContext(
        message_id=message_id,
        correlation_id="o1",
        causation_id=None,
        source="test",
        attempt=attempt,
        participant=participant,
    )


def reserved(**changes: object) -> InventoryReserved:
    return InventoryReserved(order_id="o1", reservation_id="res-1", order=created(**changes))


def processed(**changes: object) -> PaymentProcessed:
    return PaymentProcessed(order_id="o1", payment_id="pay-1", amount_cents=100, order=created(**changes))


def test_the_inventory_reserves_once_however_often_it_hears_of_the_order(shop: Shop) -> None:
    """Invariant 7: an order that is told twice, by two messages, is served once."""
    first = inventory.reserve(created(), shop.inventory)
    assert isinstance(first, InventoryReserved)
    assert first.order == created()
    assert inventory.reserve(created(), shop.inventory) == first
    assert operations(shop.inventory)[1:] == [("reserve", "mug", -1)]


def test_the_inventory_rejects_an_order_for_more_than_it_has(shop: Shop) -> None:
    shop.inventory.reserve("o0", {"mug": 5}, key="k0")
    answer = inventory.reserve(created(), shop.inventory)
    assert answer == InventoryRejected(order_id="o1", reason="mug: 1 wanted, 0 on hand")


@pytest.mark.parametrize(
    "news",
    [PaymentFailed(order_id="o1", reason="no"), PaymentRefunded(order_id="o1")],
    ids=lambda news: type(news).__name__,
)
def test_the_inventory_releases_once_however_often_it_hears_that_no_money_is_there(
    shop: Shop, news: PaymentFailed | PaymentRefunded
) -> None:
    """Invariant 23: k deliveries of a compensation have one effect."""
    inventory.reserve(created(), shop.inventory)
    for message_id in ("m1", "m1", "m2"):
        answer = inventory.release(news, shop.inventory, context("inventory", message_id=message_id))
        assert answer == InventoryReleased(order_id="o1")
    assert shop.inventory.levels() == {"mug": 5}
    assert operations(shop.inventory)[2:] == [("release", "mug", 1)]


def test_an_order_that_comes_after_its_release_is_rejected(shop: Shop) -> None:
    """Invariants 21 and 22: the news overtook the order, and leave a tombstone."""
    inventory.release(PaymentFailed(order_id="o1", reason="no"), shop.inventory, context("inventory"))
    answer = inventory.reserve(created(), shop.inventory)
    assert isinstance(answer, InventoryRejected)
    assert "has been released" in answer.reason
    assert shop.inventory.levels() == {"mug": 5}


def test_the_payment_service_takes_the_money_once(shop: Shop) -> None:
    """Invariant 7."""
    first = payments.process(reserved(), shop.payments)
    assert isinstance(first, PaymentProcessed)
    assert (first.amount_cents, first.order) == (100, created())
    assert payments.process(reserved(), shop.payments) == first
    assert shop.payments.balance_cents() == 100


def test_a_declined_card_is_told(shop: Shop) -> None:
    answer = payments.process(reserved(card_token="tok_declined"), shop.payments)
    assert answer == PaymentFailed(order_id="o1", reason="the bank declined the card")
    assert shop.payments.balance_cents() == 0


def test_the_money_is_given_back_once_when_there_is_no_parcel(shop: Shop) -> None:
    """Invariant 23."""
    payments.process(reserved(), shop.payments)
    failed = ShipmentFailed(order_id="o1", reason="no")
    for message_id in ("m1", "m1", "m2"):
        answer = payments.refund(failed, shop.payments, context("payments", message_id=message_id))
        assert answer == PaymentRefunded(order_id="o1")
    assert operations(shop.payments)[1:] == [("refund", "tok_visa", -100)]


def test_a_payment_that_comes_after_its_refund_is_refused(shop: Shop) -> None:
    """Invariants 21 and 22."""
    payments.refund(ShipmentFailed(order_id="o1", reason="no"), shop.payments, context("payments"))
    answer = payments.process(reserved(), shop.payments)
    assert isinstance(answer, PaymentFailed)
    assert shop.payments.balance_cents() == 0


def test_a_bank_that_does_not_answer_is_asked_again(shop: Shop) -> None:
    payments.process(reserved(card_token=SLOW_REFUND_CARD), shop.payments)
    failed = ShipmentFailed(order_id="o1", reason="no")
    for _ in range(SLOW_REFUND_TRIES):
        with pytest.raises(BankUnavailable):
            payments.refund(failed, shop.payments, context("payments"))
    assert payments.refund(failed, shop.payments, context("payments")) == PaymentRefunded(order_id="o1")
    declared = payments.payments.definition.handlers["ShipmentFailed"][0].retry
    assert not declared.is_over(SLOW_REFUND_TRIES, since=0, now=0)


def test_a_refund_to_a_closed_account_fails_until_a_person_asks_again(shop: Shop) -> None:
    payments.process(reserved(card_token=CLOSED_ACCOUNT_CARD), shop.payments)
    answer = payments.refund(ShipmentFailed(order_id="o1", reason="no"), shop.payments, context("payments"))
    assert isinstance(answer, RefundFailed)
    assert "is closed" in answer.reason
    shop.payments.reopen_account("o1")
    again = payments.refund(RefundRequested(order_id="o1"), shop.payments, context("payments", message_id="m2"))
    assert again == PaymentRefunded(order_id="o1")
    assert shop.payments.balance_cents() == 0


def test_the_carrier_books_once(shop: Shop) -> None:
    """Invariant 7."""
    first = shipping.book(processed(), shop.carrier, context("shipping"))
    assert isinstance(first, ShipmentCreated)
    assert shipping.book(processed(), shop.carrier, context("shipping")) == first
    assert operations(shop.carrier) == [("book", "Lisbon", 1)]


def test_a_destination_that_is_not_served_is_told(shop: Shop) -> None:
    answer = shipping.book(processed(destination="Atlantis"), shop.carrier, context("shipping"))
    assert answer == ShipmentFailed(order_id="o1", reason="no service to Atlantis")


def test_a_carrier_that_is_late_is_asked_again(shop: Shop) -> None:
    late = processed(carrier_down_for=1, carrier_mute_for=1)
    for attempt, problem in enumerate((CarrierDown, CarrierMute), start=1):
        with pytest.raises(problem):
            shipping.book(late, shop.carrier, context("shipping", attempt=attempt))
    answer = shipping.book(late, shop.carrier, context("shipping", attempt=3))
    assert isinstance(answer, ShipmentCreated)
    assert operations(shop.carrier) == [("book", "Lisbon", 1)]


@pytest.mark.parametrize(
    ("trouble", "left"),
    [("carrier_down_for", []), ("carrier_mute_for", [("book", "Lisbon", 1), ("cancel", "Lisbon", -1)])],
)
def test_what_a_silent_carrier_may_have_booked_is_cancelled_before_the_failure_is_told(
    shop: Shop, trouble: str, left: list[tuple[str, str, int]]
) -> None:
    """Invariant 9: an unknown outcome is not a refusal, so it is undone first."""
    silent = processed(**{trouble: CARRIER_NEVER})
    for attempt in range(1, shipping.TRIES):
        with pytest.raises((CarrierDown, CarrierMute)):
            shipping.book(silent, shop.carrier, context("shipping", attempt=attempt))
    answer = shipping.book(silent, shop.carrier, context("shipping", attempt=shipping.TRIES))
    assert isinstance(answer, ShipmentFailed)
    assert operations(shop.carrier) == left
    assert shop.carrier.live() == {}


def test_a_try_after_the_last_one_books_nothing(shop: Shop) -> None:
    """Invariant 22: the process died after it had cancelled, and the message is handled again."""
    silent = processed(carrier_down_for=CARRIER_NEVER)
    shipping.book(silent, shop.carrier, context("shipping", attempt=shipping.TRIES))
    answer = shipping.book(processed(), shop.carrier, context("shipping", attempt=shipping.TRIES + 1))
    assert isinstance(answer, ShipmentFailed)
    assert shop.carrier.live() == {}
