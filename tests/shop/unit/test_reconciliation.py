"""Reconciliation believes the ledgers only, and finds every way in which they can disagree."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sagas.shop import Shop, order

from domain.database import statements
from domain.errors import ServiceError

PLANTED = statements(Path(__file__).parents[2] / "support" / "sagas" / "planted.sql")


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        shop.inventory.receive("mug", 100, key="opening:mug")
        yield shop


def rules(shop: Shop, ended: dict[str, str], *, book: bool = False) -> Counter[str]:
    return Counter(violation.rule for violation in shop.reconcile(ended, book=book))


def plant(shop: Shop, sql: str) -> None:
    with shop.database.transaction() as connection:
        connection.execute(sql)


def test_a_completed_order_with_all_three_things_is_whole(shop: Shop) -> None:
    shop.ordering.place(order("o1"), key="o1")
    shop.fulfil("o1")
    assert shop.reconcile({"o1": "completed"}, book=True) == []


def test_a_completed_order_that_was_not_shipped_is_found(shop: Shop) -> None:
    shop.fulfil("o1")
    shop.carrier.cancel(undoes="o1:create_shipment", key="o1:create_shipment:undo")
    violations = shop.reconcile({"o1": "completed"})
    assert [str(violation) for violation in violations] == [
        "completed order is not whole: o1: shipping: 0 standing, some undone"
    ]


def test_a_completed_order_that_nothing_was_done_for_is_found(shop: Shop) -> None:
    assert rules(shop, {"o1": "completed"}) == {"completed order is not whole": 3}


def test_a_failed_order_that_left_something_is_found(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 100, key="k1")
    assert rules(shop, {"o1": "failed"}) == {"failed order left something": 1}
    shop.payments.refund(undoes="k1", key="k1:undo")
    assert shop.reconcile({"o1": "failed"}) == []


def test_an_order_served_under_two_keys_is_found(shop: Shop) -> None:
    shop.payments.capture("o1", "tok_visa", 100, key="k1")
    assert shop.reconcile({"o1": "stuck"}) == []
    shop.payments.capture("o1", "tok_visa", 100, key="k2")
    assert rules(shop, {"o1": "stuck"}) == {"order served twice": 1}


def test_an_effect_for_an_order_that_was_never_started_is_found(shop: Shop) -> None:
    shop.fulfil("o1")
    assert rules(shop, {}) == {"effect without a saga": 3}


def test_an_order_in_the_book_without_a_saga_is_found(shop: Shop) -> None:
    shop.ordering.place(order("o1"), key="o1")
    assert rules(shop, {}, book=True) == {"order was lost": 1}


def test_an_order_paid_less_than_it_costs_is_found(shop: Shop) -> None:
    shop.ordering.place(order("o1", total_cents=100), key="o1")
    shop.fulfil("o1", cents=99)
    assert rules(shop, {"o1": "completed"}, book=True) == {"order paid wrongly": 1}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("double_booking", {"made more than once"}),
        ("double_refund", {"undone more than once", "made more than once"}),
        ("undone_unmade", {"undone without being made"}),
        ("lost_piece", {"stock does not add up"}),
        ("lost_cent", {"balance does not add up"}),
        ("lost_row", {"table and ledger differ"}),
    ],
)
def test_a_planted_disagreement_is_found(shop: Shop, block: str, expected: set[str]) -> None:
    shop.fulfil("o1")
    shop.payments.capture("o2", "tok_visa", 100, key="o2:process_payment")
    shop.payments.refund(undoes="o2:process_payment", key="o2:process_payment:undo")
    plant(shop, PLANTED[block])
    assert expected <= set(rules(shop, {"o1": "pending", "o2": "failed"}))


order_ids = st.sampled_from(["o1", "o2", "o3"])
asks = st.tuples(
    st.sampled_from(["reserve", "release", "capture", "refund", "book", "cancel"]),
    order_ids,
    st.sampled_from(["tok_visa", "tok_declined", "tok_slow_refund", "tok_closed_account"]),
    st.integers(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(asks, max_size=30), st.integers(0, 4))
def test_tables_and_ledgers_agree_after_any_sequence_of_calls(
    calls: list[tuple[str, str, str, int]], pieces: int
) -> None:
    with Shop() as shop:
        shop.inventory.receive("mug", pieces, key="opening:mug")
        for operation, order_id, card_token, again in calls:
            try:
                ask(shop, operation, order_id, card_token, again)
            except ServiceError:
                continue
        assert shop.reconcile({"o1": "pending", "o2": "stuck", "o3": "compensating"}) == []
        assert shop.inventory.levels()["mug"] == pieces - len(shop.inventory.live())


def ask(shop: Shop, operation: str, order_id: str, card_token: str, again: int) -> None:
    """Make one call of the saga's, late, repeated or out of order as the sequence has it."""
    undo = ":undo:2" if again else ":undo"
    if operation == "reserve":
        shop.inventory.reserve(order_id, {"mug": 1}, key=f"{order_id}:reserve")
    elif operation == "release":
        shop.inventory.release(undoes=f"{order_id}:reserve", key=f"{order_id}:reserve{undo}")
    elif operation == "capture":
        shop.payments.capture(order_id, card_token, 100, key=f"{order_id}:pay")
    elif operation == "refund":
        shop.payments.refund(undoes=f"{order_id}:pay", key=f"{order_id}:pay{undo}")
    elif operation == "book":
        shop.carrier.book(order_id, "Lisbon", key=f"{order_id}:ship", down_for=1, mute_for=again)
    else:
        shop.carrier.cancel(undoes=f"{order_id}:ship", key=f"{order_id}:ship{undo}")
