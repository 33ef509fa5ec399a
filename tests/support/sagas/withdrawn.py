"""Orders that can be withdrawn: reserve, wait a week for the payment, ship (the pivot), tell the customer."""

import asyncio
from typing import Literal

from lab.lab import Lab, Process
from msgspec import Struct

from sagalog import Event, Retry, Saga

WEEK = 7 * 86_400.0


class Withdrawn(Event):
    order_id: str


class Paid(Event):
    order_id: str


class Order(Struct, frozen=True):
    order_id: str


class Desk:
    """What the steps did, and what they are told to do: fail, or take their time."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.mistaken: set[str] = set()
        self.slow: dict[str, float] = {}

    async def does(self, what: str) -> str:
        """Do a step, as it was told to."""
        await asyncio.sleep(self.slow.get(what, 0.0))
        if what in self.mistaken:
            raise KeyError(what)
        self.diary.append(what)
        return f"{what} done"


def withdrawable(before_start: Literal["park", "prevent"] = "park") -> Saga[Order]:
    """Return the saga."""
    saga = Saga("orders", input=Order, key=lambda order: order.order_id, timeout=None)
    saga.cancelled_by(Withdrawn, key=lambda event: event.order_id, before_start=before_start)
    once = Retry(attempts=1)

    @saga.step(retry=once)
    async def reserve(order: Order, desk: Desk) -> str:
        return await desk.does("reserve")

    @reserve.compensate(retry=once)
    async def release(reservation: str | None, desk: Desk) -> None:
        await desk.does("release")

    saga.wait_for(Paid, key=lambda event: event.order_id, timeout=WEEK, name="payment")

    @saga.step(pivot=True, retry=Retry(attempts=3, delay=60.0))
    async def ship(order: Order, desk: Desk) -> str:
        return await desk.does("ship")

    @saga.step(retry=once)
    async def tell(order: Order, ship: str, desk: Desk) -> str:
        return await desk.does("tell")

    return saga


class Shop:
    """Withdrawable orders in a lab: one desk for all processes, which work on them or only ask."""

    def __init__(self, lab: Lab, before_start: Literal["park", "prevent"] = "park") -> None:
        self.lab = lab
        self.desk = Desk()
        self.saga = withdrawable(before_start)

    async def begin(self, worker: bool = True) -> Process:
        return await self.lab.begin([self.saga], {Desk: self.desk}, worker=worker)

    async def waiting(self, process: Process, key: str = "o-1") -> str:
        """Start an order, and return its id once it waits for its payment."""
        saga_id = await process.start(self.saga, Order(key), key)
        await self.reaches(saga_id, "StepWaiting")
        return saga_id

    async def reaches(self, saga_id: str, kind: str) -> None:
        """Wait until the newest event of a saga is of this kind."""
        await self.lab.until(lambda: self.lab.stores[0].read(saga_id)[-1].topic == f"sagalog.{kind}.1")

    async def stuck(self, process: Process, number: int) -> list[str]:
        """Leave so many orders stuck, because the program has a mistake in its last step; return their ids."""
        self.desk.mistaken.add("tell")
        ids = [await self.waiting(process, f"o-{n}") for n in range(number)]
        for n in range(number):
            await process.do(process.manager.publish(Paid(order_id=f"o-{n}")))
        store = self.lab.stores[0]
        await self.lab.until(lambda: store.counts() == [("orders", "stuck", number)])
        return ids
