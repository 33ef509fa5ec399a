"""Two process managers and a real NATS server between them: what is asked here is answered there, exactly once."""

import asyncio
import gc
import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import nats
import pytest
from msgspec import Raw
from nats.js.errors import NoStreamResponseError
from servers.broker_chaos import kill_while
from servers.nats_server import NatsServer

from sagalog import Command, Event, MessageContext, Participant
from sagalog.errors import DefinitionError
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.contracts.transport.contract import BOUND_SECONDS, Mailbox, opened
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
    each_database: str | Store, nats_server: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariants 5 and 7: 2,000 commands and their answers cross, and each has its effect once."""
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
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def publish_raw(server: NatsServer, headers: dict[str, str], body: bytes, name: str = "Charged") -> None:
    """Publish as some other program does, as soon as somebody has made the stream, and wait until it is kept."""
    driver: Any = nats
    client = await driver.connect(server.url)
    try:
        while True:
            try:
                await client.jetstream().publish(f"shop.events.{name}", body, headers=headers)
            except NoStreamResponseError:
                await asyncio.sleep(0.01)
            else:
                return
    finally:
        await client.close()


async def publish_bytes(server: NatsServer, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Publish headers byte by byte, as a program that knows no encoding does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    block = b"NATS/1.0\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n"
    writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n')
    writer.write(b"HPUB shop.events.Charged %d %d\r\n" % (len(block), len(block) + len(body)))
    writer.write(block + body + b"\r\nPING\r\n")
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()
    await writer.wait_closed()


FOREIGN = {"ce-specversion": "1.0", "ce-source": "urn:bank", "ce-type": "Charged", "Content-Type": "application/json"}


def test_bad_input_on_the_wire_is_parked_and_what_follows_is_handled(
    each_database: str | Store, nats_server: NatsServer
) -> None:
    """Invariants 4 and 8: no identity, no entry; and what is malformed is kept for a person, not dropped."""
    bad: list[tuple[dict[str, str], bytes, str]] = [
        ({}, b"hello", "specversion 1.0, found none"),
        (FOREIGN, b'{"order":"1"}', "id: expected"),
        (FOREIGN | {"ce-id": "a%00b"}, b'{"order":"1"}', "U+0000"),
        (FOREIGN | {"ce-id": "x" * 501}, b'{"order":"1"}', "found 501"),
        (FOREIGN | {"ce-id": "1", "ce-specversion": "9"}, b'{"order":"1"}', "found '9'"),
        (FOREIGN | {"ce-id": "2"}, b'{"order":', "not JSON"),
        (FOREIGN | {"ce-id": "3"}, b"[" * 100_000 + b"]" * 100_000, "nested"),
        (FOREIGN | {"ce-id": "4"}, b'{"order":"' + b"x" * 2**21 + b'"}', "the cap is"),
        (FOREIGN | {"ce-id": "5"}, b'{"other":1}', "order"),
        (FOREIGN | {"ce-id": "6", "ce-type": "Unheard"}, b"{}", "nobody knows events called Unheard"),
    ]

    async def test() -> None:
        orders = Orders(each_database, nats_server)
        async with orders.manager:
            for headers, body, _ in bad:
                await publish_raw(nats_server, headers, body)
            await publish_raw(nats_server, FOREIGN | {"ce-id": "7"}, b'{"order":"7"}')
            await until(lambda: orders.booked["7"] == 1)
            await until(lambda: len(orders.manager.store.unmatched(UnmatchedQuery())) == len(bad))
            reasons = [row.reason for row in await orders.manager.unmatched()]
        for _, _, reason in bad:
            assert any(reason in one for one in reasons), reason
        assert orders.booked == {"7": 1}

    run(test)


def test_two_ids_that_are_no_text_are_parked_as_two_and_none_is_dropped_as_known(
    each_database: str | Store, nats_server: NatsServer
) -> None:
    """Invariants 4 and 7: decoded with replacement, the second of them would be the first once more."""
    least = [(name.encode(), value.encode()) for name, value in FOREIGN.items()]
    bad: list[tuple[list[tuple[bytes, bytes]], bytes, str]] = [
        ([(b"ce-id", b"\xe9")], b'{"order":"a"}', "id: expected UTF-8, found the byte 0xE9"),
        ([(b"ce-id", b"\xe8")], b'{"order":"b"}', "id: expected UTF-8, found the byte 0xE8"),
        ([(b"ce-id", b"%E9")], b'{"order":"c"}', "id: expected UTF-8, found the byte 0xE9"),
        ([(b"ce-id", b"100%")], b'{"order":"d"}', "id: expected text, percent-encoded"),
        ([(b"ce-id", b"1"), (b"ce-id", b"2")], b'{"order":"e"}', "id: expected one header, found several"),
        ([(b"ce-id", b"1"), (b"CE-Id", b"2")], b'{"order":"f"}', "id: expected one header, found several"),
        ([(b"ce-id", b"3"), (b"ce-correlationid", b"\xff")], b'{"order":"g"}', "correlationid: expected UTF-8"),
        ([(b"ce-id", b"4")], b'{"order":"\xff"}', "not JSON"),
        ([(b"ce-id", b"4")], b'{"order":"\xfe"}', "not JSON"),
    ]

    async def test() -> None:
        orders = Orders(each_database, nats_server)
        async with orders.manager:
            await publish_raw(nats_server, FOREIGN | {"ce-id": "1"}, b'{"order":"1"}')
            for headers, body, _ in bad:
                await publish_bytes(nats_server, least + headers, body)
            await publish_bytes(nats_server, [*least, (b"ce-id", "é".encode())], b'{"order":"2"}')
            await until(lambda: orders.booked["1"] + orders.booked["2"] >= 2)
            await until(lambda: len(orders.manager.store.unmatched(UnmatchedQuery())) == len(bad))
            rows = await orders.manager.unmatched()
        for _, _, reason in bad:
            assert any(reason in row.reason for row in rows), reason
        assert all((row.message + row.reason).replace("\n", "").isprintable() for row in rows)
        assert any('{"order":"\\xff"}' in row.message for row in rows)
        assert orders.booked == {"1": 1, "2": 1}

    run(test)


def test_a_transport_whose_tasks_are_cancelled_connects_anew(
    each_database: str | Store, nats_server: NatsServer
) -> None:
    """A handler may cancel every task of the event loop, those of the broker's driver included."""

    async def test() -> None:
        orders = Orders(each_database, nats_server)
        async with orders.manager:
            for number in ("1", "2", "3"):
                await publish_raw(nats_server, FOREIGN | {"ce-id": number}, b'{"order":"%b"}' % number.encode())
                await until(lambda number=number: orders.booked[number] == 1)  # type: ignore[misc]
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
        assert orders.booked == {"1": 1, "2": 1, "3": 1}

    run(test)


