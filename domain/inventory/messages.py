"""What the inventory says to others; it must not say how the stock is kept."""

import msgspec

from domain.ordering.messages import OrderCreated
from sagalog import Event


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """The pieces set aside for one order."""

    reservation_id: str
    order_id: str
    quantities: dict[str, int]
    """Pieces by SKU."""


class Restocked(msgspec.Struct, frozen=True, kw_only=True):
    """The pieces of one line of a return that are on the shelf again."""

    return_id: str
    sku: str
    quantity: int


class InventoryReserved(Event):
    """An order's pieces are set aside."""

    order_id: str
    reservation_id: str
    order: OrderCreated
    """For who comes next."""


class InventoryRejected(Event):
    """No piece was set aside, and why."""

    order_id: str
    reason: str


class InventoryReleased(Event):
    """Nothing is set aside for an order any more."""

    order_id: str
