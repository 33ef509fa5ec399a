"""Invariant 36: no message that the database does not take, and no database that takes nothing, ends the routing."""

import random
from collections.abc import Sequence

import msgspec
import pytest
from databases.trouble import DatabaseTrouble
from lab.lab import Lab, Process, in_lab
from sagas.pinging import Ping, echo, pinged, pongs

from sagalog import Saga
from sagalog.errors import BatchTooLarge, StoreError, StoreReadOnly, StoreUnavailable, WriteRefused
from sagalog.messages import Envelope
from sagalog.store import Append, AppendOutcome, Posting, Route, RouteOutcome, Store
from sagalog.stores.memory.store import MemoryStore


class Troubled(MemoryStore):
    """Raise what a test says when messages are routed, as often as it says, or for ever for those in `refused`."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Exception] = []
        self.refused: set[str] = set()
        self.most = 10_000
        self.asked = 0

    def route(self, route: Route) -> RouteOutcome:
        self.asked += 1
        if self.problems:
            raise self.problems.pop()
        ids = {row.message_id for row in route.inbox} | {row.message_id for row in route.parked}
        if ids & self.refused:
            raise WriteRefused("index row size 4048 exceeds btree version 4 maximum 2704")
        if len(route.inbox) > self.most:
            raise BatchTooLarge("canceling statement due to statement timeout")
        return super().route(route)


async def reasons(process: Process) -> list[str]:
    return [row.reason for row in await process.do(process.manager.unmatched())]


@pytest.mark.parametrize("kind", [StoreReadOnly, StoreUnavailable, StoreError])
def test_a_passing_error_parks_no_message_however_often_it_comes(kind: type[StoreError]) -> None:
    store, seen = Troubled(), list[int]()
    store.problems = [kind("for a while")] * 20

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        await pinged(process, 1)
        await lab.until(lambda: pongs(store) == [1])
        assert await reasons(process) == []

    in_lab(store, story)


@pytest.mark.parametrize("times", range(1, 8))
def test_a_write_that_is_refused_only_a_few_times_parks_no_message(times: int) -> None:
    """Whichever of its tries it was that failed last: in its batch, alone, or set aside."""
    store, seen = Troubled(), list[int]()
    store.problems = [WriteRefused("a trigger that is gone in a moment")] * times

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        await pinged(process, 1)
        await lab.until(lambda: pongs(store) == [1])
        assert store.problems == []
        assert await reasons(process) == []

    in_lab(store, story)


def test_a_message_that_the_database_takes_nowhere_is_parked_by_its_digest_and_the_others_go_on() -> None:
    store, seen = Troubled(), list[int]()
    store.refused = {"ping-2"}

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        process = await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: pongs(store) == [1, 3])
        (row,) = await process.parked()
        assert row.message_id.startswith("raw-")
        assert (row.consumer, row.kind, row.position) == ("participant:echo", "unreadable", 2)
        assert row.reason.startswith("it could not be routed: WriteRefused: index row size 4048")
        assert "ping-2" in row.message

    in_lab(store, story)


def test_a_batch_for_which_the_database_has_too_little_time_is_routed_in_pieces() -> None:
    store, seen = Troubled(), list[int]()
    store.most = 7

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        for number in range(100):
            await pinged(client, number)
        await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: len(pongs(store)) == 100)
        assert store.asked < 100

    in_lab(store, story)


@pytest.mark.postgres
def test_a_message_whose_ids_are_too_long_for_an_index_ends_no_routing_on_a_real_database(
    migrated_postgres_url: str,
) -> None:
    """It came past the door, as one of an older version may have; what is published after it is handled."""
    seeded = random.Random(1)
    # Four bytes each, and nothing that a database could make shorter.
    long, other = ("".join(chr(seeded.randrange(0x20000, 0x2A6DF)) for _ in range(500)) for _ in range(2))

    async def story(lab: Lab) -> None:
        seen: list[int] = []
        client = await lab.begin(worker=False)
        odd = Envelope(
            id=long,
            kind="event",
            name="Ping",
            source="elsewhere",
            correlation_id=other,
            time=1,
            data=msgspec.Raw(b'{"number":1}'),
        )
        lab.stores[0].post([Posting(messages=(odd,))])
        await pinged(client, 2)
        process = await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: 2 in pongs(lab.stores[0]))
        (row,) = await process.parked()
        assert "index row size" in row.reason

    in_lab(migrated_postgres_url, story)


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["saga_inbox", "saga_messages"])
def test_a_row_that_a_real_database_refuses_for_a_message_holds_up_no_other(
    migrated_postgres_url: str, table: str
) -> None:
    trouble = DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> None:
        seen: list[int] = []
        process = await lab.begin(participants=[echo(seen)])
        with trouble.forbidding(table, "NEW.message_id = 'ping-2'", "23514"):
            for number in (1, 3):
                await pinged(process, number)
            if table == "saga_messages":
                with pytest.raises(WriteRefused, match="not today"):
                    await pinged(process, 2)
            else:
                await pinged(process, 2)
            await pinged(process, 4)
            await lab.until(lambda: {1, 3, 4} <= set(pongs(lab.stores[0])))
            (row,) = await process.parked() if table == "saga_inbox" else (None,)
        if row is not None:
            assert row.message_id == "ping-2"
            await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="the trigger is gone"))
            await lab.until(lambda: 2 in pongs(lab.stores[0]))

    in_lab(migrated_postgres_url, story)


def test_a_message_that_a_saga_could_not_take_is_parked_and_taken_once_it_can_be(each_database: str | Store) -> None:
    """The database does not take the event with which the saga records it; somebody mends that, and redelivers it."""

    async def story(lab: Lab) -> str:
        saga = Saga("waiting", input=str, key=lambda number: number)
        saga.wait_for(Ping, key=lambda ping: str(ping.number))
        refuses = [True]

        def wrap(store: Store) -> Store:
            append = store.append

            def refused(appends: Sequence[Append]) -> list[AppendOutcome]:
                if refuses and any(one.taken for one in appends):
                    raise WriteRefused("string or blob too big")
                return append(appends)

            store.append = refused  # type: ignore[method-assign]
            return store

        process = await lab.begin([saga], wrap=wrap)
        saga_id = await process.start(saga, "1", "1")
        await pinged(process, 1)
        while not (rows := await process.do(process.manager.unmatched())):
            await lab.sleep(1)
        assert "could not take it: string or blob too big" in rows[0].reason
        refuses.clear()
        # Nobody has the saga in memory any more: the message has to be found where it stands.
        await process.stop()
        process = await lab.begin([saga])
        await process.do(process.manager.redeliver(rows[0].unmatched_id, actor="ada", reason="it is mended"))
        return (await process.result(saga_id)).status

    assert in_lab(each_database, story) == "completed"
