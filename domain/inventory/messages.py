"""What the inventory says to others; it must not say how the stock is kept."""

import msgspec


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Be the pieces set aside for one order."""

    reservation_id: str
    order_id: str
    quantities: dict[str, int]
    """Pieces by SKU."""
