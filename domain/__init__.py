"""A shop built with sagalog, as a user's own service would be; it must not import a store or a loop.

`sagalog --app-dir . --app domain` finds `sagas` and `services` here.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from domain.data import opening_stock
from domain.database import Database
from domain.fulfilment import fulfil_order
from domain.inventory.service import Inventory
from domain.ordering.service import Ordering
from domain.payments.service import Payments
from domain.shipping.service import Carrier

sagas = [fulfil_order]


@contextmanager
def services() -> Generator[Mapping[type, object]]:
    """Open the four services on the SQLite file that SHOP_DB names, and close them at the end.

    A new file begins with the opening stock of `domain/data/stock.jsonl`; one that has it keeps it.
    """
    with Database(os.environ.get("SHOP_DB", "shop.db")) as database:
        inventory = Inventory(database)
        inventory.receive_all(opening_stock())
        yield {
            Ordering: Ordering(database),
            Inventory: inventory,
            Payments: Payments(database),
            Carrier: Carrier(database),
        }
