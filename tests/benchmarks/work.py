"""The work: sagas whose handlers do nothing, and what the engine writes for them. It measures nothing."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from sagalog import Refused, Saga
from sagalog.process_manager import ProcessManager
from sagalog.store import Append, AppendOutcome, Query, StatusRow, StepRow
from sagalog.stores.memory.store import MemoryStore


class Order(Struct, frozen=True):
    """The input of every saga here."""

    order_id: str
    customer: str
    amount_cents: int
    in_stock: bool = True


class Reservation(Struct, frozen=True):
    reservation_id: str
    items: int


class Payment(Struct, frozen=True):
    payment_id: str
    amount_cents: int


class Shipment(Struct, frozen=True):
    tracking_id: str
    carrier: str


class Done(Struct, frozen=True):
    """The result of a step of which there may be hundreds."""

    reference: str
    number: int


def order_key(order: Order) -> str:
    return order.order_id


def orders(series: str, number: int) -> list[Order]:
    """Return orders whose keys nobody else uses as long as `series` is new."""
    return [Order(f"{series}-{n:06d}", f"customer-{n % 97}", 1000 + n) for n in range(number)]


three_steps = Saga("bench-three-steps", input=Order, key=order_key)


@three_steps.step
async def reserve_inventory(order: Order) -> Reservation:
    return Reservation("reservation-1", 3)


@reserve_inventory.compensate
async def release_inventory(reservation: Reservation | None) -> None:
    pass


@three_steps.step
async def process_payment(order: Order) -> Payment:
    return Payment("payment-1", order.amount_cents)


@process_payment.compensate
async def refund_payment(payment: Payment | None) -> None:
    pass


@three_steps.step
async def create_shipment(order: Order, payment: Payment) -> Shipment:
    if not order.in_stock:
        raise Refused("nothing to ship")
    return Shipment("tracking-1", "carrier-1")


@create_shipment.compensate
async def cancel_shipment(shipment: Shipment | None) -> None:
    pass


def steps_in_a_row(number: int) -> Saga[Order]:
    """Return a saga of `number` async steps, one after the other."""
    saga = Saga(f"bench-{number}-steps", input=Order, key=order_key)
    for n in range(number):
        saga.step(compensation=None)(_numbered(n))
    return saga


def steps_side_by_side(number: int) -> Saga[Order]:
    """Return a saga of one parallel group."""
    saga = Saga(f"bench-{number}-side-by-side", input=Order, key=order_key)
    with saga.parallel():
        for n in range(number):
            saga.step(compensation=None)(_numbered(n))
    return saga


def steps_in_threads(number: int) -> Saga[Order]:
    """Return a saga of plain functions, which run in threads."""
    saga = Saga(f"bench-{number}-in-threads", input=Order, key=order_key)
    for n in range(number):
        saga.step(compensation=None)(_numbered_plain(n))
    return saga


def doing(name: str, number: int = 0) -> Any:
    """Return a handler of that name that does nothing."""

    async def act(order: Order) -> Done:
        return Done("done", number)

    act.__name__ = name
    return act


def _numbered(number: int) -> Any:
    return doing(f"step_{number}", number)


def _numbered_plain(number: int) -> Any:
    def act(order: Order) -> Done:
        return Done("done", number)

    act.__name__ = f"step_{number}"
    return act


class Recording(MemoryStore):
    """A store that remembers what it was told to write."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: dict[str, list[Append]] = {}

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        for one in appends:
            self.recorded.setdefault(one.saga_id, []).append(one)
        return super().append(appends)


async def what_the_engine_writes(inputs: Iterable[Order]) -> list[list[Append]]:
    """Run three-step sagas in memory and return, for each, the appends that any store would get."""
    store = Recording()
    async with ProcessManager(store, sagas=[three_steps]) as manager:
        await asyncio.gather(*(manager.execute(three_steps, order) for order in inputs))
    return list(store.recorded.values())


class Finished(Struct, frozen=True):
    """All rows of one saga that has ended."""

    status: StatusRow
    steps: list[StepRow]
    events: list[tuple[str, bytes]]


async def finished_samples() -> list[Finished]:
    """Return a hundred sagas that have ended, four of them compensated, as patterns for any number of them."""
    store = MemoryStore()
    inputs = [Order(f"pattern-{n:04d}", "customer-1", 1000, in_stock=n % 25 != 0) for n in range(100)]
    async with ProcessManager(store, sagas=[three_steps]) as manager:
        await asyncio.gather(*(manager.execute(three_steps, order) for order in inputs))
    rows = store.find(Query(limit=len(inputs)))
    return [
        Finished(
            row,
            store.steps(row.saga_id),
            [(event.topic, event.state) for event in store.read(row.saga_id)],
        )
        for row in reversed(rows)
    ]
