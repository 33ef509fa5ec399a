"""Invariant 36: an error that may pass, and is of one message's row alone, holds up neither others nor that message."""

from collections.abc import Callable

import pytest
from databases.stores import EACH_KIND
from databases.trouble import DatabaseTrouble
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.pinging import Ping, Pong, echo, pinged, pongs

from sagalog import Saga
from sagalog.errors import StoreError, StoreReadOnly, StoreUnavailable, WriteRefused
from sagalog.messages import Envelope
from sagalog.store import UNMATCHED_STATUSES, InboxRow, Query, Route, RouteOutcome, UnmatchedQuery, UnmatchedRow
from sagalog.stores.memory.store import MemoryStore

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]
# Errors that pass when a whole database is in trouble, and here are of one row: a table that is not there, a lock, a
# conflict, a window in which nothing can be written, a database that is dropped, time that is over.
PASSING = ["42P01", "55P03", "40001", "25006", "57P04", "57014"]


class Troubled(MemoryStore):
    """Raise what a test says for routes that it is told to raise it for."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Callable[[Route], Exception | None] = lambda _: None

    def route(self, route: Route) -> RouteOutcome:
        if (problem := self.trouble(route)) is not None:
            raise problem
        return super().route(route)


def with_row(problem: Exception, *message_ids: str) -> Callable[[Route], Exception | None]:
    """Say this of the rows of inboxes with these messages."""
    return lambda route: problem if any(row.message_id in message_ids for row in route.inbox) else None


async def in_lane(process: Process, number: int, lane: str) -> None:
    event = Ping(number=number)
    await process.do(process.manager.publish(event, id=f"ping-{number}", correlation_id=lane))


async def all_unmatched(process: Process) -> list[UnmatchedRow]:
    """Rows of every status, in the order of the log."""
    rows = await process.do(process.manager.unmatched(UnmatchedQuery(statuses=UNMATCHED_STATUSES)))
    return sorted(rows, key=lambda row: row.position or 0)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: object) -> str:
    """The address of a database without rows that speaks SQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sagas.db"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
@pytest.mark.parametrize("code", PASSING)
def test_a_row_that_is_in_trouble_for_a_while_holds_up_no_other_and_is_there_afterwards(
    database: str, code: str
) -> None:
    """Neither those behind it, nor another consumer; and no person has to do anything about it."""
    trouble, seen, others = DatabaseTrouble(database), list[int](), list[int]()

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        condition = "NEW.recipient = 'participant:echo' AND NEW.message_id = 'ping-2'"
        with trouble.forbidding("saga_inbox", condition, code):
            process = await lab.begin(participants=[echo(seen), echo(others, "other")])
            await lab.until(lambda: (sorted(seen), sorted(others)) == ([1, 3], [1, 2, 3]))
            await pinged(client, 4)
            await lab.until(lambda: 4 in seen)
            assert 2 not in seen
        await lab.until(lambda: 2 in seen)
        (row,) = await all_unmatched(process)
        assert (row.message_id, row.status, row.actor) == ("ping-2", "redelivered", None)

    in_lab(database, story)


@pytest.mark.postgres
def test_a_row_that_somebody_holds_locked_holds_up_no_other(migrated_postgres_url: str) -> None:
    trouble, seen = DatabaseTrouble(migrated_postgres_url), list[int]()

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        row = "VALUES ('participant:echo', 'ping-2', 'x', 'Ping', 0, 0, 'pending', 0, 2)"
        columns = "(recipient, message_id, lane, name, arrived_at, due_at, status, attempts, position)"
        with trouble.holding(f"INSERT INTO saga_inbox {columns} {row}"):
            settings = SETTINGS.model_copy(update={"statement_timeout": 0.3})
            process = await lab.begin(participants=[echo(seen)], settings=settings)
            await lab.until(lambda: sorted(seen) == [1, 3])
        await lab.until(lambda: sorted(seen) == [1, 2, 3])
        assert await process.do(process.manager.unmatched()) == []

    in_lab(migrated_postgres_url, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_a_consumer_whose_own_row_is_in_trouble_holds_up_no_other(database: str) -> None:
    trouble, seen, others = DatabaseTrouble(database), list[int](), list[int]()

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen), echo(others, "other")])
        with trouble.forbidding("saga_consumers", "NEW.consumer = 'participant:echo'", "42P01", "UPDATE"):
            await pinged(process, 1)
            await lab.until(lambda: others == [1])
            await pinged(process, 2)
            await lab.until(lambda: others == [1, 2])
            assert seen == []
        await lab.until(lambda: sorted(seen) == [1, 2])
        assert await all_unmatched(process) == []

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_a_consumer_that_cannot_be_taken_keeps_no_other_from_being_taken(database: str) -> None:
    trouble, seen, others = DatabaseTrouble(database), list[int](), list[int]()

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        await pinged(client, 1)
        with trouble.forbidding("saga_consumers", "NEW.consumer = 'participant:echo'", "42P01"):
            await lab.begin(participants=[echo(seen), echo(others, "other")])
            await lab.until(lambda: others == [1])
            assert seen == []
        await lab.until(lambda: seen == [1])

    in_lab(database, story)


