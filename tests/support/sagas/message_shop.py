"""A shop whose saga talks to a bank and a carrier by commands and events, for tests of what messages do."""

import asyncio
from typing import Any

from lab.lab import Lab, Process
from msgspec import Raw
from msgspec.json import encode

from sagalog import Command, Event, Participant, Saga
from sagalog.messages import Envelope, name_of
from sagalog.store import StatusRow, Store, UnmatchedRow


class OrderPlaced(Event):
    order_id: str
    cents: int


class TakePayment(Command):
    order_id: str
    cents: int


class PaymentTaken(Event):
    order_id: str
    payment: str


class PaymentRefused(Event):
    order_id: str
    reason: str


class PayBack(Command):
    payment: str


class PaidBack(Event):
    payment: str


class Ship(Command):
    order_id: str
    payment: str


class Packed(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class CannotShip(Event):
    order_id: str


class Order(Event):
    order_id: str
    cents: int


class Shop:
    """A saga and the two participants that it asks; `slow` are the orders for which the bank does not answer yet."""

    def __init__(self, *, timeout: float = 60, waits: bool = False, **options: Any) -> None:
        self.taken: list[str] = []
        self.paid_back: list[str] = []
        self.shipped: list[str] = []
        self.slow: set[str] = set()
        self.answers = asyncio.Event()
        self.saga = saga = Saga("fulfil", input=Order, key=lambda order: order.order_id, **options)
        saga.started_by(OrderPlaced, input=lambda e: Order(order_id=e.order_id, cents=e.cents))

        @saga.request(PaymentTaken, refused=PaymentRefused, timeout=timeout)
        def take_payment(order: Order) -> TakePayment:
            return TakePayment(order_id=order.order_id, cents=order.cents)

        @take_payment.compensate(reply=PaidBack)
        def pay_back(taken: PaymentTaken | None, order: Order) -> PayBack:
            return PayBack(payment=f"pay-{order.order_id}")

        if waits:
            saga.wait_for(Packed, key=lambda e: e.order_id, timeout=600)

        @saga.request(Shipped, refused=CannotShip, compensation=None)
        def ship(order: Order, taken: PaymentTaken) -> Ship:
            return Ship(order_id=order.order_id, payment=taken.payment)

        assert (pay_back.__name__, ship.name) == ("pay_back", "ship")
        self.bank = Participant("bank")
        self.carrier = Participant("carrier")

        @self.bank.handles
        async def take(command: TakePayment) -> PaymentTaken | PaymentRefused:
            if command.order_id in self.slow:
                await self.answers.wait()
            if command.cents > 1000:
                return PaymentRefused(order_id=command.order_id, reason="too much")
            self.taken.append(command.order_id)
            return PaymentTaken(order_id=command.order_id, payment=f"pay-{command.order_id}")

        @self.bank.handles
        async def give_back(command: PayBack) -> PaidBack:
            self.paid_back.append(command.payment)
            return PaidBack(payment=command.payment)

        @self.carrier.handles
        def carry(command: Ship) -> Shipped | CannotShip:
            if command.order_id == "moon":
                return CannotShip(order_id=command.order_id)
            self.shipped.append(command.order_id)
            return Shipped(order_id=command.order_id)

        assert [f.__name__ for f in (take, give_back, carry)] == ["take", "give_back", "carry"]

    async def begin(self, lab: Lab, **options: Any) -> Process:
        """Begin a process that runs all of it."""
        return await lab.begin([self.saga], participants=[self.bank, self.carrier], **options)


async def placed(process: Process, order_id: str, cents: int = 500, id: str | None = None) -> str:
    """Publish that an order was placed."""
    return await process.do(process.manager.publish(OrderPlaced(order_id=order_id, cents=cents), id=id))


def row_of(store: Store, order_id: str) -> StatusRow:
    """Return the row of the newest saga of an order."""
    row = store.latest_run("fulfil", order_id)
    assert row is not None
    return row


async def end_of(lab: Lab, process: Process, order_id: str) -> str:
    """Wait until the newest saga of an order has come to rest, and return its status."""
    store = lab.stores[0]
    await lab.until(lambda: store.latest_run("fulfil", order_id) is not None)
    return (await process.result(row_of(store, order_id).saga_id)).status


def types_of(store: Store, saga_id: str) -> list[str]:
    """Return the types of a saga's events."""
    return [event.topic.split(".")[1] for event in store.read(saga_id)]


def message(event: Event, id: str = "m-1", **fields: str | None) -> Envelope:
    """An event as it may come from elsewhere."""
    given: dict[str, str | None] = {"correlation_id": "c-1", "causation_id": None, **fields}
    return Envelope(
        id=id,
        kind="event",
        name=name_of(type(event)),
        source="elsewhere",
        correlation_id=str(given["correlation_id"]),
        causation_id=given["causation_id"],
        time=0,
        data=Raw(encode(event)),
    )


async def parked(lab: Lab, process: Process, number: int = 1) -> list[UnmatchedRow]:
    """Wait until so many messages are parked."""
    while len(rows := await process.do(process.manager.unmatched())) < number:
        await lab.sleep(0.1)
    return rows
