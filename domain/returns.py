"""The saga of goods that come back: wait for the parcel, inspect, restock each line, pay back; no service's rules.

Where something else is wanted instead, that is an order of its own, which is undone if the return is.
"""

from datetime import timedelta

import msgspec

from domain.fulfilment import ASK, UNDO, fulfil_order, refusals
from domain.inventory.messages import Restocked
from domain.inventory.service import Inventory
from domain.ordering.messages import Line, Order, ReturnRequested
from domain.ordering.service import Ordering
from domain.payments.messages import PayBack
from domain.payments.service import Payments
from domain.shipping.messages import ParcelArrived
from sagalog import Refused, Retry, Saga, StepContext

PARCEL_WITHIN = timedelta(days=14)


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a look at the goods."""

    lines: tuple[Line, ...]


take_back = Saga(
    "order-return",
    input=ReturnRequested,
    version=1,
    timeout=timedelta(days=30),
    key=lambda request: request.return_id,
)
take_back.started_by(ReturnRequested, input=lambda event: event, key=lambda event: event.return_id)

parcel_arrived = take_back.wait_for(ParcelArrived, key=lambda event: event.return_id, timeout=PARCEL_WITHIN)


@take_back.step(compensation=None)
def inspect(request: ReturnRequested, parcel: ParcelArrived) -> Inspection:
    """Take only what can be sold again; looking at it leaves nothing to undo."""
    if parcel.damaged:
        raise Refused(f"the goods of return {request.return_id} came back damaged")
    return Inspection(lines=request.lines)


@take_back.step(for_each=lambda request: request.lines, retry=ASK, timeout=30)
def restock(line: Line, request: ReturnRequested, inventory: Inventory, ctx: StepContext) -> Restocked:
    """Put the pieces of one line back on the shelf."""
    with refusals():
        return inventory.restock(request.return_id, line.sku, line.quantity, key=ctx.idempotency_key)


@restock.compensate(retry=UNDO, timeout=30)
def withdraw(restocked: Restocked | None, line: Line, inventory: Inventory, ctx: StepContext) -> None:
    """Take the pieces of one line off the shelf again: the customer keeps the goods, or gets them back."""
    with refusals():
        inventory.withdraw(undoes=ctx.action_key, key=ctx.idempotency_key)


@take_back.child(fulfil_order, when=lambda request: request.replacement is not None)
def send_replacement(request: ReturnRequested) -> Order:
    """Take the order for what is wanted instead from stock to parcel; if that fails, so does the return."""
    assert request.replacement is not None
    return request.replacement.order()


@take_back.step(pivot=True, retry=ASK, timeout=30)
def pay_back(request: ReturnRequested, restocked: list[Restocked], payments: Payments, ctx: StepContext) -> PayBack:
    """Give the money back: from here on the return is not called off any more."""
    with refusals():
        return payments.pay_back(request.return_id, request.order_id, request.refund_cents, key=ctx.idempotency_key)


@take_back.step(retry=Retry(attempts=10, delay=0.05, max_delay=1.0), timeout=30)
def close_return(request: ReturnRequested, paid_back: PayBack, ordering: Ordering, ctx: StepContext) -> None:
    """Note in the order book that the return is over."""
    ordering.close_return(paid_back.return_id, request.order_id, key=ctx.idempotency_key)
