"""An application is followed: each of its events becomes our messages exactly once, whoever stops and whenever."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from databases.stores import opened
from eventsourcing.persistence import OperationalError, StoredEvent
from followed.bookshop import HANDLERS, Bookshop, Order, OrderPlaced, bookshop, order_id, placed
from followed.following import Target, manager_of, numbers, position, published, until
from lab.inside import engine_of

from sagalog.clock import SystemClock
from sagalog.errors import DefinitionError, StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.store import Lease, Route, RouteOutcome, Store
from sagalog.stores.memory.store import MemoryStore


@pytest.fixture
def shop() -> Iterator[Bookshop]:
    """An application that keeps its log in memory."""
    with bookshop("popo") as application:
        yield application


async def follow_until(true: Callable[[], bool], store: str | Store, shop: Bookshop, **options: Any) -> None:
    """Follow an application until something is true, then shut down."""
    manager = manager_of(store)
    manager.follow(shop, options.pop("handlers", HANDLERS), **options)
    async with manager:
        await until(true)


def reached(target: Target, goal: int) -> Callable[[], bool]:
    """Return what tells whether the application has been followed so far."""
    return lambda: (position(target.eye) or 0) >= goal


def nothing(happened: object) -> None:
    """Have nothing to say."""


def test_what_waits_is_told_and_then_what_happens(each_bookshop: Bookshop, each_target: Target) -> None:
    """Invariants 7, 43 and 44: an application on any store, followed from any store."""
    each_bookshop.place_many(range(20))
    each_bookshop.note(3, "nobody is told of this")

    async def story() -> None:
        manager = manager_of(each_target.database)
        manager.follow(each_bookshop, HANDLERS, batch=7)
        async with manager:
            await until(lambda: position(each_target.eye) == 21)
            assert numbers(each_target.eye) == [*range(20)]
            each_bookshop.place(20)
            each_bookshop.pay(3, 450)
            await until(lambda: position(each_target.eye) == 23)

    asyncio.run(story())
    assert numbers(each_target.eye) == [*range(21)]
    last = published(each_target.eye)[-1]
    assert (last.id, last.name, last.source) == ("follow:Bookshop:23:0", "OrderPaid", "Bookshop")
    assert bytes(last.data) == b'{"order_id":"%s","cents":450}' % str(order_id(3)).encode()


@pytest.mark.parametrize("batch", [1, 7, 100, 500, 5000])
def test_each_event_is_told_once_however_large_the_batches_and_however_often_it_stops(
    batch: int, shop: Bookshop, each_target: Target
) -> None:
    """Invariants 7 and 44."""
    for begin in range(0, 600, 200):
        shop.place_many(range(begin, begin + 200))
        goal = begin + 120
        # It is stopped somewhere in the middle, and again at the end.
        asyncio.run(follow_until(reached(each_target, goal), each_target.database, shop, batch=batch))
    asyncio.run(follow_until(lambda: position(each_target.eye) == 600, each_target.database, shop, batch=batch))
    assert numbers(each_target.eye) == [*range(600)]


class Counting(MemoryStore):
    """Count the transactions that carry messages, and how many each carries."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def route(self, route: Route) -> RouteOutcome:
        outcome = super().route(route)
        if route.messages:
            self.sizes.append(len(route.messages))
        return outcome


def test_batches_are_full_although_most_events_are_nobodys_business(shop: Bookshop) -> None:
    for number in range(40):
        shop.place(number)
        shop.recorder.insert_events(
            [StoredEvent(uuid4(), 1, "followed.bookshop:Order.Noted", b"{}") for _ in range(60)]
        )
    store = Counting()
    with opened(store):
        asyncio.run(follow_until(lambda: position(store) == 40 * 61, store, shop, batch=20))
    assert store.sizes == [20, 20]


def test_the_position_goes_on_although_no_event_is_followed(shop: Bookshop, each_target: Target) -> None:
    """Invariant 47: the lag is no more than what has not been looked at."""
    shop.place(1)
    for _ in range(30):
        shop.note(1)
    handlers = {Order.Paid: nothing}
    asyncio.run(follow_until(reached(each_target, 31), each_target.database, shop, handlers=handlers))
    assert published(each_target.eye) == []


