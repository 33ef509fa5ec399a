"""Invariant 36: a message whose row is damaged holds up nobody; whoever would take it parks it, with the reason."""

import msgspec
import pytest
from databases.stores import EACH_KIND, opened
from databases.trouble import DatabaseTrouble
from lab.lab import Lab, in_lab
from sagas.pinging import Ping, Pong, echo, pinged

from sagalog import Saga
from sagalog.cli.tracing import rows_of
from sagalog.messages import Envelope, Unreadable
from sagalog.readmodel.trace import trace, walk
from sagalog.store import Advance, InboxRow, Posting, Route
from sagalog.testing.broker import MemoryBroker, MemoryTransport
from sagalog.testing.contracts.store.message_samples import event

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]
DAMAGES = ['{"oops":1}', "no JSON", ""]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: object) -> str:
    """The address of a database without rows that speaks SQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sagas.db"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


def damage(database: str, message_id: str, state: str = DAMAGES[0]) -> None:
    stated = f"CAST('{state}' AS BLOB)" if database.startswith("sqlite:") else f"convert_to('{state}', 'UTF8')"
    where = f"originator_id = 'message:{message_id}'"
    DatabaseTrouble(database).execute(f"UPDATE saga_events SET state = {stated} WHERE {where}")


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
@pytest.mark.parametrize("state", DAMAGES)
def test_each_consumer_parks_it_and_takes_the_others(database: str, state: str) -> None:
    async def story(lab: Lab) -> None:
        seen, others, patient = list[int](), list[int](), Saga("patient", input=str, key=lambda number: number)
        patient.started_by(Ping, input=lambda ping: str(ping.number), key=lambda ping: str(ping.number))
        patient.wait_for(Pong, key=lambda pong: str(pong.number))
        indifferent = Saga("indifferent", input=str, key=lambda number: number)
        indifferent.wait_for(Pong, key=lambda pong: str(pong.number))
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        damage(database, "ping-2", state)
        consumers = [echo(seen), echo(others, "other")]
        process = await lab.begin([patient, indifferent], participants=consumers)
        await lab.until(lambda: sorted(seen) == sorted(others) == [1, 3])
        rows = await process.parked(3)
        assert {row.consumer for row in rows} == {"participant:echo", "participant:other", "saga:patient"}
        for row in rows:
            assert (row.kind, row.name, row.position, row.message) == ("unreadable", "Ping", 2, state)
            assert row.message_id.startswith("raw-")
            assert row.reason.startswith("expected the data of the message ping-2 at position 2 of the log, found none")

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_one_of_which_the_log_has_nothing_is_not_passed_over_in_silence(database: str) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        DatabaseTrouble(database).execute("DELETE FROM saga_events WHERE originator_id = 'message:ping-2'")
        process = await lab.begin(participants=[echo(seen)])
        # They are of two lanes, and lanes have no order among each other.
        await lab.until(lambda: sorted(seen) == [1, 3])
        (row,) = await process.parked()
        assert "found none (no event)" in row.reason

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_when_its_row_is_mended_it_can_be_redelivered(database: str) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        client = await lab.begin(worker=False)
        await pinged(client, 1)
        damage(database, "ping-1")
        process = await lab.begin(participants=[echo(seen)])
        (row,) = await process.parked()
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="perhaps"))
        (again,) = await process.parked()
        assert "it is no message" in again.reason
        damage(database, "ping-1", '{"data":{"number":1}}')
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="from the backup"))
        await lab.until(lambda: seen == [1])
        assert await process.do(process.manager.unmatched()) == []

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_one_that_is_in_an_inbox_already_is_parked_there(database: str) -> None:
    """Its lane waits for a person, as behind any other that is parked; the others go on."""

    async def story(lab: Lab) -> None:
        seen: list[int] = []
        client = await lab.begin(worker=False)
        store = lab.stores[0]
        for number in (1, 2):
            await pinged(client, number)
        (owned,) = store.take_consumers("w", ["participant:echo"], lab.world.now(), False)
        found = store.read_messages(0, 10)
        rows = [InboxRow(owned.consumer, one.id, one.id, one.name, 1, 1, position=at) for at, one in found]
        assert store.route(Route([Advance(owned.consumer, "w", 0, found[-1][0])], inbox=rows)) == "written"
        damage(database, "ping-1")
        process = await lab.begin(participants=[echo(seen)])
        await lab.until(lambda: seen == [2])
        (row,) = await process.parked()
        assert (row.message_id, row.kind, row.message) == ("ping-1", "unreadable", DAMAGES[0])
        damage(database, "ping-1", '{"data":{"number":1}}')
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="from the backup"))
        await lab.until(lambda: seen == [2, 1])

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_one_that_is_in_the_inbox_of_a_saga_keeps_no_mail_from_any_saga(database: str) -> None:
    async def story(lab: Lab) -> None:
        saga = Saga("patient", input=str, key=lambda number: number)
        saga.wait_for(Ping, key=lambda ping: str(ping.number))
        process = await lab.begin([saga])
        first, second = [await process.start(saga, key, key) for key in ("1", "2")]
        await process.stop()
        client = await lab.begin(worker=False)
        store = lab.stores[-1]
        for number in (1, 2):
            await pinged(client, number)
        (owned,) = store.take_consumers("w", ["saga:patient"], lab.world.now(), False)
        found = store.read_messages(0, 10)
        pairs = zip(found, (first, second), strict=True)
        rows = [InboxRow(saga_id, one.id, saga_id, one.name, 1, 1, position=at) for (at, one), saga_id in pairs]
        advance = Advance(owned.consumer, "w", owned.position, found[-1][0])
        assert store.route(Route([advance], inbox=rows)) == "written"
        damage(database, "ping-1")
        process = await lab.begin([saga])
        assert (await process.result(second)).status == "completed"
        (row,) = await process.parked()
        assert (row.consumer, row.kind, row.position) == ("saga:patient", "unreadable", found[0][0])
        damage(database, "ping-1", '{"data":{"number":1}}')
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="from the backup"))
        assert (await process.result(first)).status == "completed"

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_a_transport_passes_it_and_sends_the_others(database: str) -> None:
    async def story(lab: Lab) -> None:
        broker = MemoryBroker()
        client = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await pinged(client, number)
        damage(database, "ping-2")
        process = await lab.begin(transports=[MemoryTransport(broker, "shop", {("event", "Ping")}, set())])
        await lab.until(lambda: [one.attributes["id"] for _, one in broker.kept] == ["ping-1", "ping-3"])
        (row,) = await process.parked()
        assert (row.consumer, row.kind, row.message) == ("transport:memory", "unreadable", DAMAGES[0])
        damage(database, "ping-2", '{"data":{"number":2}}')
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="from the backup"))
        await lab.until(lambda: broker.kept[-1][1].attributes["id"] == "ping-2")

    in_lab(database, story)


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_every_look_says_which_row_is_damaged(database: str) -> None:
    with opened(database) as store:
        store.post([Posting(messages=(event("one"), event("two")))])
        damage(database, "one")
        one, two = store.read_messages(0, 10)
        found = store.find_message("one")
        assert isinstance(one[1], Unreadable)
        assert found == one
        assert "the message one at position 1" in one[1].problem
        assert (one[1].raw, one[1].position) == (DAMAGES[0].encode(), 1)
        assert not isinstance(two[1], Unreadable)
        correlation = one[1].correlation_id
        statuses = {node.id: node.status for _, _, node in walk(trace(rows_of(store, correlation)))}
        assert statuses["one"] == "unreadable"


def test_it_is_an_envelope_that_nobody_can_take_for_data() -> None:
    one = Unreadable(
        id="a", kind="event", name="Ping", source="", correlation_id="a", time=1, data=msgspec.Raw(b"null"), problem="x"
    )
    assert isinstance(one, Envelope)
    assert bytes(one.data) == b"null"
