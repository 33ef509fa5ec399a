"""The bus as processes meet it: who routes, who takes over, where a consumer begins, what it costs others."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from lab.lab import Lab, in_lab
from sagas.message_shop import OrderPlaced, Shop, end_of, placed
from sagas.pinging import Ping, Pong, echo, pinged, pongs

from sagalog import Participant, Saga
from sagalog.engine.bus.participant_routes import ParticipantRoutes
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Route, RouteOutcome, Store
from sagalog.stores.memory.store import MemoryStore

# ---------------------------------------------------------------------------------------------- several processes


def test_only_one_process_routes_for_a_consumer_and_another_takes_over_when_it_stops(
    each_database: str | Store,
) -> None:
    async def story(lab: Lab) -> None:
        seen: tuple[list[int], list[int]] = ([], [])
        first = await lab.begin(participants=[echo(seen[0])])
        second = await lab.begin(participants=[echo(seen[1])])
        for number in range(5):
            await pinged(second, number)
        await lab.until(lambda: len(pongs(lab.stores[0])) == 5)
        assert (sorted(seen[0]), seen[1]) == ([0, 1, 2, 3, 4], [])
        await first.stop()
        for number in range(5, 10):
            await pinged(second, number)
        await lab.until(lambda: len(pongs(lab.stores[1])) == 10)
        assert sorted(seen[1]) == [5, 6, 7, 8, 9]

    in_lab(each_database, story)


@pytest.mark.parametrize("seconds", [2.0, 3.5, 8.0])
def test_a_zombie_router_that_wakes_after_its_lease_doubles_nothing(each_database: str | Store, seconds: float) -> None:
    """Invariants 7 and 35: position and owner are compared when a batch is written, so only one of two gets through."""

    async def story(lab: Lab) -> None:
        seen: tuple[list[int], list[int]] = ([], [])
        first = await lab.begin(participants=[echo(seen[0])])
        second = await lab.begin(participants=[echo(seen[1])])
        for number in range(40):
            process = first if number % 2 and not first.incarnation.paused else second
            await pinged(process, number)
            if number in (5, 25):
                first.incarnation.pause(seconds)
            await lab.sleep(0.2)
        await lab.until(lambda: len(pongs(lab.stores[0])) >= 40)
        await lab.sleep(20)
        assert pongs(lab.stores[0]) == list(range(40))
        assert set(seen[0]) | set(seen[1]) == set(range(40))
        # Only what was being handled in a pause is handled twice: who lost its lease begins nothing more.
        assert len(seen[0]) + len(seen[1]) <= 42

    in_lab(each_database, story)


def test_a_process_that_shuts_down_keeps_its_lease_until_its_handlers_have_ended() -> None:
    async def story(lab: Lab) -> None:
        began: list[str] = []

        def slow(name: str) -> Participant:
            participant = Participant("slow")

            @participant.on
            async def answer(ping: Ping) -> Pong:
                began.append(name)
                await asyncio.sleep(12)
                return Pong(number=ping.number)

            assert answer.__name__ == "answer"
            return participant

        patient = Settings(lease=3.0, poll=0.5, grace=30)
        first = await lab.begin(participants=[slow("first")], settings=patient)
        await lab.begin(participants=[slow("second")], settings=patient)
        await pinged(first, 1)
        await lab.until(lambda: bool(began))
        await first.stop()
        await lab.until(lambda: pongs(lab.stores[0]) == [1])
        await lab.sleep(30)
        assert began == ["first"]

    in_lab(MemoryStore(), story)


@pytest.mark.parametrize("landed", [True, False])
def test_a_batch_that_was_not_written_as_far_as_the_router_knows_is_looked_at_again(landed: bool) -> None:
    """Invariant 7: the store knows where a consumer is; nothing is passed over, and nothing waits for long."""

    class Doubtful(MemoryStore):
        routed = 0

        def route(self, route: Route) -> RouteOutcome:
            self.routed += 1
            if self.routed % 2:
                if landed:
                    super().route(route)
                return "conflict"
            return super().route(route)

    async def story(lab: Lab) -> None:
        seen: list[int] = []
        process = await lab.begin(participants=[echo(seen)])
        for number in range(6):
            await pinged(process, number)
            await lab.sleep(2)
        assert lab.world.loop.time() < 60
        assert seen == [0, 1, 2, 3, 4, 5]

    in_lab(Doubtful(), story)


def test_sagas_and_participants_in_different_processes_meet_through_the_log(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop()
        sagas = await lab.begin([shop.saga])
        await lab.begin(participants=[shop.bank])
        await lab.begin(participants=[shop.carrier])
        await placed(sagas, "o1")
        assert await end_of(lab, sagas, "o1") == "completed"

    in_lab(each_database, story)


def test_a_process_that_does_no_work_publishes_and_leaves_the_rest_to_others(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        door = await lab.begin(participants=[echo([])], worker=False)
        await pinged(door, 1)
        await lab.sleep(10)
        assert lab.stores[0].consumers() == []
        await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: pongs(lab.stores[0]) == [1])
        assert seen == [1]

    in_lab(each_database, story)


def test_a_message_that_cannot_be_routed_is_parked_alone_and_holds_up_nobody(
    each_database: str | Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 36: neither the messages behind it, nor another consumer that reads the same batch."""
    whole = ParticipantRoutes.route

    async def route(self: ParticipantRoutes, found: Found, batch: Batch) -> None:
        if self.consumer == "participant:brittle" and any(one.id == "ping-2" for _, one in found):
            raise ZeroDivisionError("a mistake in the router")
        await whole(self, found, batch)

    monkeypatch.setattr(ParticipantRoutes, "route", route)

    async def story(lab: Lab) -> None:
        brittle: list[int] = []
        seen: list[int] = []
        door = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(door, number)
        process = await lab.begin(participants=[echo(brittle, "brittle"), echo(seen)])
        await lab.until(lambda: len(seen) == 3 and len(brittle) == 2)
        (row,) = await process.parked()
        assert (row.consumer, row.message_id) == ("participant:brittle", "ping-2")
        assert row.reason == "it could not be routed: ZeroDivisionError: a mistake in the router"
        assert (sorted(seen), sorted(brittle)) == ([1, 2, 3], [1, 3])

    in_lab(each_database, story)


