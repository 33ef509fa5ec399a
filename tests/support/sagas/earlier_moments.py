"""Orders that are taken while somebody looks: what the tables said at moments, and what is computed of them later."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pages.command_line import ROOT
from sagas.fulfilment_ways import WAYS, at_rest, shop_at_work
from sagas.shop import Shop
from torture.snapshot import reading

from domain.data import read_orders
from domain.database import statements
from domain.fulfilment_remote import fulfil_order_remotely
from domain.ordering.messages import Line, Order, OrderCreated, OrderPlaced, ReturnRequested
from domain.returns import take_back
from domain.shipping.messages import ParcelArrived
from sagalog.cli.address import opened
from sagalog.cli.app import load
from sagalog.cli.as_of import AsOf, Place, as_of
from sagalog.cli.options import Invocation
from sagalog.process_manager import ProcessManager

SQL = statements(Path(__file__).with_name("earlier_moments.sql"))
TABLES = ("statuses", "steps", "commands", "attributes", "messages", "attempts")


class Moment(NamedTuple):
    """A position of the log, and the rows of the tables, as one transaction saw them."""

    position: int
    tables: dict[str, list[tuple[Any, ...]]]


def look(database: str) -> Moment:
    """Read all tables at one moment, while others write."""
    with reading(database) as transaction:
        tables = {name: rows_of(transaction.execute(SQL[name]).fetchall()) for name in TABLES}
        return Moment(transaction.execute(SQL["position"]).fetchone()[0], tables)


def rows_of(rows: Any) -> list[tuple[Any, ...]]:
    """Return rows in one order; JSON is compared as a value, for one driver gives text and the other a value."""
    return sorted((tuple(str(value) for value in row) for row in rows), key=repr)


def tables_of(then: AsOf) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the tables that were computed."""
    return {name: rows_of(then.store.query(SQL[name])[1]) for name in TABLES}


@contextmanager
def computed(database: str, place: Place) -> Generator[AsOf]:
    """Compute the tables as of a place of the log, with the shop as the app."""
    invocation = Invocation()
    invocation.database = database
    with opened(database) as live, as_of(invocation, live, load(ROOT, "domain"), place) as then:
        yield then


@asynccontextmanager
async def orders_taken(
    database: str, random: Random, number: int, shop: Shop
) -> AsyncGenerator[tuple[ProcessManager, "asyncio.Task[None]"]]:
    """Take random sample orders, each in one of the shop's ways, and a return of goods; the task ends when all have."""
    chosen = random.sample([one for one in read_orders() if one.total_cents], number)
    async with shop_at_work(database, shop) as manager:
        task = asyncio.create_task(_take(manager, random, chosen, shop))
        try:
            yield manager, task
        finally:
            await task


async def _take(manager: ProcessManager, random: Random, chosen: list[Order], shop: Shop) -> None:
    keys: dict[str, list[str]] = {way: [] for way in WAYS}
    shop.fulfil("sent-back", cents=1_000)
    lines = (Line(sku="mug", quantity=2), Line(sku="kettle", quantity=1))
    await manager.publish(ReturnRequested(return_id="r1", order_id="sent-back", lines=lines, refund_cents=60))
    for order in chosen:
        way = random.choice(WAYS)
        keys[way].append(order.order_id)
        match way:
            case "order-fulfilment-remote":
                await manager.start(fulfil_order_remotely, order)
            case "order-fulfilment-choreographed":
                await manager.publish(OrderCreated.of(order))
            case _:
                await manager.publish(OrderPlaced.of(order))
        await asyncio.sleep(random.random() / 50)
    await manager.publish(ParcelArrived(return_id="r1"))
    for way, its in keys.items():
        await at_rest(manager, way, its)
    await at_rest(manager, take_back.name, ["r1"])
