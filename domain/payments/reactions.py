"""How the payment service takes part where nobody is in charge: what it does when it hears of others.

It must not answer commands: `domain.payments.commands` does, and says why its answers are other events.
"""

from domain.errors import NotDone
from domain.inventory.messages import InventoryReserved
from domain.payments.messages import PaymentFailed, PaymentProcessed, PaymentRefunded, RefundFailed, RefundRequested
from domain.payments.service import Payments
from domain.shipping.messages import ShipmentFailed
from sagalog import MessageContext, Participant, Retry

payments = Participant("payments", retry=Retry(attempts=10, delay=0.05, max_delay=1.0), timeout=30)


def payment_key(order_id: str) -> str:
    """Return the key under which an order's total is taken."""
    return f"{order_id}:process_payment"


@payments.on
def process(event: InventoryReserved, bank: Payments) -> PaymentProcessed | PaymentFailed:
    """Take the order's total from the card."""
    order = event.order
    try:
        payment = bank.capture(event.order_id, order.card_token, order.total_cents, key=payment_key(event.order_id))
    except NotDone as error:
        return PaymentFailed(order_id=event.order_id, reason=str(error))
    return PaymentProcessed(
        order_id=event.order_id, payment_id=payment.payment_id, amount_cents=payment.amount_cents, order=order
    )


@payments.on
def refund(
    event: ShipmentFailed | RefundRequested, bank: Payments, ctx: MessageContext
) -> PaymentRefunded | RefundFailed:
    """Give the money back; with a closed account that fails, until a person has had it opened and asks again."""
    try:
        bank.refund(undoes=payment_key(event.order_id), key=ctx.idempotency_key)
    except NotDone as error:
        return RefundFailed(order_id=event.order_id, reason=str(error))
    return PaymentRefunded(order_id=event.order_id)
