"""The services keep their promises for goods that come back: restocked once, paid back once, withdrawn once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sagas.shop import Shop, operations

from domain.errors import AlreadyUndone, KeyReused
from domain.inventory.messages import Restocked
from domain.inventory.service import OutOfStock
from domain.payments.messages import PayBack
from domain.payments.service import CLOSED_ACCOUNT_CARD, AccountClosed, NotPaid


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop.db") as shop:
        shop.inventory.receive("mug", 5, key="opening:mug")
        yield shop


def test_restocked_pieces_are_on_the_shelf_once(shop: Shop) -> None:
    for _ in range(2):
        answer = shop.inventory.restock("r1", "mug", 2, key="k1")
        assert answer == Restocked(return_id="r1", sku="mug", quantity=2)
    assert shop.inventory.levels() == {"mug": 7}
    assert operations(shop.inventory)[1:] == [("restock", "mug", 2)]
    assert shop.inventory.restocked() == {"k1": "r1"}


def test_a_withdrawal_takes_the_pieces_off_the_shelf_once(shop: Shop) -> None:
    shop.inventory.restock("r1", "mug", 2, key="k1")
    for key in ("k1:undo", "k1:undo", "k1:undo:2"):
        shop.inventory.withdraw(undoes="k1", key=key)
    assert shop.inventory.levels() == {"mug": 5}
    assert operations(shop.inventory)[2:] == [("withdraw", "mug", -2)]
    assert shop.inventory.restocked() == {}


def test_a_restocking_that_arrives_after_its_withdrawal_is_refused(shop: Shop) -> None:
    """Invariants 21 and 22: an empty compensation leaves a tombstone."""
    shop.inventory.withdraw(undoes="k1", key="k1:undo")
    assert operations(shop.inventory)[1:] == []
    with pytest.raises(AlreadyUndone, match="'k1' has been withdrawn"):
        shop.inventory.restock("r1", "mug", 2, key="k1")
    assert shop.inventory.levels() == {"mug": 5}


def test_pieces_that_were_sold_again_cannot_be_withdrawn(shop: Shop) -> None:
    shop.inventory.restock("r1", "mug", 2, key="k1")
    shop.inventory.reserve("o1", {"mug": 6}, key="k2")
    with pytest.raises(OutOfStock, match="mug: 2 wanted, 1 on hand"):
        shop.inventory.withdraw(undoes="k1", key="k1:undo")
    assert shop.inventory.restocked() == {"k1": "r1"}


def test_a_key_of_another_line_is_refused(shop: Shop) -> None:
    shop.inventory.restock("r1", "mug", 2, key="k1")
    with pytest.raises(KeyReused, match="quantity"):
        shop.inventory.restock("r1", "mug", 3, key="k1")


def test_money_is_paid_back_once(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 250, key="o1:pay")
    for _ in range(2):
        answer = shop.payments.pay_back("r1", "o1", 100, key="k1")
        assert answer == PayBack(pay_back_id=answer.pay_back_id, return_id="r1", amount_cents=100)
    assert shop.payments.balance_cents() == 150
    assert shop.payments.paid_back() == {"k1": "r1"}


def test_no_more_is_paid_back_than_was_paid(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 250, key="o1:pay")
    shop.payments.pay_back("r1", "o1", 200, key="k1")
    for _ in range(2):
        with pytest.raises(NotPaid, match="order o1: 100 cents to pay back, 50 paid"):
            shop.payments.pay_back("r2", "o1", 100, key="k2")
    assert shop.payments.balance_cents() == 50


def test_nothing_is_paid_back_for_an_order_that_was_refunded(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 250, key="o1:pay")
    shop.payments.refund(undoes="o1:pay", key="o1:pay:undo")
    with pytest.raises(NotPaid, match="100 cents to pay back, 0 paid"):
        shop.payments.pay_back("r1", "o1", 100, key="k1")


def test_a_closed_account_takes_no_money_until_it_is_open_again(shop: Shop) -> None:
    shop.payments.capture("o1", CLOSED_ACCOUNT_CARD, 250, key="o1:pay")
    with pytest.raises(AccountClosed, match="is closed"):
        shop.payments.pay_back("r1", "o1", 100, key="k1")
    shop.payments.reopen_account("o1")
    shop.payments.pay_back("r1", "o1", 100, key="k1")
    assert shop.payments.balance_cents() == 150


@pytest.mark.parametrize("amount_cents", [0, -5])
def test_a_pay_back_that_would_be_a_payment_is_refused(shop: Shop, amount_cents: int) -> None:
    with pytest.raises(ValueError, match="expected a positive amount"):
        shop.payments.pay_back("r1", "o1", amount_cents, key="k1")


def test_a_return_is_closed_once(shop: Shop) -> None:
    for key in ("k1", "k1", "k2"):
        shop.ordering.close_return("r1", "o1", key=key)
    assert shop.ordering.closed_returns() == {"r1": "o1"}
    assert operations(shop.ordering) == [("close_return", "r1", 0)]


def test_goods_that_come_back_leave_the_books_of_the_orders_alone(shop: Shop) -> None:
    shop.fulfil("o1", cents=250)
    shop.inventory.restock("r1", "mug", 1, key="k1")
    shop.payments.pay_back("r1", "o1", 100, key="k2")
    shop.ordering.close_return("r1", "o1", key="k3")
    assert shop.reconcile({"o1": "completed"}) == []


def test_a_completed_return_is_restocked_paid_back_and_closed(shop: Shop) -> None:
    shop.fulfil("o1", cents=250)
    assert [str(one) for one in shop.reconcile_returns({"r1": "completed"})] == [
        "completed return is not whole: r1: 0 restocked, 0 paid back, not closed"
    ]
    shop.inventory.restock("r1", "mug", 1, key="k1")
    shop.payments.pay_back("r1", "o1", 100, key="k2")
    shop.ordering.close_return("r1", "o1", key="k3")
    assert shop.reconcile_returns({"r1": "completed"}) == []


def test_a_failed_return_leaves_nothing(shop: Shop) -> None:
    shop.fulfil("o1", cents=250)
    shop.inventory.restock("r1", "mug", 1, key="k1")
    assert [str(one) for one in shop.reconcile_returns({"r1": "failed"})] == [
        "failed return left something: r1: 1 restocked, 0 paid back"
    ]
    shop.inventory.withdraw(undoes="k1", key="k1:undo")
    assert shop.reconcile_returns({"r1": "failed"}) == []


def test_a_return_that_is_paid_back_twice_is_found(shop: Shop) -> None:
    shop.fulfil("o1", cents=250)
    shop.inventory.restock("r1", "mug", 1, key="k1")
    for key in ("k2", "k3"):
        shop.payments.pay_back("r1", "o1", 100, key=key)
    shop.ordering.close_return("r1", "o1", key="k4")
    assert [str(one) for one in shop.reconcile_returns({"r1": "completed"})] == [
        "completed return is not whole: r1: 1 restocked, 2 paid back, closed"
    ]


def test_an_effect_of_a_return_that_never_was_is_found(shop: Shop) -> None:
    shop.inventory.restock("r1", "mug", 1, key="k1")
    assert [one.rule for one in shop.reconcile_returns({})] == ["effect without a saga"]
