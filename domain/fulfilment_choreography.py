"""The same order with nobody in charge: each context reacts to what the others say; only the contract stands here.

It says how such an order begins and ends and what undoes what, so that it can be checked, followed, timed and audited.
"""

from datetime import timedelta

from domain.inventory.messages import InventoryRejected, InventoryReleased, InventoryReserved
from domain.inventory.reactions import inventory
from domain.ordering.messages import OrderCreated
from domain.payments.messages import PaymentProcessed, PaymentRefunded, RefundFailed, RefundRequested
from domain.payments.reactions import payments
from domain.shipping.messages import ShipmentCreated
from domain.shipping.reactions import shipping
from sagalog import Choreography

fulfil_together = Choreography(
    "order-fulfilment-choreographed",
    key="order_id",
    starts_with=OrderCreated,
    completes_with=ShipmentCreated,
    fails_with=(InventoryRejected, InventoryReleased),
    compensates={InventoryReserved: InventoryReleased, PaymentProcessed: PaymentRefunded},
    # A person has the account opened, and then asks for the refund again.
    stuck_with=RefundFailed,
    from_outside={RefundRequested: RefundFailed},
    participants=[inventory, payments, shipping],
    timeout=timedelta(hours=1),
)
