"""One message that no broker will ever take, amid others: it is parked with the reason, and the others go out."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec import Raw, structs
from sagas.moody import ORDERED, Moody, Ordered, Panic, Speechless, ordered

from sagalog.engine.backoff import Pauses
from sagalog.engine.transports import handover
from sagalog.engine.transports.handover import MOST_TRIES
from sagalog.errors import StoreError, StoreUnavailable, TransportUnavailable
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.saga.failure import described
from sagalog.settings import Settings
from sagalog.store import Advance, Posting, Route, RouteOutcome, Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.broker import MemoryBroker, MemoryTransport
from sagalog.testing.contracts.transport.contract import BOUND_SECONDS

QUICK = Settings(lease=5, poll=0.02, grace=2)


FAILURES: list[BaseException] = [
    ValueError("what is this?"),
    TypeError("what is this?"),
    RuntimeError("a bug"),
    Panic("in Rust"),
    asyncio.CancelledError("not by us"),
    Speechless(),
    ExceptionGroup("sending", [ValueError("what is this?")]),
]


def run(test: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            await test()

    asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def sent(broker: MemoryBroker) -> Counter[str]:
    """Return how often each message was sent."""
    return Counter(incoming.attributes["id"] for _, incoming in broker.kept)


def parked(manager: ProcessManager) -> dict[str, str]:
    """Return the ids of what is parked, and why."""
    return {row.message_id: row.reason for row in manager.store.unmatched(UnmatchedQuery(statuses=["parked"]))}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait between tries: how long that is is said by a test of its own."""
    monkeypatch.setattr(handover, "PAUSES", Pauses(0.001, 0.008))


@pytest.mark.parametrize("problem", FAILURES, ids=lambda problem: type(problem).__name__)
def test_a_message_that_a_transport_fails_at_is_parked_and_its_neighbours_go_out(
    each_database: str | Store, problem: BaseException
) -> None:
    async def test() -> None:
        broker = MemoryBroker()
        transport = Moody(broker, problem)
        async with ProcessManager(each_database, transports=[transport], settings=QUICK) as manager:
            names = ["bad-0", *(f"good-{number}" for number in range(3)), "bad-1", "good-3", "bad-2"]
            manager.store.post([Posting(messages=[ordered(name) for name in names])])
            await until(lambda: len(parked(manager)) == 3)
            await manager.publish(Ordered(order="2"), id="last")
            await until(lambda: sent(broker)["last"] == 1)
            good = [name for name in names if name.startswith("good")]
            assert all(1 <= sent(broker)[name] <= 2 for name in good), sent(broker)
            assert set(parked(manager)) == {"bad-0", "bad-1", "bad-2"}
            for why in parked(manager).values():
                assert why.startswith(f"memory refuses it: it failed {MOST_TRIES} times: {described(problem)}")

            transport.problem = None
            for row in await manager.unmatched():
                await manager.redeliver(row.unmatched_id, actor="ada", reason="the transport was mended")
            await until(lambda: parked(manager) == {} and sent(broker)["bad-2"] == 1)
            await until(lambda: len(manager.store.unmatched(UnmatchedQuery(statuses=["redelivered"]))) == 3)
        assert [sent(broker)[name] for name in ("bad-0", "bad-1", "bad-2")] == [1, 1, 1]

    run(test)


LATE = [ordered("late", time=2**62), ordered("later", time=253_402_300_800_000_000), ordered("early", time=-1)]


def test_what_an_older_version_let_in_and_nobody_can_write_out_is_parked_and_its_neighbours_are_sent_once(
    each_database: str | Store,
) -> None:
    """A time of the year 10000 blocked its outbox for ever, and sent its neighbours again and again."""

    async def test() -> None:
        broker = MemoryBroker()
        deep = ordered("deep", data=Raw(b"[" * 200 + b"]" * 200))
        async with ProcessManager(
            each_database, transports=[broker.transport("shop", sends=[Ordered])], settings=QUICK
        ) as manager:
            manager.store.post([Posting(messages=[ordered("a"), *LATE, ordered("b"), deep, ordered("c")])])
            await until(lambda: len(parked(manager)) == 4)
            await manager.publish(Ordered(order="2"), id="last")
            await until(lambda: sent(broker)["last"] == 1)
            why = parked(manager)
            assert why.keys() == {"late", "later", "early", "deep"}
            assert all("1970-01-01T00:00:00Z and 9999-12-31" in why[one.id] for one in LATE)
            assert "nested more than 100 deep" in why["deep"]
        assert sent(broker) == {"a": 1, "b": 1, "c": 1, "last": 1}

    run(test)


class Cut(Moody):
    tries = 0

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        self.tries += 1
        return await super().send(envelopes)


CUT: list[BaseException] = [
    ConnectionResetError("cut"),
    TimeoutError(),
    OSError("no route"),
    ExceptionGroup("sending", [ValueError("no"), ExceptionGroup("inside", [ConnectionResetError("cut")])]),
    BaseExceptionGroup("sending", [TransportUnavailable("away"), Panic("in Rust")]),
]


