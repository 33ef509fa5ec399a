"""An application of the `eventsourcing` library that knows nothing of sagas, and what its events are to us."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Notification

from sagalog import Event

SHOP = UUID("7b0a2c52-3f5c-4a58-9b0e-5f5c3c0d8a11")


class Order(Aggregate):
    class Placed(Aggregate.Created):
        """The order was placed."""

        number: int
        cents: int

    class Paid(Aggregate.Event):
        """A part of it was paid."""

        cents: int

    class Noted(Aggregate.Event):
        """Nobody else cares about it."""

        text: str

    @event(Placed)
    def __init__(self, number: int, cents: int) -> None:
        self.number = number
        self.cents = cents
        self.paid = 0
        self.notes: list[str] = []

    @staticmethod
    def create_id(number: int) -> UUID:
        return order_id(number)

    @event(Paid)
    def pay(self, cents: int) -> None:
        self.paid += cents

    @event(Noted)
    def note(self, text: str) -> None:
        self.notes.append(text)


class Bookshop(Application[UUID]):
    def place(self, number: int, cents: int = 1000) -> UUID:
        order = Order(number=number, cents=cents)
        self.save(order)
        return order.id

    def pay(self, number: int, cents: int = 1000) -> None:
        order: Order = self.repository.get(order_id(number))
        order.pay(cents)
        self.save(order)

    def note(self, number: int, text: str = "") -> None:
        order: Order = self.repository.get(order_id(number))
        order.note(text)
        self.save(order)

    def place_many(self, numbers: Iterable[int]) -> None:
        """Write many orders in few transactions, as a backlog that has been there for long."""
        written = [
            self.mapper.to_stored_event(pending)
            for number in numbers
            for pending in Order(number=number, cents=1000).collect_events()
        ]
        for begin in range(0, len(written), 1000):
            self.recorder.insert_events(written[begin : begin + 1000])

    def notifications(self) -> Sequence[Notification]:
        return self.recorder.select_notifications(1, 1_000_000)


class OrderPlaced(Event):
    order_id: str
    number: int
    cents: int


class OrderPaid(Event):
    order_id: str
    cents: int


def placed(happened: Order.Placed) -> OrderPlaced:
    return OrderPlaced(order_id=str(happened.originator_id), number=happened.number, cents=happened.cents)


def paid(happened: Order.Paid) -> OrderPaid:
    return OrderPaid(order_id=str(happened.originator_id), cents=happened.cents)


HANDLERS: dict[type, Callable[..., Event | None]] = {Order.Placed: placed, Order.Paid: paid}


def order_id(number: int) -> UUID:
    return uuid5(SHOP, str(number))


def environment(address: str) -> dict[str, str]:
    """Return what an application is told, for `popo`, `sqlite:///file` or `postgresql://...`."""
    if address == "popo":
        return {}
    if address.startswith("sqlite:///"):
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": address.removeprefix("sqlite:///")}
    parts = urlsplit(address)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.removeprefix("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
    }


@contextmanager
def bookshop(address: str, **more: str) -> Generator[Bookshop]:
    """Give an open application, closed afterwards."""
    application = Bookshop(env={**environment(address), **more})
    try:
        yield application
    finally:
        application.close()
