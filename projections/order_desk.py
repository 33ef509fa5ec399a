"""The support desk's table of orders: one row a run of an order's saga, as it stands."""

from domain.ordering.messages import OrderCreated
from projections.fulfilling import PAYING, SHIPPING, cents_of, is_order, ordered, remember
from sagalog.projections import (
    CompensationStarted,
    Metadata,
    Projection,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaResumed,
    SagaStarted,
    SagaStuck,
    StepCompensated,
    StepSucceeded,
    Tables,
)

order_desk = Projection("order-desk", version=1, sql="order_desk.sql")


@order_desk.on
def placed(event: OrderCreated, about: Metadata, tables: Tables) -> None:
    """Keep who has placed it."""
    remember(event, about, tables)


@order_desk.on
def started(event: SagaStarted, about: Metadata, tables: Tables) -> None:
    """Put an order on the desk."""
    if is_order(about):
        order = ordered(event, about, tables)
        tables.run(
            "start",
            saga_id=about.saga_id,
            order_id=order.order_id,
            saga=about.saga,
            customer=order.customer,
            total_cents=order.total_cents,
            at=about.time,
            position=about.position,
        )


@order_desk.on
def moved(event: StepSucceeded | StepCompensated, about: Metadata, tables: Tables) -> None:
    """Note what was done, or undone, last."""
    if not is_order(about):
        return
    tables.run("step", saga_id=about.saga_id, step=event.step, at=about.time, position=about.position)
    if isinstance(event, StepCompensated):
        if event.step in PAYING:
            tables.run("refunded", saga_id=about.saga_id)
        elif event.step in SHIPPING:
            tables.run("cancelled", saga_id=about.saga_id)
    elif event.step in PAYING:
        tables.run("paid", saga_id=about.saga_id, cents=cents_of(event.result))
    elif event.step in SHIPPING:
        tables.run("shipped", saga_id=about.saga_id, tracking_id=event.result["tracking_id"])


@order_desk.on
def undoing(event: CompensationStarted, about: Metadata, tables: Tables) -> None:
    """Say that the order is being undone, and why."""
    _status(tables, about, "undoing", event.cause.message)


@order_desk.on
def stuck(event: SagaStuck, about: Metadata, tables: Tables) -> None:
    """Say that a person must act."""
    _status(tables, about, "stuck", event.reason)


@order_desk.on
def resumed(_: SagaResumed, about: Metadata, tables: Tables) -> None:
    """Say that it goes on being undone."""
    _status(tables, about, "undoing", None)


@order_desk.on
def delivered(_: SagaCompleted, about: Metadata, tables: Tables) -> None:
    """Say that all is done."""
    _status(tables, about, "delivered", None)


@order_desk.on
def undone(event: SagaFailed, about: Metadata, tables: Tables) -> None:
    """Say that all is undone, and why."""
    _status(tables, about, "undone", event.error.message)


@order_desk.forget
def forgotten(event: SagaHappening | OrderCreated, about: Metadata, tables: Tables) -> None:
    """Take a saga off the desk; it can be rebuilt alone."""
    if isinstance(event, OrderCreated):
        tables.run("forget_placed", order_id=event.order_id)
    else:
        tables.run("forget", saga_id=about.saga_id)


def _status(tables: Tables, about: Metadata, status: str, reason: str | None) -> None:
    if is_order(about):
        tables.run(
            "status", saga_id=about.saga_id, status=status, reason=reason, at=about.time, position=about.position
        )