def test_from_now_on_means_from_the_first_time_it_was_followed(shop: Bookshop, each_target: Target) -> None:
    """Invariant 7: what happens while nobody follows is not skipped because it is followed "from now on"."""
    shop.place_many(range(5))
    asyncio.run(follow_until(lambda: position(each_target.eye) == 5, each_target.database, shop, since="now"))
    shop.place_many(range(5, 8))
    asyncio.run(follow_until(lambda: position(each_target.eye) == 8, each_target.database, shop, since="now"))
    assert numbers(each_target.eye) == [5, 6, 7]


def test_from_now_on_is_remembered_when_nothing_had_happened_yet(shop: Bookshop, each_target: Target) -> None:
    asyncio.run(follow_until(lambda: position(each_target.eye) == -1, each_target.database, shop, since="now"))
    shop.place_many(range(3))
    asyncio.run(follow_until(lambda: position(each_target.eye) == 3, each_target.database, shop, since="now"))
    assert numbers(each_target.eye) == [0, 1, 2]


def test_an_application_writes_while_it_is_followed(each_bookshop: Bookshop, each_target: Target) -> None:
    """Invariant 43."""
    writer = threading.Thread(target=lambda: [each_bookshop.place(number) for number in range(200)])

    async def story() -> None:
        manager = manager_of(each_target.database)
        manager.follow(each_bookshop, HANDLERS, batch=10)
        async with manager:
            writer.start()
            await until(lambda: position(each_target.eye) == 200)

    asyncio.run(story())
    writer.join()
    assert numbers(each_target.eye) == [*range(200)]


def test_an_application_may_live_in_the_same_sqlite_file(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'both.db'}"
    with bookshop(address) as application, opened(address) as store:
        application.place_many(range(50))

        async def story() -> None:
            manager = manager_of(address)
            manager.follow(application, HANDLERS, batch=5)
            async with manager:
                for number in range(50, 80):
                    await asyncio.to_thread(application.place, number)
                await until(lambda: position(store) == 80)

        asyncio.run(story())
        assert numbers(store) == [*range(80)]


@pytest.mark.postgres
def test_an_application_may_live_in_the_same_postgres_database(postgres_url: str) -> None:
    with bookshop(postgres_url) as application, opened(postgres_url) as store:
        application.place_many(range(50))
        asyncio.run(follow_until(lambda: position(store) == 50, postgres_url, application, batch=5))
        assert numbers(store) == [*range(50)]


def test_two_process_managers_share_the_work_of_following_one_application(shop: Bookshop, each_target: Target) -> None:
    """Invariants 7 and 35: one of them follows, and the other goes on when that one has gone."""
    shop.place_many(range(100))

    async def story() -> None:
        one, other = manager_of(each_target.database), manager_of(each_target.database)
        for manager in (one, other):
            manager.follow(shop, HANDLERS, batch=3)
        async with other:
            async with one:
                await until(lambda: (position(each_target.eye) or 0) >= 30)
            shop.place_many(range(100, 150))
            await until(lambda: position(each_target.eye) == 150)
            assert numbers(each_target.eye) == [*range(150)]

    asyncio.run(story())


