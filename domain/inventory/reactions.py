"""How the inventory takes part where nobody is in charge: what it does when it hears of others; no rule of its own.

An effect is known by its order, since whoever has it undone may never have heard which message caused it.
"""

from domain.errors import NotDone
from domain.inventory.messages import InventoryRejected, InventoryReleased, InventoryReserved
from domain.inventory.service import Inventory
from domain.ordering.messages import OrderCreated
from domain.payments.messages import PaymentFailed, PaymentRefunded
from sagalog import MessageContext, Participant, Retry

inventory = Participant("inventory", retry=Retry(attempts=10, delay=0.05, max_delay=1.0), timeout=30)


def reservation_key(order_id: str) -> str:
    """Return the key under which an order's pieces are set aside."""
    return f"{order_id}:reserve_inventory"


@inventory.on
def reserve(event: OrderCreated, stock: Inventory) -> InventoryReserved | InventoryRejected:
    """Set the order's pieces aside."""
    try:
        reservation = stock.reserve(event.order_id, event.quantities(), key=reservation_key(event.order_id))
    except NotDone as error:
        return InventoryRejected(order_id=event.order_id, reason=str(error))
    return InventoryReserved(order_id=event.order_id, reservation_id=reservation.reservation_id, order=event)


@inventory.on
def release(event: PaymentFailed | PaymentRefunded, stock: Inventory, ctx: MessageContext) -> InventoryReleased:
    """Put the pieces back, once no money is with the shop; if none were set aside, none ever will be."""
    stock.release(undoes=reservation_key(event.order_id), key=ctx.idempotency_key)
    return InventoryReleased(order_id=event.order_id)