# ---------------------------------------------------------------------------------------------- where it begins


@pytest.mark.parametrize(("begins", "expected"), [("start", [1, 2, 3]), ("now", [3])])
def test_a_new_consumer_begins_at_the_start_of_the_log_or_at_its_end(
    each_database: str | Store, begins: Any, expected: list[int]
) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        before = await lab.begin(worker=False)
        for number in (1, 2):
            await pinged(before, number)
        settings = Settings(lease=3.0, poll=0.5, new_consumers=begins)
        process = await lab.begin(participants=[echo(seen)], settings=settings)
        await lab.until(lambda: len(lab.stores[0].consumers()) == 1)
        await pinged(process, 3)
        await lab.until(lambda: 3 in seen)
        await lab.sleep(5)
        assert sorted(seen) == expected

    in_lab(each_database, story)


def test_a_backlog_longer_than_a_batch_is_routed_in_order(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        before = await lab.begin(worker=False)
        manager = before.manager

        async def publish_all() -> None:
            await asyncio.gather(
                *(
                    manager.publish(Ping(number=number), id=f"ping-{number}", correlation_id="c")
                    for number in range(700)
                )
            )

        await before.do(publish_all())
        order = [int(one.id.split("-")[1]) for _, one in lab.stores[0].read_messages(0, 1000)]
        await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: len(seen) >= 60)
        assert seen[:60] == order[:60]

    in_lab(each_database, story)


# ---------------------------------------------------------------------------------------------- what it costs others


class Watched(MemoryStore):
    """A store that remembers which of its methods were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "called":
            object.__getattribute__(self, "called")[name] += 1
        return super().__getattribute__(name)


def test_a_process_with_plain_sagas_starts_no_loop_and_asks_nothing_for_the_bus() -> None:
    saga = Saga("plain", input=str)

    @saga.step(compensation=None)
    async def act(text: str) -> None: ...

    assert act.name == "act"

    async def test() -> set[str]:
        async with ProcessManager(store, sagas=[saga], settings=Settings(poll=0.01)) as manager:
            assert (await manager.execute(saga, "x", key="k")).status == "completed"
            while store.called["claim"] < 5:
                await asyncio.sleep(0)
            return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("sagalog")}

    store = Watched()
    assert asyncio.run(test()) == {
        "sagalog-claim",
        "sagalog-renew",
        "sagalog-give-back",
        "sagalog-committer",
        "sagalog-jobs",
    }
    # The mail of its sagas is looked at with a claim, because people may act on them.
    assert store.called["mail"] <= store.called["claim"]
    messaging = {"post", "route", "take_consumers", "page", "inbox", "redelivering", "commands"}
    assert store.called.keys().isdisjoint(messaging)


def test_nothing_is_left_behind_when_a_process_manager_with_a_bus_is_closed() -> None:
    async def test() -> None:
        shop = Shop()
        manager = ProcessManager(MemoryStore(), sagas=[shop.saga], participants=[shop.bank, shop.carrier])
        for _ in range(3):
            async with manager:
                await manager.publish(OrderPlaced(order_id="o1", cents=1))
        assert [task.get_name() for task in asyncio.all_tasks() if "sagalog" in task.get_name()] == []

    asyncio.run(test())
