"""The order book has each order once, and an order is checked before it enters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sagas.shop import Shop, from_threads, operations, order

from domain.errors import KeyReused
from domain.ordering.messages import Order
from domain.ordering.service import OrderConflict


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop.db") as shop:
        yield shop


def test_an_order_is_placed_once_whoever_places_it_again(shop: Shop) -> None:
    assert shop.ordering.place(order("o1"), key="k1") is True
    assert shop.ordering.place(order("o1"), key="k1") is False
    assert shop.ordering.place(order("o1"), key="k2") is False
    assert operations(shop.ordering) == [("place", "", 1)]
    assert shop.ordering.find("o1") == order("o1")
    assert shop.ordering.find("o2") is None
    assert shop.ordering.totals() == {"o1": 100}


def test_an_order_id_is_not_given_to_another_order(shop: Shop) -> None:
    shop.ordering.place(order("o1"), key="k1")
    with pytest.raises(OrderConflict, match="an id of its own"):
        shop.ordering.place(order("o1", total_cents=200), key="k2")


def test_a_key_is_not_used_for_another_order(shop: Shop) -> None:
    shop.ordering.place(order("o1"), key="k1")
    with pytest.raises(KeyReused):
        shop.ordering.place(order("o2"), key="k1")


def test_threads_that_place_one_order_place_it_once(shop: Shop) -> None:
    assert sum(from_threads(8, lambda: shop.ordering.place(order("o1"), key="k1"))) == 1


def test_pieces_of_one_sku_on_several_lines_are_summed() -> None:
    lines = [{"sku": "mug", "quantity": 1}, {"sku": "kettle", "quantity": 1}]
    given = order().model_dump() | {"lines": [*lines, {"sku": "mug", "quantity": 2}]}
    assert Order.model_validate(given).quantities() == {"mug": 3, "kettle": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": ""},
        {"order_id": "o" * 65},
        {"order_id": "o\x001"},
        {"order_id": "o1\n"},
        {"customer": "Ada\x00"},
        {"lines": []},
        {"lines": [{"sku": "mug", "quantity": 0}]},
        {"total_cents": 0},
        {"total_cents": "much"},
        {"destination": ""},
        {"carrier_down_for": -1},
        {"colour": "red"},
    ],
)
def test_an_order_that_makes_no_sense_does_not_enter(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(order().model_dump() | change)
