"""What the carrier says to others; it must not say how it drives."""

import msgspec


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """Be the parcel booked for one order."""

    tracking_id: str
    order_id: str
    destination: str
