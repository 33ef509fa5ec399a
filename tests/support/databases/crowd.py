"""A database with as many sagas as are asked for, made by the database itself out of a few that were really run.

The shop runs four orders: one completes, one is declined and undone, one waits for its payment, one is stuck. All
others are copies of their rows and events with ids and keys of their own, so that what is computed from the log of a
copy equals its rows. One saga in eleven is open, one in 1,100 is stuck, one in twenty has failed.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import psycopg

import domain
from domain.data import opening_stock
from domain.database import Database
from domain.fulfilment import fulfil_order
from domain.fulfilment_remote import fulfil_order_remotely
from domain.inventory.service import Inventory
from domain.ordering.messages import CARRIER_NEVER, Order, OrderLine
from domain.payments.service import CLOSED_ACCOUNT_CARD, Payments
from domain.shipping.service import Carrier
from projections import projections
from sagalog import Saga
from sagalog.process_manager import ProcessManager
from sagalog.stores.sql import statements

SQLITE = statements("tests.support.databases", "crowd_sqlite.sql")
POSTGRES = statements("tests.support.databases", "crowd_postgres.sql")
# So many sagas are a whole number of each kind.
GROUP = 22_000
PATTERNS: Mapping[str, tuple[Saga[Order], Mapping[str, object]]] = {
    "pattern-well": (fulfil_order, {}),
    "pattern-fails": (fulfil_order, {"card_token": "tok_declined"}),
    "pattern-waits": (fulfil_order_remotely, {}),
    "pattern-stuck": (fulfil_order, {"card_token": CLOSED_ACCOUNT_CARD, "carrier_down_for": CARRIER_NEVER}),
}


def crowd(address: str, number: int) -> None:
    """Fill a database with so many sagas, and a tenth as many parked messages; its tables are made if it is empty."""
    asyncio.run(_patterns(address))
    given = {"number": number}
    if address.startswith("sqlite:///"):
        connection = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
        try:
            # Only the loading is not durable; what is measured opens connections of its own.
            connection.execute("PRAGMA synchronous = OFF")
            for block in SQLITE.values():
                connection.execute(block, given if ":number" in block else {})
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return
    with psycopg.connect(address, autocommit=True) as server:
        for block in POSTGRES.values():
            server.execute(block.encode(), given if "%(number)s" in block else None)


async def _patterns(address: str) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(Database(":memory:"))
        stock = Inventory(database)
        stock.receive_all(opening_stock())
        services: dict[type, Any] = {Inventory: stock, Payments: Payments(database), Carrier: Carrier(database)}
        # Nobody takes the command of the one that waits.
        async with ProcessManager(
            address, sagas=domain.sagas[:2], projections=projections, services=services
        ) as manager:
            for key, (saga, more) in PATTERNS.items():
                run = await manager.start(saga, _order(key, more))
                if key != "pattern-waits":
                    await run.result(30)
                else:
                    while not manager.store.commands_of(run.id):
                        await asyncio.sleep(0.01)


def _order(key: str, more: Mapping[str, object]) -> Order:
    lines = [OrderLine(sku="beans-1kg", quantity=2), OrderLine(sku="mug", quantity=1)]
    # The customer is called as the order, so that each copy has another one.
    fine = {"order_id": key, "customer": key, "card_token": "tok_visa", "destination": "Lisbon", "total_cents": 4_980}
    return Order.model_validate({**fine, "lines": lines, **more})
