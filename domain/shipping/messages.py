"""What the carrier says to others; it must not say how it drives."""

import msgspec

from sagalog import Event


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """The parcel booked for one order."""

    tracking_id: str
    order_id: str
    destination: str


class ShipmentCreated(Event):
    """An order's parcel is booked."""

    order_id: str
    tracking_id: str


class ShipmentFailed(Event):
    """There is no parcel for an order, and why."""

    order_id: str
    reason: str


class ParcelArrived(Event):
    """What a customer sent back is here."""

    return_id: str
    damaged: bool = False
