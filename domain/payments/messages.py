"""What is asked of the payment service and what it says to others; it must not carry a card number.

Its answers to a command are other events than those it tells everybody: the carrier books a parcel when it hears
`PaymentProcessed`, so a saga that pays by command, and books the parcel itself, must not cause one.
"""

import msgspec

from domain.ordering.messages import OrderCreated
from sagalog import Command, Event


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """The money captured for one order."""

    payment_id: str
    order_id: str
    amount_cents: int


class PayBack(msgspec.Struct, frozen=True, kw_only=True):
    """The money given back for returned goods."""

    pay_back_id: str
    return_id: str
    amount_cents: int


class PaymentProcessed(Event):
    """An order is paid."""

    order_id: str
    payment_id: str
    amount_cents: int
    order: OrderCreated
    """For who comes next."""


class PaymentFailed(Event):
    """No money has moved, and why."""

    order_id: str
    reason: str


class PaymentRefunded(Event):
    """The money of an order is back on the card."""

    order_id: str


class RefundFailed(Event):
    """The money could not be given back: a person has to talk to the bank."""

    order_id: str
    reason: str


class RefundRequested(Event):
    """A person wants a refund tried again that failed: they have talked to the bank."""

    order_id: str


class ProcessPayment(Command):
    """A command that asks for an order's total."""

    order_id: str
    card_token: str
    amount_cents: int


class PaymentCaptured(Event):
    """The answer to `ProcessPayment`: the order is paid."""

    order_id: str
    payment_id: str
    amount_cents: int


class PaymentRejected(Event):
    """The answer to `ProcessPayment`: no money has moved, and why."""

    order_id: str
    reason: str


class RefundPayment(Command):
    """A command that asks for the money back that a `ProcessPayment` may have moved."""

    order_id: str
    undoes: str
    """The id of the command to undo: it may not even have arrived."""


class CaptureRefunded(Event):
    """The answer to `RefundPayment`: nothing of the order's money is with the shop any more."""

    order_id: str
