"""The sample orders are the ones shipped, and hold what the demo is to show."""

from collections import Counter

from domain.data import ORDERS_PATH, STOCK_PATH, opening_stock, read_orders
from domain.ordering.messages import CARRIER_NEVER
from domain.payments.service import CLOSED_ACCOUNT_CARD, DECLINED_CARDS
from domain.sample import (
    CATALOGUE,
    CHOREOGRAPHED,
    EXPECTED_COUNTS,
    GROUPS,
    ORDERS_COUNT,
    choreographed_id,
    choreographed_orders,
    orders_text,
    sample_orders,
    stock_text,
    telling_order,
)


def test_the_files_shipped_are_what_the_generator_makes() -> None:
    """`python -m domain.sample` writes them again."""
    assert ORDERS_PATH.read_text(encoding="utf-8") == orders_text()
    assert STOCK_PATH.read_text(encoding="utf-8") == stock_text()
    assert read_orders() == list(sample_orders())


def test_each_order_has_an_id_of_its_own_and_costs_what_its_lines_cost() -> None:
    orders = read_orders()
    assert len({order.order_id for order in orders}) == ORDERS_COUNT == len(orders)
    for order in orders:
        prices = [CATALOGUE[sku][0] * pieces for sku, pieces in order.quantities().items()]
        assert order.total_cents == sum(prices)


def test_every_group_has_its_orders() -> None:
    orders = read_orders()
    cards = Counter(order.card_token for order in orders)
    assert sum(cards[token] for token in DECLINED_CARDS) == 18
    assert Counter(order.carrier_down_for for order in orders)[2] == GROUPS["carrier-late"][0]
    assert sum(order.destination == "Atlantis" for order in orders) == GROUPS["unserved"][0]


def test_exactly_one_refund_cannot_be_made() -> None:
    [stuck] = [order for order in read_orders() if order.card_token == CLOSED_ACCOUNT_CARD]
    assert stuck.carrier_down_for == CARRIER_NEVER
    assert EXPECTED_COUNTS["stuck"] == 1


def test_no_everyday_sku_can_run_out_whatever_the_order_in_which_they_run() -> None:
    wanted: Counter[str] = Counter()
    for order in read_orders():
        wanted.update(order.quantities())
    stock = dict(opening_stock().values())
    short = {sku for sku, pieces in wanted.items() if pieces > stock[sku]}
    assert short == {"espresso-limited", "syphon"}
    assert sum(EXPECTED_COUNTS.values()) == ORDERS_COUNT


def test_the_orders_without_a_coordinator_are_copies_that_compete_with_nobody() -> None:
    originals = {order.order_id: order for order in sample_orders()}
    copies = {order.order_id: order for order in choreographed_orders()}
    assert len(copies) == len(CHOREOGRAPHED)
    assert not copies.keys() & originals.keys()
    for order_id, original in originals.items():
        copy = copies.get(choreographed_id(order_id))
        if copy is not None:
            assert copy.model_copy(update={"order_id": order_id}) == original
            assert "espresso-limited" not in copy.quantities()
    assert choreographed_id(telling_order()) in copies


def test_every_kind_of_trouble_is_there_without_a_coordinator_too() -> None:
    assert set(CHOREOGRAPHED) == {"", *GROUPS} - {"limited"}
