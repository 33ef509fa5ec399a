"""Two process managers and a real NATS server between them: what is asked here is answered there, exactly once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from broker_chaos import kill_while
from msgspec import Raw
from nats_server import NatsServer

from sagalog import Command, Event, MessageContext, Participant
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores.memory import MemoryStore
from sagalog.testing.transport_contract import BOUND_SECONDS
from sagalog.transports.faststream import FastStreamTransport

pytestmark = pytest.mark.nats

QUICK = Settings(lease=5, poll=0.02, grace=2)


class Charge(Command):
    order: str


class Charged(Event):
    order: str


class Booked(Event):
    order: str


def run(test: Callable[[], Coroutine[Any, Any, None]], bound: float = BOUND_SECONDS) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(bound):
            await test()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def charge(number: int) -> Envelope:
    """Return a command as it would be issued by a saga of this process."""
    return Envelope(
        id=f"saga-{number}:charge",
        kind="command",
        name="Charge",
        source="saga:orders",
        correlation_id=f"order-{number}",
        causation_id=f"saga-{number}",
        time=1_700_000_000_000_000,
        data=Raw(b'{"order":"%d"}' % number),
        saga_id=f"saga-{number}",
        step="charge",
    )


class Orders:
    """The service that asks: it books what it hears was charged."""

    def __init__(self, database: str | Store, server: NatsServer) -> None:
        self.booked: Counter[str] = Counter()
        books = Participant("books")

        @books.on
        async def book(event: Charged) -> Booked:
            self.booked[event.order] += 1
            return Booked(order=event.order)

        assert book.__name__ == "book"
        transport = FastStreamTransport(
            server.url,
            service="orders",
            sends=[Charge],
            listens=[Charged],
            prefix="shop",
            acknowledge_within=2,
            connect_timeout=2,
            send_timeout=2,
        )
        self.manager = ProcessManager(database, participants=[books], transports=[transport], settings=QUICK)


class Payments:
    """The service that is asked."""

    def __init__(self, database: str | Store, server: NatsServer) -> None:
        self.charged: Counter[str] = Counter()
        self.causes: list[str | None] = []
        till = Participant("till")

        @till.handles(Charge)
        async def charge(command: Charge, ctx: MessageContext) -> Charged:
            self.charged[command.order] += 1
            self.causes.append(ctx.correlation_id)
            return Charged(order=command.order)

        assert charge.__name__ == "charge"
        transport = FastStreamTransport(
            server.url,
            service="payments",
            sends=[Charged],
            listens=[Charge],
            prefix="shop",
            acknowledge_within=2,
            connect_timeout=2,
            send_timeout=2,
        )
        self.manager = ProcessManager(database, participants=[till], transports=[transport], settings=QUICK)


def test_a_command_is_answered_by_another_service(each_database: str | Store, nats_server: NatsServer) -> None:
    """The answer knows its cause, and both services can tell the whole story by the correlation id."""

    async def test() -> None:
        orders, payments = Orders(each_database, nats_server), Payments(MemoryStore(), nats_server)
        async with orders.manager, payments.manager:
            await orders.manager.handle(charge(1))
            await until(lambda: len(orders.manager.store.messages_of(["order-1"])) == 3)
            story = [envelope for _, envelope in orders.manager.store.messages_of(["order-1"])]
            assert [(one.name, one.via) for one in story] == [
                ("Charge", None),
                ("Charged", "nats"),
                ("Booked", None),
            ]
            assert [one.causation_id for one in story] == ["saga-1", story[0].id, story[1].id]
            assert story[1].source == "sagalog:payments/till"
        assert payments.charged == {"1": 1}
        assert payments.causes == ["order-1"]

    run(test)


@pytest.mark.crash
@pytest.mark.slow
def test_a_broker_killed_twenty_times_loses_and_doubles_nothing(
    each_database: str | Store, nats_server: NatsServer, tmp_path: Path
) -> None:
    """INVARIANTS 5 and 7: 2,000 commands and their answers cross, and each has its effect once."""
    total = 2000

    async def test() -> None:
        orders = Orders(each_database, nats_server)
        payments = Payments(f"sqlite:///{tmp_path}/payments.db", nats_server)

        async with orders.manager, payments.manager:
            killing = asyncio.ensure_future(kill_while(nats_server, 20, lambda: len(orders.booked), total))
            for first in range(0, total, 100):
                await asyncio.gather(*(orders.manager.handle(charge(first + number)) for number in range(100)))
            await until(lambda: len(orders.booked) == total)
            assert await killing == 20
            assert await orders.manager.unmatched() == []
            assert await payments.manager.unmatched() == []
        every = {str(number): 1 for number in range(total)}
        assert payments.charged == every
        assert orders.booked == every

    # A machine that does much else takes its time.
    run(test, bound=600)
