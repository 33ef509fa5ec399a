"""What the shop's two processes say to each other over a broker, and where it is; it must not handle a message."""

import os

from domain.payments.messages import CaptureRefunded, PaymentCaptured, PaymentRejected, ProcessPayment, RefundPayment
from sagalog.messages import CommandRefused
from sagalog.transports.faststream import FastStreamTransport

COMMANDS = (ProcessPayment, RefundPayment)
ANSWERS = (PaymentCaptured, PaymentRejected, CaptureRefunded, CommandRefused)


ACKNOWLEDGE_WITHIN_SECONDS = 5.0
"""Each takes a message within milliseconds; who has not is dead, and another one gets it."""


def broker_address() -> str | None:
    """Read where the broker is, such as nats://127.0.0.1:4222; None: everything happens in this process."""
    return os.environ.get("SHOP_BROKER") or None


def transport_of_orders(address: str) -> FastStreamTransport:
    """Return what carries the commands of the order process to the payment service, and its answers back."""
    return FastStreamTransport(
        address, service="orders", sends=COMMANDS, listens=ANSWERS, acknowledge_within=ACKNOWLEDGE_WITHIN_SECONDS
    )


def transport_of_payments(address: str) -> FastStreamTransport:
    """Return the other end of it."""
    return FastStreamTransport(
        address, service="payments", sends=ANSWERS, listens=COMMANDS, acknowledge_within=ACKNOWLEDGE_WITHIN_SECONDS
    )
