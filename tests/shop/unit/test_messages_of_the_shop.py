"""What the shop tells of an order holds the whole order, and is checked again where it comes in."""

import msgspec
import pytest
from pydantic import ValidationError

from domain.data import read_orders
from domain.ordering.messages import OrderCreated, OrderEvent, OrderPlaced


@pytest.mark.parametrize("kind", [OrderPlaced, OrderCreated])
def test_an_order_survives_being_told(kind: type[OrderEvent]) -> None:
    for order in read_orders():
        told = msgspec.json.decode(msgspec.json.encode(kind.of(order)), type=kind)
        assert told.order() == order


def test_an_order_from_elsewhere_is_checked() -> None:
    """An event is typed, but only the order knows that nobody buys nothing."""
    told = OrderPlaced(
        order_id="o1", customer="Ada", lines=(), total_cents=0, card_token="tok_visa", destination="Lisbon"
    )
    with pytest.raises(ValidationError, match="total_cents"):
        told.order()
