"""A shop for tests, over one database and a clock that stands; it must not run a saga."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Self, TypeVar

from domain.database import IN_MEMORY, Database
from domain.errors import NotDone
from domain.inventory.service import Inventory
from domain.ordering.messages import Order, OrderLine
from domain.ordering.service import Ordering
from domain.payments.service import Payments
from domain.reconciliation import Violation, reconcile, reconcile_returns
from domain.service import Effect, Service
from domain.shipping.service import Carrier

T = TypeVar("T")

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOON_MICROSECONDS = 1_767_355_200_000_000


def noon() -> datetime:
    """Return the same time each time: a clock that stands at noon."""
    return NOON


class Shop:
    """The four services on one database, in memory unless a path is given."""

    def __init__(self, path: str | Path = IN_MEMORY) -> None:
        self.database = Database(path)
        self.ordering = Ordering(self.database, noon)
        self.inventory = Inventory(self.database, noon)
        self.payments = Payments(self.database, noon)
        self.carrier = Carrier(self.database, noon)

    def services(self) -> dict[type, object]:
        """Give the services as a process manager takes them."""
        return {
            Ordering: self.ordering,
            Inventory: self.inventory,
            Payments: self.payments,
            Carrier: self.carrier,
        }

    def fulfil(self, order_id: str, *, sku: str = "mug", cents: int = 100) -> None:
        """Do the three things a completed order needs, as a saga would ask for them."""
        self.inventory.reserve(order_id, {sku: 1}, key=f"{order_id}:reserve_inventory")
        self.payments.capture(order_id, "tok_visa", cents, key=f"{order_id}:process_payment")
        self.carrier.book(order_id, "Lisbon", key=f"{order_id}:create_shipment")

    def reconcile(self, ended: dict[str, str], *, book: bool = False) -> list[Violation]:
        """List what the services and the ends of the orders disagree about."""
        return reconcile(
            ended,
            inventory=self.inventory,
            payments=self.payments,
            carrier=self.carrier,
            ordering=self.ordering if book else None,
        )

    def reconcile_returns(self, ended: dict[str, str]) -> list[Violation]:
        """List what the services and the ends of the returns disagree about."""
        return reconcile_returns(ended, inventory=self.inventory, payments=self.payments, ordering=self.ordering)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


def order(order_id: str = "order-1", *, total_cents: int = 100) -> Order:
    """Make a fine order of one mug."""
    return Order(
        order_id=order_id,
        customer="Ada",
        lines=(OrderLine(sku="mug", quantity=1),),
        total_cents=total_cents,
        card_token="tok_visa",
        destination="Lisbon",
    )


def operations(service: Service) -> list[tuple[str, str, int]]:
    """Read a ledger as (operation, item, amount)."""
    return [_operation(effect) for effect in service.effects()]


def _operation(effect: Effect) -> tuple[str, str, int]:
    return effect.operation, effect.item, effect.amount


def from_threads(threads: int, call: Callable[[], T]) -> list[T]:
    """Call the same thing from several threads at once."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(threads)]]


def from_processes(path: Path, order_ids: Iterable[str]) -> list[list[str]]:
    """Let two processes fulfil the same orders on one file; each tells which it could not."""
    # Spawned, not forked: a connection must not be carried over into a child.
    with get_context("spawn").Pool(2) as pool:
        return pool.starmap(fulfil_all, [(path, list(order_ids))] * 2, chunksize=1)


def fulfil_all(path: Path, order_ids: list[str]) -> list[str]:
    """Fulfil orders in a process of its own; give the ids of those that were refused."""
    refused: list[str] = []
    with Shop(path) as shop:
        for order_id in order_ids:
            try:
                shop.fulfil(order_id)
            except NotDone:
                refused.append(order_id)
    return refused
