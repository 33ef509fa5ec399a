"""From the log to a broker and from there into another log: what is sent, what is parked, what is never doubled."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from msgspec import structs

from sagalog import Event, MessageContext, Participant
from sagalog.clock import SystemClock
from sagalog.engine.transports.receiving import MOST_DELIVERIES, Receiving
from sagalog.errors import DefinitionError, InvalidInput, StoreUnavailable, TransportUnavailable
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery, UnmatchedRow
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.broker import MemoryBroker, MemoryTransport
from sagalog.testing.contracts.transport.contract import BOUND_SECONDS
from sagalog.transport import Incoming, Receipt, Transport

QUICK = Settings(lease=5, poll=0.02, grace=2)


class Ordered(Event):
    order: str


class Cooked(Event):
    order: str


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            await test()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


class Kitchen:
    """A service that cooks what it hears was ordered, in its own database."""

    def __init__(self, broker: MemoryBroker, database: str | Store | None = None) -> None:
        self.cooked: Counter[str] = Counter()
        kitchen = Participant("kitchen")

        @kitchen.on
        async def cook(event: Ordered, ctx: MessageContext) -> Cooked:
            self.cooked[event.order] += 1
            return Cooked(order=event.order)

        assert cook.__name__ == "cook"
        transport = broker.transport("kitchen", sends=[Cooked], listens=[Ordered])
        self.manager = ProcessManager(
            MemoryStore() if database is None else database,
            participants=[kitchen],
            transports=[transport],
            settings=QUICK,
        )


def shop(
    broker: MemoryBroker, database: str | Store, transport: Transport | None = None, settings: Settings = QUICK
) -> ProcessManager:
    """Return a service that tells of orders, and listens to nothing."""
    transport = transport or broker.transport("shop", sends=[Ordered])
    return ProcessManager(database, transports=[transport], settings=settings)


def sent(broker: MemoryBroker) -> list[str]:
    """Return the ids of all that was ever sent."""
    return [incoming.attributes["id"] for _, incoming in broker.kept]


def test_what_is_published_here_is_handled_there_once(each_database: str | Store) -> None:
    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker)
        async with shop(broker, each_database) as manager, kitchen.manager:
            for number in range(30):
                await manager.publish(Ordered(order=str(number)))
            await until(lambda: len(kitchen.cooked) == 30)
        assert kitchen.cooked == {str(number): 1 for number in range(30)}

    run(test)


def test_a_message_that_is_delivered_three_times_has_one_effect(each_database: str | Store) -> None:
    """Invariant 7."""

    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker, each_database)
        async with shop(broker, MemoryStore()) as manager, kitchen.manager:
            await manager.publish(Ordered(order="1"))
            await until(lambda: len(kitchen.cooked) == 1)
            [(address, incoming)] = [one for one in broker.kept if one[0] == ("event", "Ordered")]
            broker.put(address, incoming)
            broker.put(address, incoming)
            await manager.publish(Ordered(order="2"))
            await until(lambda: len(kitchen.cooked) == 2)
        assert kitchen.cooked == {"1": 1, "2": 1}

    run(test)


def test_what_came_over_a_transport_does_not_go_back_over_it(each_database: str | Store) -> None:
    """Two services that send and listen to the same event would send it to each other for ever."""

    async def test() -> None:
        broker = MemoryBroker()
        mirror = broker.transport("mirror", sends=[Ordered, Cooked], listens=[Ordered])
        async with (
            shop(broker, MemoryStore(), broker.transport("shop", sends=[Ordered], listens=[Ordered])) as manager,
            ProcessManager(each_database, transports=[mirror], settings=QUICK) as other,
        ):
            await manager.publish(Ordered(order="1"), id="ordered-1")
            await until(lambda: other.store.find_message("ordered-1") is not None)
            await other.publish(Cooked(order="1"), id="cooked-1")
            await until(lambda: "cooked-1" in sent(broker))
        assert sent(broker) == ["ordered-1", "cooked-1"]

    run(test)


def test_while_the_broker_is_down_publishing_goes_on_and_nothing_is_lost(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 5: what was published is sent when the broker is back, and the outage is told of once."""

    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker)
        broker.kill()
        async with shop(broker, each_database) as manager, kitchen.manager:
            for number in range(10):
                await manager.publish(Ordered(order=str(number)))
            await until(lambda: "waits in the log" in caplog.text)
            assert [row.position for row in manager.store.consumers()] == [0]
            broker.start()
            await until(lambda: len(kitchen.cooked) == 10)
            await until(lambda: manager.store.consumers()[0].position > 0)

    with caplog.at_level(logging.WARNING, "sagalog.engine"):
        run(test)
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["what goes over memory waits in the log: the broker is down", "what goes over memory is sent again"]


