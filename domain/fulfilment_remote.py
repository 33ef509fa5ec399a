"""The same order where the payment service is another process: it is asked by command, and answers by event.

Stock and parcels are in this process, as in `domain.fulfilment`. Nothing here knows what carries the messages:
without a broker, `payments_desk` answers in this process; with one, `python -m domain.payments` does in another.
"""

from datetime import timedelta

from domain.fulfilment import ASK, UNDO, refusals
from domain.inventory.messages import Reservation
from domain.inventory.service import Inventory
from domain.ordering.messages import Order
from domain.payments.messages import (
    CaptureRefunded,
    PaymentCaptured,
    PaymentRejected,
    ProcessPayment,
    RefundPayment,
)
from domain.shipping.messages import Shipment
from domain.shipping.service import Carrier
from sagalog import Saga, StepContext

fulfil_order_remotely = Saga(
    "order-fulfilment-remote",
    input=Order,
    version=1,
    timeout=timedelta(hours=1),
    key=lambda order: order.order_id,
)


@fulfil_order_remotely.step(retry=ASK, timeout=30)
def reserve_inventory(order: Order, inventory: Inventory, ctx: StepContext) -> Reservation:
    """Set the order's pieces aside."""
    with refusals():
        return inventory.reserve(order.order_id, order.quantities(), key=ctx.idempotency_key)


@reserve_inventory.compensate(retry=UNDO, timeout=30)
def release_inventory(reservation: Reservation | None, inventory: Inventory, ctx: StepContext) -> None:
    """Put the pieces back, whether or not we ever heard that they were set aside."""
    with refusals():
        inventory.release(undoes=ctx.action_key, key=ctx.idempotency_key)


@fulfil_order_remotely.request(PaymentCaptured, refused=PaymentRejected, timeout=timedelta(minutes=5))
def process_payment(order: Order) -> ProcessPayment:
    """Ask for the order's total. It is asked once: the broker keeps the command until it is answered."""
    return ProcessPayment(order_id=order.order_id, card_token=order.card_token, amount_cents=order.total_cents)


@process_payment.compensate(reply=CaptureRefunded, retry=UNDO, timeout=timedelta(minutes=5))
def refund_payment(payment: PaymentCaptured | None, order: Order, ctx: StepContext) -> RefundPayment:
    """Ask for the money back, whether or not we ever heard that it was taken."""
    return RefundPayment(order_id=order.order_id, undoes=ctx.action_key)


@fulfil_order_remotely.step(retry=ASK, timeout=60)
def create_shipment(order: Order, payment: PaymentCaptured, carrier: Carrier, ctx: StepContext) -> Shipment:
    """Book the parcel, once it is paid for."""
    with refusals():
        return carrier.book(
            payment.order_id,
            order.destination,
            key=ctx.idempotency_key,
            down_for=order.carrier_down_for,
            mute_for=order.carrier_mute_for,
        )


@create_shipment.compensate(retry=UNDO, timeout=30)
def cancel_shipment(shipment: Shipment | None, carrier: Carrier, ctx: StepContext) -> None:
    """Cancel the parcel: it may be booked although the carrier never answered."""
    with refusals():
        carrier.cancel(undoes=ctx.action_key, key=ctx.idempotency_key)
