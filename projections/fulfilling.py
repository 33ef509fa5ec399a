"""What the read models know of the ways in which an order is fulfilled: their names, and which step is which."""

from typing import Any, Final, NamedTuple

from domain.ordering.messages import OrderCreated
from sagalog.projections import Metadata, SagaStarted, Tables

WAYS: Final = frozenset(("order-fulfilment", "order-fulfilment-remote", "order-fulfilment-choreographed"))
# Where nobody is in charge, a step is the event that tells of it.
PAYING: Final = frozenset(("process_payment", "PaymentProcessed"))
SHIPPING: Final = frozenset(("create_shipment", "ShipmentCreated"))


def is_order(about: Metadata) -> bool:
    """Tell whether an event is of the saga of an order."""
    return about.saga in WAYS


def cents_of(result: Any) -> int:
    """Return the amount that a payment's result tells."""
    return int(result["amount_cents"])


class Ordered(NamedTuple):
    """An order as its saga begins."""

    order_id: str
    customer: str
    total_cents: int


def remember(event: OrderCreated, about: Metadata, tables: Tables) -> None:
    """Keep who has placed an order where nobody is in charge; `ordered` asks for it."""
    tables.run(
        "placed",
        order_id=event.order_id,
        customer=event.customer,
        total_cents=event.total_cents,
        position=about.position,
    )


def ordered(event: SagaStarted, about: Metadata, tables: Tables) -> Ordered:
    """Return the order that a saga begins with: its input, or what its event has told."""
    if event.input is not None:
        return Ordered(event.input["order_id"], event.input["customer"], event.input["total_cents"])
    [(customer, total_cents)] = tables.rows("placed_by", order_id=about.key)
    return Ordered(str(about.key), customer, total_cents)
