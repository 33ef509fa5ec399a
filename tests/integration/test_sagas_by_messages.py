"""Sagas that begin with an event and talk to participants by commands and events, from the first to the last."""

from lab import Lab, Process, in_lab

from sagalog import Command, Event, Participant, Saga
from sagalog.store import Store


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


class Shipped(Event):
    order_id: str


class CannotShip(Event):
    order_id: str


class Order(Event):
    order_id: str
    cents: int


class Shop:
    """A saga and the two participants that it asks."""

    def __init__(self, **options: object) -> None:
        self.taken: list[str] = []
        self.paid_back: list[str] = []
        self.shipped: list[str] = []
        self.saga = saga = Saga("fulfil", input=Order, key=lambda order: order.order_id)
        saga.started_by(OrderPlaced, input=lambda e: Order(order_id=e.order_id, cents=e.cents))

        @saga.request(PaymentTaken, refused=PaymentRefused)
        def take_payment(order: Order) -> TakePayment:
            return TakePayment(order_id=order.order_id, cents=order.cents)

        @take_payment.compensate(reply=PaidBack)
        def pay_back(taken: PaymentTaken | None) -> PayBack | None:
            return None if taken is None else PayBack(payment=taken.payment)

        @saga.request(Shipped, refused=CannotShip, compensation=None)
        def ship(order: Order, taken: PaymentTaken) -> Ship:
            return Ship(order_id=order.order_id, payment=taken.payment)

        assert (pay_back.__name__, ship.name) == ("pay_back", "ship")
        self.bank = Participant("bank")
        self.carrier = Participant("carrier")

        @self.bank.handles
        async def take(command: TakePayment) -> PaymentTaken | PaymentRefused:
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


async def placed(process: Process, order_id: str, cents: int = 500, id: str | None = None) -> str:
    return await process.do(process.manager.publish(OrderPlaced(order_id=order_id, cents=cents), id=id))


async def end_of(lab: Lab, process: Process, order_id: str) -> str:
    """Wait until the saga of an order has ended and return its status."""
    await lab.until(lambda: lab.stores[0].latest_run("fulfil", order_id) is not None)
    row = lab.stores[0].latest_run("fulfil", order_id)
    assert row is not None
    return (await process.result(row.saga_id)).status


def test_an_event_starts_a_saga_that_asks_participants_and_completes(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await lab.begin([shop.saga], participants=[shop.bank, shop.carrier])
        message_id = await placed(process, "o1")
        assert await end_of(lab, process, "o1") == "completed"
        assert (shop.taken, shop.shipped, shop.paid_back) == (["o1"], ["o1"], [])
        row = lab.stores[0].latest_run("fulfil", "o1")
        assert row is not None
        assert (row.causation_id, row.correlation_id) == (message_id, message_id)
        names = [(one.name, one.kind) for _, one in lab.stores[0].read_messages(0, 100)]
        assert names == [
            ("OrderPlaced", "event"),
            ("TakePayment", "command"),
            ("PaymentTaken", "event"),
            ("Ship", "command"),
            ("Shipped", "event"),
        ]

    in_lab(each_database, story)


def test_a_refusal_undoes_what_was_done_by_a_command_too(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await lab.begin([shop.saga], participants=[shop.bank, shop.carrier])
        await placed(process, "moon")
        assert await end_of(lab, process, "moon") == "failed"
        assert (shop.taken, shop.shipped, shop.paid_back) == (["moon"], [], ["pay-moon"])

    in_lab(each_database, story)