@pytest.mark.parametrize("kind", [StoreError, StoreReadOnly, StoreUnavailable, WriteRefused])
def test_what_comes_after_it_with_its_correlation_id_keeps_its_order(kind: type[StoreError]) -> None:
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(kind("for a while"), "ping-1")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number, lane in ((1, "a"), (2, "b"), (3, "a")):
            await in_lane(process, number, lane)
        await lab.until(lambda: seen == [2])
        await in_lane(process, 4, "a")
        await in_lane(process, 5, "b")
        await lab.until(lambda: seen == [2, 5])
        rows = await all_unmatched(process)
        assert [row.message_id for row in rows] == ["ping-1", "ping-3", "ping-4"]
        assert {row.status for row in rows} == {"redelivering"}
        assert rows[0].reason == f"it could not be routed yet: {kind.__name__}: for a while"
        assert rows[1].reason.startswith("waits for ping-1")
        store.trouble = lambda _: None
        await lab.until(lambda: len(seen) == 5)
        assert seen == [2, 5, 1, 3, 4]

    in_lab(store, story)


def test_the_order_is_kept_by_whoever_takes_the_consumer_over() -> None:
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(StoreError("for a while"), "ping-1")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number, lane in ((1, "a"), (2, "b")):
            await in_lane(process, number, lane)
        await lab.until(lambda: pongs(store) == [2])
        process.kill()
        process = await lab.begin(participants=[echo(seen)])
        for number, lane in ((3, "a"), (4, "b")):
            await in_lane(process, number, lane)
        await lab.until(lambda: seen == [2, 4])
        store.trouble = lambda _: None
        await lab.until(lambda: len(seen) == 4)
        assert seen == [2, 4, 1, 3]

    in_lab(store, story)


@pytest.mark.parametrize("kind", [StoreError, StoreReadOnly, StoreUnavailable])
def test_a_store_that_takes_nothing_for_an_hour_sets_no_message_aside(kind: type[StoreError]) -> None:
    store, seen, others = Troubled(), list[int](), list[int]()

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen), echo(others, "other")])
        store.trouble = lambda _: kind("for an hour")
        for number in range(20):
            await pinged(process, number)
        await lab.sleep(3600)
        store.trouble = lambda _: None
        await lab.until(lambda: len(seen) == len(others) == 20)
        assert await all_unmatched(process) == []

    in_lab(store, story)


def test_what_is_refused_for_some_seconds_is_not_parked() -> None:
    """Somebody alters a table, or replaces a trigger; others go on meanwhile."""
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(WriteRefused("a trigger that is being replaced"), "ping-1")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        await pinged(process, 1)
        await pinged(process, 2)
        await lab.until(lambda: seen == [2])
        await lab.sleep(3)
        assert await process.do(process.manager.unmatched()) == []
        store.trouble = lambda _: None
        await lab.until(lambda: seen == [2, 1])

    in_lab(store, story)


def test_what_is_refused_for_good_is_parked_and_what_waited_for_it_goes_on() -> None:
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(WriteRefused("never"), "ping-1")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number in (1, 2):
            await in_lane(process, number, "a")
        await lab.until(lambda: seen == [2])
        (row,) = await process.parked()
        assert (row.message_id, row.reason) == ("ping-1", "it could not be routed: WriteRefused: never")

    in_lab(store, story)


