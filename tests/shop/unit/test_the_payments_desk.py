"""The payments desk answers commands: once for each id, with a tombstone where the undoing came first."""

from collections.abc import Iterator

import pytest
from sagas.shop import Shop, operations

from domain.payments import commands as desk
from domain.payments.messages import (
    CaptureRefunded,
    PaymentCaptured,
    PaymentRejected,
    ProcessPayment,
    RefundPayment,
)
from domain.payments.service import CLOSED_ACCOUNT_CARD, SLOW_REFUND_CARD, SLOW_REFUND_TRIES, BankUnavailable
from sagalog import MessageContext, Refused

COMMAND = "s1:process_payment"
UNDO = RefundPayment(order_id="o1", undoes=COMMAND)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


def context(message_id: str) -> MessageContext:
    return MessageContext(
        message_id=message_id,
        correlation_id="o1",
        causation_id=None,
        source="saga:order-fulfilment-remote",
        attempt=1,
        participant="payments-desk",
    )


def pay(shop: Shop, card_token: str = "tok_visa", *, message_id: str = COMMAND) -> PaymentCaptured | PaymentRejected:
    command = ProcessPayment(order_id="o1", card_token=card_token, amount_cents=100)
    return desk.process(command, shop.payments, context(message_id))


def refund(shop: Shop, message_id: str = f"{COMMAND}:undo") -> CaptureRefunded:
    return desk.refund(UNDO, shop.payments, context(message_id))


def test_a_command_is_done_once_and_answered_the_same_each_time(shop: Shop) -> None:
    """Invariant 7."""
    first = pay(shop)
    assert isinstance(first, PaymentCaptured)
    assert pay(shop) == first
    assert operations(shop.payments) == [("capture", "tok_visa", 100)]


def test_a_declined_card_is_answered_with_a_refusal(shop: Shop) -> None:
    assert pay(shop, "tok_declined") == PaymentRejected(order_id="o1", reason="the bank declined the card")


def test_the_money_is_given_back_once(shop: Shop) -> None:
    """Invariant 23."""
    pay(shop)
    for message_id in (f"{COMMAND}:undo", f"{COMMAND}:undo", f"{COMMAND}:undo:2"):
        assert refund(shop, message_id) == CaptureRefunded(order_id="o1")
    assert operations(shop.payments)[1:] == [("refund", "tok_visa", -100)]


def test_a_command_that_comes_after_its_undoing_is_refused(shop: Shop) -> None:
    """Invariants 21 and 22."""
    assert refund(shop) == CaptureRefunded(order_id="o1")
    answer = pay(shop)
    assert isinstance(answer, PaymentRejected)
    assert "has been refunded" in answer.reason
    assert shop.payments.balance_cents() == 0


def test_a_closed_account_refuses_the_refund_until_it_is_open_again(shop: Shop) -> None:
    pay(shop, CLOSED_ACCOUNT_CARD)
    with pytest.raises(Refused, match="is closed"):
        refund(shop)
    shop.payments.reopen_account("o1")
    assert refund(shop, f"{COMMAND}:undo:2") == CaptureRefunded(order_id="o1")


def test_a_bank_that_does_not_answer_is_asked_again(shop: Shop) -> None:
    pay(shop, SLOW_REFUND_CARD)
    for _ in range(SLOW_REFUND_TRIES):
        with pytest.raises(BankUnavailable):
            refund(shop)
    assert refund(shop) == CaptureRefunded(order_id="o1")
