"""The same orders taken from stock to parcel in each way that the shop knows, and what is left; it judges nothing."""

import asyncio
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from sagas.shop import Shop

import domain
from domain.data import opening_stock
from domain.database import statements
from domain.fulfilment_remote import fulfil_order_remotely
from domain.ordering.messages import Order, OrderCreated, OrderPlaced
from domain.reconciliation import Violation
from projections import audits
from projections.orders import orders
from sagalog.process_manager import ProcessManager
from sagalog.saga.transitions import AT_REST
from sagalog.settings import Settings
from sagalog.store import Store

SQL = statements(Path(__file__).with_name("fulfilment_ways.sql"))

ORCHESTRATED = "order-fulfilment"
REMOTE = "order-fulfilment-remote"
CHOREOGRAPHED = "order-fulfilment-choreographed"
WAYS = (ORCHESTRATED, REMOTE, CHOREOGRAPHED)

CONTESTED = "espresso-limited"
"""More orders want it than there is of it, so who comes first decides who gets it."""
PATIENCE_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.02

Work = Counter[tuple[str, str, str, int]]
"""What was done for an order: service, operation, item, amount. Not when, nor under which key."""


class Answer(NamedTuple):
    """What the read side says of one order, without what names this run of it.

    Nor does it hold whether a parcel was cancelled: a coordinator has that done, and without one it is done by the
    carrier before it says anything. The ledgers tell.
    """

    status: str
    reserved: bool
    paid_cents: int | None
    shipped: bool
    stock_given_back: bool
    money_given_back: bool


class Left(NamedTuple):
    """What there is when every order has come to rest."""

    statuses: Mapping[str, str]
    levels: Mapping[str, int]
    balance_cents: int
    effects: Mapping[str, Work]
    violations: Sequence[Violation]
    """What the services' ledgers and the ends of the orders disagree about."""
    answers: Mapping[str, Answer]


def take(way: str, database: str, wanted: Iterable[Order]) -> Left:
    """Take orders one way, on an empty database and in a new shop, and read what is left."""
    with Shop() as shop:
        statuses = asyncio.run(_take(way, database, shop, wanted))
        return Left(
            statuses,
            shop.inventory.levels(),
            shop.payments.balance_cents(),
            work_by_order(shop),
            shop.reconcile(statuses),
            answers_of(database),
        )


async def _take(way: str, database: str, shop: Shop, wanted: Iterable[Order]) -> dict[str, str]:
    statuses: dict[str, str] = {}
    async with shop_at_work(database, shop) as manager:
        for wave in waves(wanted):
            await asyncio.gather(*(_begin(manager, way, order) for order in wave))
            statuses |= await at_rest(manager, way, [order.order_id for order in wave])
    return statuses


async def _begin(manager: ProcessManager, way: str, order: Order) -> None:
    match way:
        case "order-fulfilment-remote":
            await manager.start(fulfil_order_remotely, order)
        case "order-fulfilment-choreographed":
            await manager.publish(OrderCreated.of(order))
        case _:
            await manager.publish(OrderPlaced.of(order))


@asynccontextmanager
async def shop_at_work(database: str | Store, shop: Shop) -> AsyncGenerator[ProcessManager]:
    """Run all that the reference service declares, in one process."""
    shop.inventory.receive_all(opening_stock())
    async with ProcessManager(
        database,
        sagas=domain.sagas,
        participants=domain.participants,
        choreographies=domain.choreographies,
        services=shop.services(),
        settings=Settings(poll=0.01),
    ) as manager:
        yield manager


def waves(wanted: Iterable[Order]) -> list[list[Order]]:
    """Split orders so that what comes of each does not depend on timing: those that compete go one by one."""
    every = list(wanted)
    competing = [[order] for order in every if CONTESTED in order.quantities()]
    return [*competing, [order for order in every if CONTESTED not in order.quantities()]]


async def at_rest(manager: ProcessManager, name: str, keys: Sequence[str]) -> dict[str, str]:
    """Wait until every saga of a name with one of these keys has ended or is stuck, and return its status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = await asyncio.to_thread(manager.store.sagas_by_key, name, keys)
            if len(rows) == len(keys) and all(row.status in AT_REST for row in rows.values()):
                return {key: row.status for key, row in rows.items()}
            await asyncio.sleep(LOOK_EVERY_SECONDS)


def work_by_order(shop: Shop) -> dict[str, Work]:
    """Read what was really done for each order, believing the ledgers only."""
    effects: defaultdict[str, Work] = defaultdict(Counter)
    for name, service in (("inventory", shop.inventory), ("payments", shop.payments), ("shipping", shop.carrier)):
        for effect in service.effects():
            effects[effect.order_id][name, effect.operation, effect.item, effect.amount] += 1
    return dict(effects)


@contextmanager
def connected(database: str) -> Generator[Any]:
    """Give a plain connection of either kind, on which each statement is durable at once."""
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            yield connection
        return
    with psycopg.connect(database, autocommit=True) as session:
        yield session


def answers_of(database: str) -> dict[str, Answer]:
    """Read what has become of each order, as the shop's read side tells it."""
    with connected(database) as connection:
        return {
            row.order_id: Answer(
                row.status,
                row.reservation_id is not None,
                row.paid_cents,
                row.tracking_id is not None,
                row.stock_given_back,
                row.money_given_back,
            )
            for row in orders(connection)
        }


def audited(database: str) -> set[tuple[str, str]]:
    """Run every audit query that needs no projection; return its name and the key of the order for each row."""
    found: set[tuple[str, str]] = set()
    with connected(database) as connection:
        for audit in audits():
            if audit.projections:
                continue
            cursor = connection.execute(audit.asked(time.time_ns() // 1000))
            columns = [column[0] for column in cursor.description]
            key = next((columns.index(name) for name in ("order_id", "saga_key") if name in columns), 0)
            found.update((audit.name, row[key]) for row in cursor.fetchall())
    return found


def plant(database: str, name: str) -> None:
    """Plant something that is wrong."""
    with connected(database) as connection:
        connection.execute(SQL[name])
