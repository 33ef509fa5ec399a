"""What a customer sends, checked as it enters, and what the shop tells of it; not what becomes of the order."""

from typing import Annotated, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sagalog import Event

OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]

CARRIER_NEVER = 1_000
"""More tries than any retry policy makes."""


class OrderLine(BaseModel):
    """So many pieces of one SKU."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: Name
    quantity: int = Field(ge=1, le=1_000)


class Order(BaseModel):
    """What a customer asks for.

    `card_token` and the two `carrier_` fields decide what the payment service and the carrier do,
    as the test values of their sandboxes would.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId
    customer: Name
    lines: tuple[OrderLine, ...] = Field(min_length=1, max_length=100)
    total_cents: int = Field(gt=0, le=100_000_000)
    card_token: Name
    destination: Name
    carrier_down_for: int = Field(default=0, ge=0, le=CARRIER_NEVER)
    """The first so many times the carrier is asked it does nothing and gives no answer."""
    carrier_mute_for: int = Field(default=0, ge=0, le=CARRIER_NEVER)
    """After that it books, and so many times its answer is lost."""

    def quantities(self) -> dict[str, int]:
        """Sum the pieces by SKU: a SKU may stand on several lines."""
        pieces: dict[str, int] = {}
        for line in self.lines:
            pieces[line.sku] = pieces.get(line.sku, 0) + line.quantity
        return pieces


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """So many pieces of one SKU, as they travel in an event."""

    sku: str
    quantity: int


class OrderEvent(Event):
    """An event with a whole order, so that whoever hears of it asks nobody and keeps no copy."""

    order_id: str
    customer: str
    lines: tuple[Line, ...]
    total_cents: int
    card_token: str
    destination: str
    carrier_down_for: int = 0
    carrier_mute_for: int = 0

    @classmethod
    def of(cls, order: Order) -> Self:
        """Tell of an order that was checked as it came in."""
        return msgspec.convert(order.model_dump(), cls)

    def order(self) -> Order:
        """Read the order, checked again: an event may come from elsewhere."""
        return Order.model_validate(msgspec.to_builtins(self))


class OrderPlaced(OrderEvent):
    """A customer has ordered: the saga in `domain.fulfilment` sees to it."""


class OrderCreated(OrderEvent):
    """A customer has ordered, where nobody is in charge of it: see `domain.fulfilment_choreography`."""

    def quantities(self) -> dict[str, int]:
        """Sum the pieces by SKU."""
        return self.order().quantities()


class ReturnRequested(Event):
    """A customer wants to send goods of an order back."""

    return_id: str
    order_id: str
    lines: tuple[Line, ...]
    refund_cents: int
    replacement: OrderPlaced | None = None
    """What is wanted instead: an order like any other, paid and shipped by itself."""
