"""A shop built with sagalog, as a user's own service would be; it must not import a store or a loop.

`sagalog --app-dir . --app domain` finds `sagas`, `participants`, `transports` and `services` here.
"""

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from domain.broker import broker_address, transport_of_orders
from domain.data import opening_stock, read_orders
from domain.database import Database
from domain.fulfilment import fulfil_order
from domain.fulfilment_choreography import fulfil_together
from domain.fulfilment_remote import fulfil_order_remotely
from domain.inventory.reactions import inventory
from domain.inventory.service import Inventory
from domain.ordering.messages import Order, OrderCreated
from domain.ordering.service import Ordering
from domain.payments.commands import payments_desk
from domain.payments.reactions import payments
from domain.payments.service import Payments
from domain.returns import take_back
from domain.sample import choreographed_id, choreographed_orders, telling_order
from domain.shipping.reactions import shipping
from domain.shipping.service import Carrier
from sagalog import Saga
from sagalog.transport import Transport

sagas: list[Saga[Any]] = [fulfil_order, fulfil_order_remotely, take_back]
choreographies = [fulfil_together]
participants = [inventory, payments, shipping]
if broker_address() is None:
    # Nobody else answers the commands to the payment service.
    participants.append(payments_desk)


@contextmanager
def services() -> Generator[Mapping[type, object]]:
    """Open the four services on the SQLite file that SHOP_DB names, and close them at the end.

    A new file begins with the opening stock of `domain/data/stock.jsonl`; one that has it keeps it.
    """
    with Database(os.environ.get("SHOP_DB", "shop.db")) as database:
        stock = Inventory(database)
        stock.receive_all(opening_stock())
        yield {
            Ordering: Ordering(database),
            Inventory: stock,
            Payments: Payments(database),
            Carrier: Carrier(database),
        }


def transports() -> Sequence[Transport]:
    """Give what carries commands to the payment service, if there is a broker."""
    address = broker_address()
    return [] if address is None else [transport_of_orders(address)]


def demo(
    database: Path,
) -> tuple[Mapping[str, str], Iterable[tuple[Saga[Order], Order] | OrderCreated], tuple[str, str]]:
    """Give what `sagalog demo` runs: the environment, with the shop beside the database, and what is started in it.

    That is every sample order, and one more of each kind with nobody in charge. Last come the keys of two orders that
    differ in nothing else.
    """
    shop = database.with_name(f"{database.stem}-shop.db")
    orchestrated = ((fulfil_order, order) for order in read_orders())
    choreographed = (OrderCreated.of(order) for order in choreographed_orders())
    telling = telling_order()
    return {"SHOP_DB": str(shop)}, chain(orchestrated, choreographed), (telling, choreographed_id(telling))
