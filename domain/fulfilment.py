"""The saga that takes an order from stock to parcel, or back; it must not hold a service's rules.

It only says in which order the services are asked, how often, and which of their answers mean
"definitely not done".
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from domain.errors import NotDone
from domain.inventory.messages import Reservation
from domain.inventory.service import Inventory
from domain.ordering.messages import Order, OrderPlaced
from domain.payments.messages import Payment
from domain.payments.service import Payments
from domain.shipping.messages import Shipment
from domain.shipping.service import Carrier
from sagalog import Refused, Retry, Saga, StepContext

fulfil_order = Saga(
    "order-fulfilment",
    input=Order,
    version=1,
    timeout=timedelta(hours=1),
    key=lambda order: order.order_id,
    attributes=lambda order: {
        "customer": order.customer,
        "destination": order.destination,
        "total_cents": order.total_cents,
    },
)
fulfil_order.started_by(OrderPlaced, input=lambda event: event.order(), key=lambda event: event.order_id)

# The services stand in this process and answer within milliseconds, so the waits are short.
ASK = Retry(attempts=4, delay=0.05, max_delay=0.2)
UNDO = Retry(attempts=10, delay=0.05, max_delay=1.0)


@fulfil_order.step(retry=ASK, timeout=30)
def reserve_inventory(order: Order, inventory: Inventory, ctx: StepContext) -> Reservation:
    """Set the order's pieces aside."""
    with refusals():
        return inventory.reserve(order.order_id, order.quantities(), key=ctx.idempotency_key)


@reserve_inventory.compensate(retry=UNDO, timeout=30)
def release_inventory(reservation: Reservation | None, inventory: Inventory, ctx: StepContext) -> None:
    """Put the pieces back, whether or not we ever heard that they were set aside."""
    with refusals():
        inventory.release(undoes=ctx.action_key, key=ctx.idempotency_key)


@fulfil_order.step(retry=ASK, timeout=30)
def process_payment(order: Order, payments: Payments, ctx: StepContext) -> Payment:
    """Take the order's total from the card."""
    with refusals():
        return payments.capture(order.order_id, order.card_token, order.total_cents, key=ctx.idempotency_key)


@process_payment.compensate(retry=UNDO, timeout=30)
def refund_payment(payment: Payment | None, payments: Payments, ctx: StepContext) -> None:
    """Give the money back; a closed account makes the saga stuck, for a person to look at."""
    with refusals():
        payments.refund(undoes=ctx.action_key, key=ctx.idempotency_key)


@fulfil_order.step(retry=ASK, timeout=60)
def create_shipment(order: Order, payment: Payment, carrier: Carrier, ctx: StepContext) -> Shipment:
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


@contextmanager
def refusals() -> Generator[None]:
    """Turn a service's "definitely not done" into a refusal; any other error stays unknown."""
    try:
        yield
    except NotDone as error:
        raise Refused(str(error)) from error