class Forgetful(MemoryTransport):
    """A transport whose first acknowledgements never arrive."""

    lost = 3

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        outcomes = await super().send(envelopes)
        if self.lost:
            self.lost -= 1
            raise TransportUnavailable("the acknowledgement was lost")
        return outcomes


def test_a_lost_acknowledgement_sends_again_and_doubles_no_effect(each_database: str | Store) -> None:
    """Invariant 7."""

    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker)
        forgetful = Forgetful(broker, "shop", {("event", "Ordered")}, set())
        async with shop(broker, each_database, forgetful) as manager, kitchen.manager:
            await manager.publish(Ordered(order="1"), id="ordered-1")
            await until(lambda: kitchen.cooked["1"] == 1 and forgetful.lost == 0)
            await manager.publish(Ordered(order="2"), id="ordered-2")
            await until(lambda: kitchen.cooked["2"] == 1)
        assert Counter(sent(broker))["ordered-1"] == 4
        assert kitchen.cooked == {"1": 1, "2": 1}

    run(test)


def test_what_the_broker_refuses_is_parked_and_the_rest_go_on(each_database: str | Store) -> None:
    """A message that can never be sent must not keep the others; a person may send it when the broker takes it."""

    async def test() -> None:
        broker = MemoryBroker(largest=1000)
        async with shop(broker, each_database) as manager:
            await manager.publish(Ordered(order="x" * 2000), id="large")
            await manager.publish(Ordered(order="2"), id="small")
            await until(lambda: sent(broker) == ["small"] and manager.store.unmatched(UnmatchedQuery()) != [])
            [row] = await manager.unmatched()
            assert (row.consumer, row.message_id, row.name) == ("transport:memory", "large", "Ordered")
            assert row.reason.startswith("memory refuses it: it is 2,0")

            await manager.redeliver(row.unmatched_id, actor="ada", reason="perhaps now")
            await until(lambda: manager.store.unmatched(UnmatchedQuery(statuses=["parked"])) != [])
            assert sent(broker) == ["small"]
            broker.largest = 10_000
            await manager.redeliver(row.unmatched_id, actor="ada", reason="the limit was raised")
            await until(lambda: sent(broker) == ["small", "large"])
            await until(lambda: manager.store.unmatched(UnmatchedQuery(statuses=["redelivered"])) != [])

    run(test)


def test_of_several_processes_one_sends_and_another_takes_over(each_database: str | Store) -> None:
    """Invariant 36: the messages of a service leave it once, in order, whoever sends them."""

    async def test() -> None:
        broker = MemoryBroker()
        async with shop(broker, each_database) as first:
            async with shop(broker, each_database) as second:
                for number in range(20):
                    await (first, second)[number % 2].publish(Ordered(order=str(number)), id=f"ordered-{number}")
                await until(lambda: len(sent(broker)) == 20)
            await first.publish(Ordered(order="last"), id="last")
            await until(lambda: "last" in sent(broker))
        assert sent(broker) == [*(f"ordered-{number}" for number in range(20)), "last"]

    run(test)


@pytest.mark.parametrize(("begin", "expected"), [("start", ["before", "after"]), ("now", ["after"])])
def test_a_new_transport_begins_where_the_settings_say(begin: Any, expected: list[str]) -> None:
    async def test() -> None:
        broker, store = MemoryBroker(), MemoryStore()
        async with ProcessManager(store, settings=QUICK) as manager:
            await manager.publish(Ordered(order="1"), id="before")
        async with shop(broker, store, settings=settings_with(new_consumers=begin)) as manager:
            await until(lambda: manager.store.consumers() != [])
            await manager.publish(Ordered(order="2"), id="after")
            await until(lambda: "after" in sent(broker))
        assert sent(broker) == expected

    run(test)


def settings_with(**changed: object) -> Settings:
    """Return the settings of these tests, changed."""
    return QUICK.model_copy(update=changed)


BAD = [
    (Incoming(attributes={}, body=b"hello"), "specversion 1.0, found none"),
    (Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x"}, body=b"{}"), "id: expected"),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "\0"}, body=b"{}"),
        "U+0000",
    ),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "1"}, body=b'{"order":'),
        "not JSON",
    ),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "2"}, body=b"[" * 10**5),
        "nested",
    ),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "3"}, body=b"9" * 2**21),
        "the cap is",
    ),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "4"}, body=b'{"a":1}'),
        "order",
    ),
    (
        Incoming(attributes={"specversion": "1.0", "type": "Unheard", "source": "urn:x", "id": "5"}, body=b"{}"),
        "nobody knows events called Unheard",
    ),
]


