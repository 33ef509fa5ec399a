"""What the payment service does when it is asked by command, in any process; it must not know who asks, nor how.

An effect is known by the id of the command that asked for it, which a repetition has too. `RefundPayment` names the
command that it undoes, so that one that never came is refused when it comes.
"""

from domain.errors import NotDone
from domain.payments.messages import (
    CaptureRefunded,
    PaymentCaptured,
    PaymentRejected,
    ProcessPayment,
    RefundPayment,
)
from domain.payments.service import Payments
from sagalog import MessageContext, Participant, Refused, Retry

payments_desk = Participant("payments-desk", retry=Retry(attempts=10, delay=0.05, max_delay=1.0), timeout=30)


@payments_desk.handles
def process(command: ProcessPayment, bank: Payments, ctx: MessageContext) -> PaymentCaptured | PaymentRejected:
    """Take an order's total from the card."""
    order_id = command.order_id
    try:
        payment = bank.capture(order_id, command.card_token, command.amount_cents, key=ctx.idempotency_key)
    except NotDone as error:
        return PaymentRejected(order_id=order_id, reason=str(error))
    return PaymentCaptured(order_id=order_id, payment_id=payment.payment_id, amount_cents=payment.amount_cents)


@payments_desk.handles
def refund(command: RefundPayment, bank: Payments, ctx: MessageContext) -> CaptureRefunded:
    """Give the money back, or see to it that it will never be taken; with a closed account, refuse."""
    try:
        bank.refund(undoes=command.undoes, key=ctx.idempotency_key)
    except NotDone as error:
        raise Refused(str(error)) from error
    return CaptureRefunded(order_id=command.order_id)
