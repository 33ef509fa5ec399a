"""What the payment service says to others; it must not carry a card number."""

import msgspec


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Be the money captured for one order."""

    payment_id: str
    order_id: str
    amount_cents: int
