"""How the carrier takes part where nobody is in charge: what it does when it hears of others; no rule of its own."""

from domain.errors import NotDone, Unavailable
from domain.payments.messages import PaymentProcessed
from domain.shipping.messages import ShipmentCreated, ShipmentFailed
from domain.shipping.service import Carrier
from sagalog import MessageContext, Participant, Retry

shipping = Participant("shipping", retry=Retry(attempts=10, delay=0.05, max_delay=0.2), timeout=60)

TRIES = 4
"""How often the carrier is asked for a parcel. Nobody else is there to say that it was enough."""


def shipment_key(order_id: str) -> str:
    """Return the key under which an order's parcel is booked."""
    return f"{order_id}:create_shipment"


@shipping.on
def book(event: PaymentProcessed, carrier: Carrier, ctx: MessageContext) -> ShipmentCreated | ShipmentFailed:
    """Book the parcel of a paid order; after TRIES, cancel what may have been booked, and say that it failed."""
    order, key = event.order, shipment_key(event.order_id)
    try:
        shipment = carrier.book(
            event.order_id,
            order.destination,
            key=key,
            down_for=order.carrier_down_for,
            mute_for=order.carrier_mute_for,
        )
    except NotDone as error:
        return ShipmentFailed(order_id=event.order_id, reason=str(error))
    except Unavailable as error:
        if ctx.attempt < TRIES:
            raise
        carrier.cancel(undoes=key, key=ctx.idempotency_key)
        return ShipmentFailed(order_id=event.order_id, reason=str(error))
    return ShipmentCreated(order_id=event.order_id, tracking_id=shipment.tracking_id)