def test_many_messages_in_trouble_are_set_aside_without_waiting_for_each() -> None:
    store, seen = Troubled(), list[int]()
    ids = [f"ping-{number}" for number in range(100)]
    store.trouble = with_row(StoreError("for a while"), *ids)

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        for number in range(101):
            await pinged(client, number)
        began = lab.world.loop.time()
        await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: seen == [100])
        assert lab.world.loop.time() - began < 20
        store.trouble = lambda _: None
        await lab.until(lambda: len(seen) == 101)

    in_lab(store, story)


def test_a_redelivery_that_is_in_trouble_holds_up_neither_other_redeliveries_nor_routing() -> None:
    """And what a person wants to be routed again is, as soon as that is possible, without being asked twice."""
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(WriteRefused("a trigger"), "ping-1", "ping-2")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number in (1, 2):
            await pinged(process, number)
        rows = await process.parked(2)
        store.trouble = with_row(StoreError("a lock"), "ping-1")
        for row in rows[::-1]:
            await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="it is gone"))
        await pinged(process, 3)
        await lab.until(lambda: sorted(seen) == [2, 3])
        await lab.sleep(60)
        assert await process.do(process.manager.unmatched()) == []
        store.trouble = lambda _: None
        await lab.until(lambda: sorted(seen) == [1, 2, 3])

    in_lab(store, story)


def test_a_message_that_can_be_neither_routed_nor_set_aside_is_parked_by_its_digest() -> None:
    store, seen = Troubled(), list[int]()

    def trouble(route: Route) -> Exception | None:
        ids = [row.message_id for row in route.inbox] + [row.message_id for row in route.parked]
        return StoreError("nothing of ping-1") if "ping-1" in ids else None

    store.trouble = trouble

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number in (1, 2):
            await pinged(process, number)
        await lab.until(lambda: seen == [2])
        (row,) = await process.parked()
        assert row.message_id.startswith("raw-")
        assert "nothing of ping-1" in row.reason

    in_lab(store, story)


def test_the_start_of_a_saga_that_waits_keeps_what_is_for_it_from_being_parked() -> None:
    """Its key is nobody's until it has begun: a reply that nothing was wrong with would need a person."""
    store = Troubled()
    saga = Saga("patient", input=str, key=lambda number: number)
    saga.started_by(Ping, input=lambda ping: str(ping.number), key=lambda ping: str(ping.number))
    saga.wait_for(Pong, key=lambda pong: str(pong.number))
    store.trouble = lambda route: StoreError("for a while") if route.starts else None

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga])
        for event in (Ping(number=1), Pong(number=1)):
            await process.do(process.manager.publish(event, correlation_id="one"))
        while len(await all_unmatched(process)) < 2:
            await lab.sleep(1)
        assert {row.status for row in await all_unmatched(process)} == {"redelivering"}
        store.trouble = lambda _: None
        while {row.status for row in await all_unmatched(process)} != {"redelivered"}:
            await lab.sleep(1)
        (row,) = store.find(Query())
        assert (await process.result(row.saga_id)).status == "completed"

    in_lab(store, story)


def test_a_person_may_give_up_what_never_passes_and_what_waited_for_it_goes_on() -> None:
    store, seen = Troubled(), list[int]()
    store.trouble = with_row(StoreError("for ever"), "ping-1")

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        for number in (1, 2):
            await in_lane(process, number, "a")
        while len(rows := await all_unmatched(process)) < 2:
            await lab.sleep(1)
        await lab.sleep(600)
        assert [row.status for row in await all_unmatched(process)] == ["redelivering"] * 2
        await process.do(process.manager.discard(rows[0].unmatched_id, actor="ada", reason="nobody needs it"))
        await lab.until(lambda: seen == [2])
        assert [row.status for row in await all_unmatched(process)] == ["discarded", "redelivered"]

    in_lab(store, story)


def test_an_inbox_that_cannot_be_read_holds_up_no_other() -> None:
    store, seen, others = Troubled(), list[int](), list[int]()
    inbox, in_trouble = store.inbox, ["participant:echo"]

    def troubled(recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        if recipient in in_trouble:
            raise StoreError("a page of its index is damaged")
        return inbox(recipient, now, limit)

    store.inbox = troubled  # type: ignore[method-assign]

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen), echo(others, "other")])
        for number in range(20):
            await pinged(process, number)
            await lab.until(lambda number=number: number in others)  # type: ignore[misc]
        assert seen == []
        in_trouble.clear()
        await lab.until(lambda: len(seen) == 20)

    in_lab(store, story)
