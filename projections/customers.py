"""A customer's history: what was ordered, paid, shipped, and what came back."""

from domain.ordering.messages import OrderCreated
from projections.fulfilling import PAYING, SHIPPING, cents_of, is_order, ordered, remember
from sagalog.projections import (
    Metadata,
    Projection,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaStarted,
    SagaStuck,
    StepCompensated,
    StepSucceeded,
    Tables,
)

customers = Projection("customers", version=1, sql="customers.sql")


@customers.on
def placed(event: OrderCreated, about: Metadata, tables: Tables) -> None:
    """Keep who has placed it."""
    remember(event, about, tables)


@customers.on
def began(event: SagaStarted, about: Metadata, tables: Tables) -> None:
    """Remember whose order a saga is, and tell of it."""
    if is_order(about):
        order = ordered(event, about, tables)
        tables.run(
            "order",
            saga_id=about.saga_id,
            customer=order.customer,
            order_id=order.order_id,
            position=about.position,
        )
        _tell(tables, about, "ordered", f"{order.total_cents} cents")


@customers.on
def moved(event: StepSucceeded | StepCompensated, about: Metadata, tables: Tables) -> None:
    """Tell of money and parcels."""
    if not is_order(about):
        return
    if isinstance(event, StepCompensated):
        if event.step in PAYING:
            _tell(tables, about, "refunded", None)
    elif event.step in PAYING:
        _tell(tables, about, "paid", f"{cents_of(event.result)} cents")
    elif event.step in SHIPPING:
        _tell(tables, about, "shipped", event.result["tracking_id"])


@customers.on
def ended(event: SagaCompleted | SagaFailed | SagaStuck, about: Metadata, tables: Tables) -> None:
    """Tell how it ended, or that a person looks at it."""
    if not is_order(about):
        return
    match event:
        case SagaCompleted():
            _tell(tables, about, "delivered", None)
        case SagaFailed():
            _tell(tables, about, "undone", event.error.message)
        case SagaStuck():
            _tell(tables, about, "waits for us", event.reason)


@customers.forget
def forgotten(event: SagaHappening | OrderCreated, about: Metadata, tables: Tables) -> None:
    """Take out the line of an event, and what is known of its order with the last of them."""
    if isinstance(event, OrderCreated):
        tables.run("forget_placed", order_id=event.order_id)
        return
    tables.run("forget", position=about.position)
    if isinstance(event, SagaStarted):
        tables.run("forget_order", saga_id=about.saga_id)


def _tell(tables: Tables, about: Metadata, what: str, detail: str | None) -> None:
    tables.run("tell", saga_id=about.saga_id, position=about.position, at=about.time, what=what, detail=detail)