def test_bad_input_is_parked_with_a_reason_and_the_worker_lives(each_database: str | Store) -> None:
    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker, each_database)
        async with shop(broker, MemoryStore()) as manager, kitchen.manager:
            for incoming, _ in BAD:
                broker.put(("event", "Ordered"), incoming)
                broker.put(("event", "Ordered"), incoming)
            await manager.publish(Ordered(order="1"))
            await until(lambda: kitchen.cooked["1"] == 1)
            rows = list(reversed(await kitchen.manager.unmatched()))
        assert len(rows) == len(BAD)
        for row, (_, reason) in zip(rows, BAD, strict=True):
            assert reason in row.reason
        assert rows[0].message == "\nhello"
        assert len(rows[5].message) <= 64 * 1024
        assert kitchen.cooked == {"1": 1}

    run(test)


class Inbox:
    """Receive by hand, with a store that does as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.handled: list[str] = []
        self.parked: list[UnmatchedRow] = []
        self.park_failures: list[Exception] = []
        self.receiving = Receiving("wire", self.handle, self.park, SystemClock())

    async def handle(self, envelope: Envelope) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        self.handled.append(envelope.id)
        return True

    async def park(self, row: UnmatchedRow) -> None:
        if self.park_failures:
            raise self.park_failures.pop(0)
        self.parked.append(row)

    def deliver(self, deliveries: int = 1) -> Receipt:
        """Deliver one message for the so many-th time."""
        attributes = {"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "1"}
        incoming = Incoming(attributes=attributes, body=b"{}", deliveries=deliveries)
        return asyncio.run(self._deliver(incoming))

    async def _deliver(self, incoming: Incoming) -> Receipt:
        return await self.receiving(incoming)


def test_what_fails_is_asked_for_again_with_longer_and_longer_pauses_and_then_parked() -> None:
    """Invariant 26, for messages: a bounded number of deliveries, then a person."""
    inbox = Inbox(*[ValueError("a bug")] * MOST_DELIVERIES)
    receipts = [inbox.deliver(number + 1) for number in range(MOST_DELIVERIES)]
    assert [receipt.taken for receipt in receipts] == [*[False] * (MOST_DELIVERIES - 1), True]
    pauses = [receipt.pause for receipt in receipts[:-1]]
    assert pauses == sorted(pauses)
    assert len(set(pauses)) == len(pauses)
    [row] = inbox.parked
    assert (row.consumer, row.message_id) == ("door", "urn:x#1")
    assert row.reason == f"failed when it was delivered {MOST_DELIVERIES} times: ValueError: a bug"


def test_a_message_that_is_wrong_is_parked_at_once() -> None:
    inbox = Inbox(InvalidInput("expected Ordered, found other JSON"))
    assert inbox.deliver().taken
    assert [row.reason for row in inbox.parked] == ["expected Ordered, found other JSON"]


def test_while_the_store_is_away_nothing_is_parked_however_often_it_was_delivered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Invariants 5 and 12: an outage is no fault of the message; it stays with the broker, and is told of once."""
    inbox = Inbox(*[StoreUnavailable("away")] * 3)
    with caplog.at_level(logging.WARNING, "sagalog.engine"):
        assert [inbox.deliver(1000 + number).taken for number in range(4)] == [False, False, False, True]
    assert inbox.handled == ["urn:x#1"]
    assert inbox.parked == []
    assert [record.message for record in caplog.records] == [
        "what comes over wire waits there: away",
        "what comes over wire is taken again",
    ]


def test_what_cannot_be_parked_stays_with_the_broker() -> None:
    """Invariant 4: never dropped."""
    inbox = Inbox(InvalidInput("wrong"), InvalidInput("wrong"), InvalidInput("wrong"))
    inbox.park_failures = [StoreUnavailable("away"), ValueError("a bug")]
    assert [inbox.deliver().taken for _ in range(3)] == [False, False, True]
    assert len(inbox.parked) == 1


def test_two_transports_of_one_name_are_refused() -> None:
    broker = MemoryBroker()
    with pytest.raises(DefinitionError, match="two transports are called memory"):
        ProcessManager(MemoryStore(), transports=[broker.transport("a"), broker.transport("b")])


def test_the_envelope_says_over_which_transport_it_came(each_database: str | Store) -> None:
    async def test() -> None:
        broker = MemoryBroker()
        kitchen = Kitchen(broker, each_database)
        async with shop(broker, MemoryStore()) as manager, kitchen.manager:
            await manager.publish(Ordered(order="1"), id="one")
            await until(lambda: kitchen.cooked["1"] == 1)
            found = kitchen.manager.store.find_message("one")
            assert found is not None
            assert structs.asdict(found[1])["via"] == "memory"
            assert found[1].source == "sagalog:shop/sagalog"

    run(test)
