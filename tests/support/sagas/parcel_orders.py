"""Sagas that people act on: each order goes as its mood has it, and stands still where a person is to do something."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from sagalog import Refused, Retry, Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import StatusRow

# Sagas are given back as soon as they wait, so that nobody owns them.
SETTINGS = Settings(lease=2, poll=0.01, longest_wait=0)
# Nothing is tried again while a test runs.
LATER = Retry(attempts=3, delay=timedelta(hours=1), max_delay=timedelta(hours=2))


# A mood in which the bank answers once a file is there.
UNTIL = "until there is "


class Order(msgspec.Struct, frozen=True):
    """What is ordered; `mood` says what goes wrong."""

    order_id: str
    mood: str = "well"


class Shelf(msgspec.Struct, frozen=True):
    """Where the goods are."""

    number: int


class Receipt(msgspec.Struct, frozen=True):
    """What was paid."""

    cents: int


def parcel_order(version: int = 1, name: str = "parcel-order") -> Saga[Order]:
    """Return a saga of three steps; the last one needs no undoing."""
    saga = Saga(name, input=Order, version=version, key=lambda order: order.order_id, timeout=timedelta(days=1))

    @saga.step
    async def reserve(order: Order) -> Shelf:
        return Shelf(7)

    @reserve.compensate
    async def free(_: Shelf | None) -> None: ...

    @saga.step(retry=LATER)
    async def pay(order: Order, shelf: Shelf) -> Receipt:
        if order.mood == "no bank":
            raise OSError("the bank does not answer")
        if order.mood.startswith(UNTIL):
            answer = Path(order.mood.removeprefix(UNTIL))
            while not await asyncio.to_thread(answer.exists):
                await asyncio.sleep(0.02)
        return Receipt(4500)

    @pay.compensate
    async def refund(_: Receipt | None, order: Order) -> None:
        if order.mood == "no refund":
            raise Refused("the bank gives nothing back")

    @saga.step(compensation=None)
    async def book(order: Order, receipt: Receipt) -> None:
        if order.mood == "no refund":
            raise Refused("no parcels to the moon")

    return saga


async def stand_still(address: str, order: Order, saga: Saga[Order], stands: Callable[[StatusRow], bool]) -> str:
    """Run an order until it stands as it is to stand, and return its id; nobody works on it then."""
    async with ProcessManager(address, sagas=[saga], settings=SETTINGS) as manager:
        run = await manager.start(saga, order)
        async with asyncio.timeout(20):
            while not stands(await run.status()):
                await asyncio.sleep(0.01)
        return run.id


def ordered(address: str, order_id: str, mood: str = "well", saga: Saga[Order] | None = None) -> str:
    """Return the id of an order that stands where its mood has led it: it has ended, is stuck, or waits for a retry."""

    def stands(row: StatusRow) -> bool:
        return row.owner is None and (
            row.status in ("completed", "failed", "stuck") or (row.waiting_for or "").startswith("retry of")
        )

    return asyncio.run(stand_still(address, Order(order_id, mood), saga or parcel_order(), stands))


def only_started(address: str, order_id: str, saga: Saga[Order] | None = None) -> str:
    """Return the id of an order that was started, and that nobody has worked on."""
    return started(address, order_id, "well", saga)


def started(address: str, order_id: str, mood: str, saga: Saga[Order] | None = None) -> str:
    """Start an order of this mood, for others to work on it; return its id."""

    async def start() -> str:
        of = saga or parcel_order()
        async with ProcessManager(address, sagas=[of], settings=SETTINGS, worker=False) as manager:
            return (await manager.start(of, Order(order_id, mood))).id

    return asyncio.run(start())


# This module is an app, too.
APP = "sagas.parcel_orders"
sagas = [parcel_order()]


@contextmanager
def services() -> Generator[dict[type, object]]:
    """Give the services of the app: none."""
    yield {}