def test_whoever_lost_the_consumer_cannot_write(
    shop: Bookshop, each_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariants 7 and 35: a worker that stood still for longer than its lease writes nothing when it goes on."""
    shop.place_many(range(3))
    going_on, standing_still = threading.Event(), threading.Event()
    store = each_target.store()
    route, outcomes = store.route, list[RouteOutcome]()

    def slow(happened: Order.Placed) -> OrderPlaced:
        standing_still.set()
        going_on.wait(20)
        return placed(happened)

    def remembered(what: Route) -> RouteOutcome:
        outcomes.append(route(what))
        return outcomes[-1]

    monkeypatch.setattr(store, "route", remembered)

    async def story() -> None:
        manager = manager_of(store)
        manager.follow(shop, {Order.Placed: slow})
        async with manager:
            await asyncio.to_thread(standing_still.wait, 20)
            each_target.eye.renew(engine_of(manager).worker.worker_id, 1)
            each_target.eye.register(Lease("another", "host", 1, 0, 4_000_000_000_000_000))
            (row,) = each_target.eye.take_consumers("another", ["follow:Bookshop"], SystemClock().now(), False)
            assert row.owner == "another"
            going_on.set()
            await until(lambda: len(outcomes) == 2)

    asyncio.run(story())
    assert outcomes == ["written", "conflict"]
    assert published(each_target.eye) == []
    assert position(each_target.eye) == -1


def test_a_lost_acknowledgement_repeats_nothing(
    shop: Bookshop, each_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 7."""
    shop.place_many(range(50))
    store = each_target.store()
    route, answers = store.route, iter([True, False, True, False, False, False, True])

    def unlucky(what: Route) -> RouteOutcome:
        outcome = route(what)
        if next(answers, False):
            raise StoreUnavailable("the answer was lost")
        return outcome

    monkeypatch.setattr(store, "route", unlucky)
    asyncio.run(follow_until(lambda: position(each_target.eye) == 50, store, shop, batch=10))
    assert numbers(each_target.eye) == [*range(50)]


def test_a_log_that_cannot_be_read_for_a_while_is_read_later(
    shop: Bookshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop.place_many(range(1200))
    select, broken = shop.recorder.select_notifications, iter([False, True, True, False, True])

    def unlucky(*given: Any, **named: Any) -> Any:
        if next(broken, False):
            raise OperationalError("the server is away")
        return select(*given, **named)

    monkeypatch.setattr(shop.recorder, "select_notifications", unlucky)
    with opened(MemoryStore()) as store, caplog.at_level(logging.WARNING):
        asyncio.run(follow_until(lambda: position(store) == 1200, store, shop))
        assert numbers(store) == [*range(1200)]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].endswith("trying again: the log of Bookshop cannot be read: the server is away")
    assert "follow:Bookshop goes on" in said


def test_a_log_that_is_shorter_than_what_was_read_of_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    """Invariant 43: an application that lost its database is not followed as if nothing had happened."""
    with opened(MemoryStore()) as store:
        with bookshop("popo") as first:
            first.place_many(range(10))
            asyncio.run(follow_until(lambda: position(store) == 10, store, first))
        with bookshop("popo") as second, caplog.at_level(logging.WARNING):
            second.place_many(range(9))
            asyncio.run(follow_until(lambda: bool(caplog.records), store, second))
        assert (position(store), len(numbers(store))) == (10, 10)
    assert "ends at 9, and 10 was read of it already; is it the same database?" in caplog.text


def test_a_process_manager_shuts_down_although_the_application_does_not_answer(shop: Bookshop) -> None:
    going_on, asked = threading.Event(), threading.Event()

    def never(happened: Order.Placed) -> None:
        asked.set()
        going_on.wait(20)

    shop.place(1)

    async def story() -> None:
        manager = ProcessManager(
            "memory://", settings=manager_of("memory://").settings.model_copy(update={"grace": 0.05})
        )
        manager.follow(shop, {Order.Placed: never})
        async with asyncio.timeout(5):
            async with manager:
                await asyncio.to_thread(asked.wait, 20)

    try:
        asyncio.run(story())
    finally:
        going_on.set()


def test_an_application_may_be_followed_when_the_process_manager_runs_already(shop: Bookshop) -> None:
    shop.place_many(range(3))
    store = MemoryStore()

    async def story() -> None:
        async with manager_of(store) as manager:
            manager.follow(shop, HANDLERS)
            await until(lambda: position(store) == 3)

    asyncio.run(story())
    assert numbers(store) == [0, 1, 2]


def test_who_is_no_worker_follows_nothing(shop: Bookshop) -> None:
    store = MemoryStore()

    async def story() -> None:
        manager = manager_of(store, worker=False)
        manager.follow(shop, HANDLERS)
        async with manager:
            pass

    asyncio.run(story())
    assert store.consumers() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": "yesterday"}, 'since= is "start" or "now"'),
        ({"batch": 0}, "from 1 to 10,000, found 0"),
        ({"batch": "many"}, "found 'many'"),
        ({}, "two sources are followed as 'Bookshop'"),
    ],
)
def test_what_is_followed_wrongly_is_refused(shop: Bookshop, options: dict[str, Any], said: str) -> None:
    manager = manager_of("memory://")
    with pytest.raises(DefinitionError, match=said):
        for _ in range(2):
            manager.follow(shop, HANDLERS, **options)
