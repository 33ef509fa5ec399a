"""A shop with a read model: a saga of two steps, whose input says what happens, and a projection that follows it."""

import sqlite3
from collections.abc import Callable, Container, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sagalog import Refused, Retry, Saga
from sagalog.clock import Clock
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import InvalidSettings
from sagalog.process_manager import ProcessManager
from sagalog.projections import (
    Metadata,
    Projection,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaStarted,
    StepCompensated,
    StepSucceeded,
    Tables,
)
from sagalog.store import Store
from sagalog.stores.projected import database_for
from sagalog.testing.clock import FakeClock


@dataclass
class Order:
    """An order of so many cents; `refused`: it cannot be shipped, so that the payment is given back."""

    order_id: str
    cents: int = 100
    refused: bool = False


sell = Saga("sell", input=Order, key=lambda order: order.order_id)


@sell.step
async def pay(order: Order) -> int:
    return order.cents


@pay.compensate
async def give_back(cents: int | None, order: Order) -> None:
    return None


@sell.step(compensation=None)
async def ship(order: Order) -> str:
    if order.refused:
        raise Refused("nobody delivers there")
    return f"parcel {order.order_id}"


BOOK = Path(__file__).with_name("orders.sql").read_text(encoding="utf-8")
Trouble = Callable[[Metadata, Tables], None]


def _calm(_metadata: Metadata, _tables: Tables) -> None:
    """Raise nothing."""


def sulking(keys: Container[str | None]) -> Trouble:
    """Return a trouble about the orders of these keys, for as long as they are among them."""

    def trouble(metadata: Metadata, _: Tables) -> None:
        if metadata.key in keys:
            raise ValueError("in a bad mood")

    return trouble


def order_book(trouble: Trouble = _calm, *, forgets: bool = True, **options: Any) -> Projection:
    """Return the projection; `trouble` is called before each row is written, and may raise."""
    usual: dict[str, Any] = {"sql": "orders.sql", "retry": Retry(attempts=3, delay=1, factor=1, jitter=0)}
    book = Projection("orders", **(usual | options))

    @book.on(saga=sell)
    def started(event: SagaStarted, metadata: Metadata, tables: Tables) -> None:
        trouble(metadata, tables)
        tables.run("start", order_id=metadata.key, position=metadata.position)

    @book.on
    def moved(event: StepSucceeded | StepCompensated, metadata: Metadata, tables: Tables) -> None:
        trouble(metadata, tables)
        back = isinstance(event, StepCompensated)
        tables.run("step", order_id=metadata.key, more=-1 if back else 1, position=metadata.position)

    @book.on(step="pay")
    def paid(event: StepSucceeded, metadata: Metadata, tables: Tables) -> None:
        tables.run("move", order_id=metadata.key, cents=event.result, position=metadata.position)

    @book.on(step="pay")
    def returned(event: StepCompensated, metadata: Metadata, tables: Tables) -> None:
        [(cents,)] = tables.execute("SELECT cents FROM {balances} WHERE order_id = :id", {"id": metadata.key})
        tables.run("move", order_id=metadata.key, cents=-int(cents), position=metadata.position)

    @book.on
    def ended(event: SagaCompleted | SagaFailed, metadata: Metadata, tables: Tables) -> None:
        trouble(metadata, tables)
        status, reason = ("failed", event.error.message) if isinstance(event, SagaFailed) else ("completed", None)
        tables.run("end", order_id=metadata.key, status=status, reason=reason, position=metadata.position)

    if forgets:

        @book.forget
        def forgotten(_: SagaHappening, metadata: Metadata, tables: Tables) -> None:
            tables.run("forget_order", order_id=metadata.key)
            tables.run("forget_money", order_id=metadata.key)

    return book


async def sold(database: str, orders: Sequence[Order]) -> None:
    """Run the saga of each order to its end, without any projection."""
    async with ProcessManager(database, sagas=[sell]) as manager:
        for run in [await manager.start(sell, one) for one in orders]:
            await run.result(timeout=20)


@contextmanager
def following(
    projection: Projection, store: Store, database: Any = None, clock: Clock | None = None
) -> Generator[Projecting]:
    """Give what takes turns for a projection, on the store's own database or another one."""
    held = database_for(store if database is None else database)
    held.open()
    try:
        yield Projecting(projection, held, store, clock or FakeClock())
    finally:
        held.close()


def caught_up(projecting: Projecting, generation: int = 1) -> None:
    """Take turns until there is nothing more to read."""
    for _ in range(10_000):
        turned = projecting.turn(generation)
        if turned.row is not None and not turned.more and turned.row.position >= projecting.store.head():
            return
        if turned.row is not None and (turned.row.paused_at or turned.row.failed_position):
            return
    raise AssertionError("the projection does not catch up")


def asked(database: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows that a reader of the database sees, through a connection of its own."""
    connection: Any
    if database.startswith("sqlite:///"):
        connection = sqlite3.connect(database.removeprefix("sqlite:///"))
    elif database.startswith("postgresql://"):
        connection = psycopg.connect(database)
    else:
        raise InvalidSettings(f"expected a database with SQL, found {database}")
    try:
        return [tuple(row) for row in connection.execute(query).fetchall()]
    finally:
        connection.close()