@pytest.mark.parametrize("problem", CUT, ids=repr)
def test_a_transport_that_cannot_connect_parks_nothing_however_it_says_so(problem: BaseException) -> None:
    async def test() -> None:
        broker = MemoryBroker()
        transport = Cut(broker, problem)
        async with ProcessManager(MemoryStore(), transports=[transport], settings=QUICK) as manager:
            await manager.publish(Ordered(order="1"), id="bad-1")
            await manager.publish(Ordered(order="2"), id="good")
            await until(lambda: transport.tries >= 3)
            assert parked(manager) == {}
            transport.problem = None
            await until(lambda: sent(broker)["good"] and sent(broker)["bad-1"])
            assert parked(manager) == {}

    run(test)


class Doubtful(MemoryTransport):
    def carries(self, envelope: Envelope) -> bool:
        if envelope.id.startswith("bad"):
            raise LookupError("no such route")
        return super().carries(envelope)


def test_a_message_of_which_a_transport_cannot_say_whether_it_carries_it_is_parked() -> None:
    async def test() -> None:
        broker = MemoryBroker()
        transport = Doubtful(broker, "shop", ORDERED, set())
        async with ProcessManager(MemoryStore(), transports=[transport], settings=QUICK) as manager:
            for name in ("a", "bad", "b"):
                await manager.publish(Ordered(order="1"), id=name)
            await until(lambda: sent(broker)["b"] == 1 and parked(manager))
            assert "LookupError: no such route" in parked(manager)["bad"]
        assert sent(broker) == {"a": 1, "b": 1}

    run(test)


class Careless(MemoryTransport):
    """A transport whose author forgot to say what became of the messages."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        await super().send(envelopes)
        return None  # type: ignore[return-value]


def test_a_transport_that_does_not_say_what_became_of_a_message_is_told_so_in_what_is_parked() -> None:
    async def test() -> None:
        broker = MemoryBroker()
        transport = Careless(broker, "shop", ORDERED, set())
        async with ProcessManager(MemoryStore(), transports=[transport], settings=QUICK) as manager:
            await manager.publish(Ordered(order="1"), id="a")
            await until(lambda: parked(manager))
            assert "expected a list with an outcome for each of 1 messages, found None" in parked(manager)["a"]
        assert sent(broker)["a"] <= 1 + MOST_TRIES

    run(test)


def test_what_was_sent_is_not_sent_again_while_its_position_cannot_be_written(each_database: str | Store) -> None:
    """A database that can only be read for a while made all that is in the outbox go out again and again."""

    async def test() -> None:
        broker = MemoryBroker()
        async with ProcessManager(
            each_database, transports=[broker.transport("shop", sends=[Ordered])], settings=QUICK
        ) as manager:
            route, refusals = manager.store.route, 0

            def refuse(given: Route) -> RouteOutcome:
                nonlocal refusals
                refusals += 1
                if refusals <= 4:
                    raise StoreUnavailable("it can only be read")
                return route(given)

            manager.store.route = refuse  # type: ignore[method-assign,assignment]
            manager.store.post([Posting(messages=[ordered(f"o-{number}") for number in range(20)])])
            await until(lambda: refusals > 4)
            await manager.publish(Ordered(order="2"), id="last")
            await until(lambda: sent(broker)["last"] == 1)
        assert set(sent(broker).values()) == {1}

    run(test)


def test_a_message_that_the_store_refuses_to_park_holds_up_none_before_it_and_is_said(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        broker = MemoryBroker(largest=1000)
        async with ProcessManager(
            each_database, transports=[broker.transport("shop", sends=[Ordered])], settings=QUICK
        ) as manager:
            route, refusing = manager.store.route, True

            def refuse(given: Route) -> RouteOutcome:
                if refusing and any(row.message_id == "large" for row in given.parked):
                    raise StoreError("this row is too large")
                return route(given)

            manager.store.route = refuse  # type: ignore[method-assign,assignment]
            large = Raw(b'{"order":"%s"}' % (b"x" * 2000))
            manager.store.post([Posting(messages=[ordered("a"), ordered("large", data=large), ordered("b")])])
            await until(lambda: "this row is too large" in caplog.text)
            await until(lambda: manager.store.consumers()[0].position == position_of(manager.store, "a"))
            refusing = False
            await until(lambda: manager.store.consumers()[0].position == position_of(manager.store, "b"))
            assert parked(manager).keys() == {"large"}
        assert sent(broker) == {"a": 1, "b": 1}

    with caplog.at_level(logging.WARNING, "sagalog.engine"):
        run(test)


def position_of(store: Store, message_id: str) -> int:
    """Return where a message stands in the log."""
    found = store.find_message(message_id)
    assert found is not None
    return found[0]


def test_what_is_to_be_sent_once_more_and_is_no_message_holds_up_no_other() -> None:
    async def test() -> None:
        broker, store = MemoryBroker(largest=1000), MemoryStore()
        async with ProcessManager(
            store, transports=[broker.transport("shop", sends=[Ordered])], settings=QUICK
        ) as manager:
            for name in ("one", "two"):
                await manager.publish(Ordered(order="x" * 2000), id=name)
            await until(lambda: len(parked(manager)) == 2)
            [two, one] = await manager.unmatched()
            here = store.consumers()[0]
            broken = structs.replace(one, message="{", reason="planted")
            advance = Advance(here.consumer, here.owner or "", here.position, here.position)
            assert store.route(Route([advance], parked=[broken])) == "written"
            broker.largest = 10_000
            for row in (one, two):
                await manager.redeliver(row.unmatched_id, actor="ada", reason="the limit was raised")
            await until(lambda: sent(broker)["two"] == 1 and "one" in parked(manager))
            assert "it is no message" in parked(manager)["one"]

    run(test)
