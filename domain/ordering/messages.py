"""What a customer sends, checked as it enters; it must not hold what becomes of the order."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]

CARRIER_NEVER = 1_000
"""More tries than any retry policy makes."""


class OrderLine(BaseModel):
    """Be so many pieces of one SKU."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: Name
    quantity: int = Field(ge=1, le=1_000)


class Order(BaseModel):
    """Be what a customer asks for.

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