def test_the_same_number_from_two_foreign_sources_is_two_messages(
    each_database: str | Store, nats_server: NatsServer
) -> None:
    """Invariant 7: known by source and id; each of them delivered three times, handled once."""

    async def test() -> None:
        orders = Orders(each_database, nats_server)
        async with orders.manager:
            for source in ("urn:bank", "urn:other-bank"):
                for _ in range(3):
                    headers = FOREIGN | {"ce-id": "42", "ce-source": source}
                    await publish_raw(nats_server, headers, b'{"order":"%s"}' % source.encode())
            await publish_raw(nats_server, FOREIGN | {"ce-id": "43"}, b'{"order":"last"}')
            await until(lambda: len(orders.booked) == 3)
        assert orders.booked == {"urn:bank": 1, "urn:other-bank": 1, "last": 1}

    run(test)


def test_a_server_that_lost_all_its_data_is_set_up_again(each_database: str | Store, nats_server: NatsServer) -> None:
    """What it had acknowledged and not delivered is gone with it; everything after goes on by itself."""

    async def test() -> None:
        orders, payments = Orders(each_database, nats_server), Payments(MemoryStore(), nats_server)
        async with orders.manager, payments.manager:
            await orders.manager.handle(charge(1))
            await until(lambda: orders.booked["1"] == 1)
            nats_server.forget()
            await orders.manager.handle(charge(2))
            nats_server.start()
            await until(lambda: orders.booked["2"] == 1)

    run(test)


def test_a_durable_consumer_listens_to_what_its_service_listens_to_by_now(nats_server: NatsServer) -> None:
    """A service that is changed keeps its place, and gets the new messages too."""
    boxes = [Mailbox(), Mailbox()]

    def transport(*listens: type[Event]) -> FastStreamTransport:
        return FastStreamTransport(nats_server.url, service="orders", prefix="shop", listens=listens)

    async def test() -> None:
        async with opened(transport(Charged), boxes[0]):
            await publish_raw(nats_server, FOREIGN | {"ce-id": "1"}, b"{}")
            await until(lambda: len(boxes[0].deliveries) == 1)
        async with opened(transport(Charged, Booked), boxes[1]):
            await publish_raw(nats_server, FOREIGN | {"ce-id": "2", "ce-type": "Booked"}, b"{}", "Booked")
            await publish_raw(nats_server, FOREIGN | {"ce-id": "3"}, b"{}")
            await until(lambda: len(boxes[1].deliveries) == 2)
        assert boxes[1].ids == {"2": 1, "3": 1}

    run(test)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"address": "http://127.0.0.1"}, "expected the address of a broker"),
        ({"service": "two words"}, "as the service, found 'two words'"),
        ({"service": ""}, "as the service"),
        ({"prefix": "shop.>"}, "as the prefix"),
        ({"sends": ["*"]}, "expected a name of letters"),
        ({"listens": [int]}, "expected a class of events or commands"),
        ({"name": "a b"}, "as the transport"),
        ({"sends": ["x" * 230]}, "expected at most 240 characters of prefix and name, found 247"),
        ({"prefix": "x" * 250, "listens": ["Charged"]}, "expected at most 240 characters of prefix and name"),
    ],
)
def test_names_that_no_broker_can_have_are_refused(given: dict[str, Any], text: str) -> None:
    arguments: dict[str, Any] = {"address": "nats://127.0.0.1", "service": "orders"} | given
    with pytest.raises(DefinitionError, match=re.escape(text)):
        FastStreamTransport(**arguments)


def test_no_password_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        transport = FastStreamTransport("nats://ada:s3cret@127.0.0.1:1", service="orders", sends=[Charge])
        async with opened(transport):
            await until(lambda: "is not connected" in caplog.text)
            assert "s3cret" not in repr(transport)

    with caplog.at_level(logging.DEBUG):
        run(test)
    assert "s3cret" not in caplog.text
