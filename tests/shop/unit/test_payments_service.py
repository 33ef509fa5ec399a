"""The payment service keeps its promises to a saga: idempotent by key, refunded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sagas.shop import Shop, from_threads, operations

from domain.errors import AlreadyUndone, KeyReused
from domain.payments.messages import Payment
from domain.payments.service import (
    CLOSED_ACCOUNT_CARD,
    DECLINED_CARDS,
    SLOW_REFUND_CARD,
    SLOW_REFUND_TRIES,
    AccountClosed,
    BankUnavailable,
    CardDeclined,
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop.db") as shop:
        yield shop


def test_a_capture_raises_the_balance(shop: Shop) -> None:
    answer = shop.payments.capture("o1", "tok_visa", 250, key="k1")
    assert answer == Payment(payment_id=answer.payment_id, order_id="o1", amount_cents=250)
    assert shop.payments.balance_cents() == 250


def test_the_same_key_twice_gives_the_same_payment_and_one_effect(shop: Shop) -> None:
    """Invariant 7."""
    first = shop.payments.capture("o1", "tok_visa", 250, key="k1")
    assert shop.payments.capture("o1", "tok_visa", 250, key="k1") == first
    assert operations(shop.payments) == [("capture", "tok_visa", 250)]


@pytest.mark.parametrize("card_token", sorted(DECLINED_CARDS))
def test_a_declined_card_moves_no_money(shop: Shop, card_token: str) -> None:
    for _ in range(2):
        with pytest.raises(CardDeclined, match=DECLINED_CARDS[card_token]):
            shop.payments.capture("o1", card_token, 250, key="k1")
    assert shop.payments.balance_cents() == 0
    assert operations(shop.payments) == []


def test_a_refund_gives_the_money_back_once(shop: Shop) -> None:
    """Invariant 23."""
    shop.payments.capture("o1", "tok_visa", 250, key="k1")
    for key in ("k1:undo", "k1:undo", "k1:undo:2"):
        shop.payments.refund(undoes="k1", key=key)
    assert shop.payments.balance_cents() == 0
    assert operations(shop.payments)[1:] == [("refund", "tok_visa", -250)]


def test_refunding_what_was_never_captured_moves_no_money(shop: Shop) -> None:
    """Invariant 21: an empty compensation is a no-op that leaves a tombstone."""
    shop.payments.refund(undoes="k1", key="k1:undo")
    assert operations(shop.payments) == []


def test_a_capture_that_arrives_after_its_refund_is_refused(shop: Shop) -> None:
    """Invariant 22: no hanging."""
    shop.payments.refund(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone, match="'k1' has been refunded"):
        shop.payments.capture("o1", "tok_visa", 250, key="k1")
    assert shop.payments.balance_cents() == 0


def test_a_capture_is_not_made_again_under_a_refunded_key(shop: Shop) -> None:
    """Invariant 22."""
    shop.payments.capture("o1", "tok_visa", 250, key="k1")
    shop.payments.refund(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone):
        shop.payments.capture("o1", "tok_visa", 250, key="k1")


def test_a_slow_bank_makes_the_refund_once_it_answers(shop: Shop) -> None:
    shop.payments.capture("o1", SLOW_REFUND_CARD, 250, key="k1")
    for _ in range(SLOW_REFUND_TRIES):
        with pytest.raises(BankUnavailable):
            shop.payments.refund(undoes="k1", key="k1:undo")
        assert shop.payments.balance_cents() == 250
    shop.payments.refund(undoes="k1", key="k1:undo")
    assert shop.payments.balance_cents() == 0


def test_a_closed_account_takes_no_refund_until_it_is_opened_again(shop: Shop) -> None:
    shop.payments.capture("o1", CLOSED_ACCOUNT_CARD, 250, key="k1")
    for _ in range(2):
        with pytest.raises(AccountClosed, match="order o1"):
            shop.payments.refund(undoes="k1", key="k1:undo")
    assert shop.payments.balance_cents() == 250
    shop.payments.reopen_account("o1")
    shop.payments.refund(undoes="k1", key="k1:undo")
    assert shop.payments.balance_cents() == 0


def test_a_key_used_for_another_amount_is_refused(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 250, key="k1")
    with pytest.raises(KeyReused, match="amount_cents 250, found 251"):
        shop.payments.capture("o1", "tok_visa", 251, key="k1")


@pytest.mark.parametrize("amount_cents", [0, -1])
def test_a_capture_cannot_give_money_away(shop: Shop, amount_cents: int) -> None:
    with pytest.raises(ValueError, match="positive amount"):
        shop.payments.capture("o1", "tok_visa", amount_cents, key="k1")


def test_threads_with_one_key_capture_once_and_refund_once(shop: Shop) -> None:
    answers = from_threads(8, lambda: shop.payments.capture("o1", "tok_visa", 250, key="k1"))
    assert answers == [answers[0]] * 8
    assert shop.payments.balance_cents() == 250
    from_threads(8, lambda: shop.payments.refund(undoes="k1", key="k1:undo"))
    assert shop.payments.balance_cents() == 0
