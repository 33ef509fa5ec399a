"""What is checked at the door, and when a process manager is built: what cannot be taken in, and what does not fit."""

import asyncio
from typing import Any, Literal

import pytest
from lab.lab import Lab, in_lab
from msgspec import Raw
from sagas.message_shop import Shop
from sagas.pinging import Ping, Stop, echo

from sagalog import Event, Participant
from sagalog.errors import DefinitionError, InvalidIdentifier, InvalidInput, NotRunning, PayloadTooLarge
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore


class Wide(Event):
    text: str


def test_what_cannot_be_stored_is_refused_when_it_is_published(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo([])])
        manager = process.manager
        anything: Any = manager
        for event, expected in (
            (Wide(text="x" * 300_000), PayloadTooLarge),
            (Wide(text="a\x00b"), InvalidInput),
            (Stop(number=1), InvalidInput),
            ("a text", InvalidInput),
            (None, InvalidInput),
        ):
            with pytest.raises(expected):
                await process.do(anything.publish(event))
        for ids in ({"id": ""}, {"id": "x" * 501}, {"correlation_id": "a\nb"}, {"causation_id": ""}):
            with pytest.raises(InvalidIdentifier):
                await process.do(anything.publish(Ping(number=1), **ids))
        assert lab.stores[0].read_messages(0, 10) == []

    in_lab(each_database, story)


def test_an_unreadable_text_is_parked_once_and_cut_to_64_kib(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo([])])
        manager = process.manager
        for _ in range(3):
            await process.do(manager.park(b"\xff\x00" + b"x" * 100_000, source="nats", reason="no JSON"))
        (row,) = await process.do(manager.unmatched())
        assert (row.kind, row.source, row.reason, row.consumer) == ("unreadable", "nats", "no JSON", "door")
        assert len(row.message.encode()) <= 64 * 1024 + 8
        await process.do(manager.redeliver(row.unmatched_id, actor="ada", reason="try"))
        while "discard it" not in (await process.do(manager.unmatched()) or [row])[0].reason:
            await lab.sleep(0.5)
        await process.do(manager.discard(row.unmatched_id, actor="ada", reason="rubbish"))
        assert await process.do(manager.unmatched()) == []

    in_lab(each_database, story)


@pytest.mark.parametrize(("kind", "name"), [("command", "Ping"), ("event", "Stop")])
def test_a_message_of_another_kind_than_its_name_has_is_refused_with_the_reason(
    each_database: str | Store, kind: Literal["command", "event"], name: str
) -> None:
    """It would lie in the log, where nobody ever takes it and nothing says so."""

    async def story(lab: Lab) -> None:
        halts = Participant("halts")

        @halts.handles(Stop)
        async def stop(command: Stop) -> None:
            raise AssertionError(f"nobody issued {command}")

        assert stop.__name__ == "stop"
        process = await lab.begin(participants=[echo([]), halts])
        odd = Envelope(
            id="o-1", kind=kind, name=name, source="x", correlation_id="c", time=0, data=Raw(b'{"number":4}')
        )
        with pytest.raises(
            InvalidInput, match=rf"message {name}: expected the kind \w+, as it is declared here, found {kind}"
        ):
            await process.do(process.manager.handle(odd))
        assert lab.stores[0].read_messages(0, 10) == []

    in_lab(each_database, story)


def test_a_message_nobody_knew_is_delivered_once_somebody_does(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        seen: list[int] = []
        first = await Shop().begin(lab)
        unknown = Envelope(
            id="u-1", kind="event", name="Ping", source="x", correlation_id="c", time=0, data=Raw(b'{"number":4}')
        )
        assert await first.do(first.manager.handle(unknown))
        (row,) = await first.do(first.manager.unmatched())
        assert row.reason.startswith("nobody knows events called Ping")
        # It still does not.
        await first.do(first.manager.redeliver(row.unmatched_id, actor="ada", reason="try"))
        await lab.sleep(10)
        (row,) = await first.do(first.manager.unmatched())
        await first.stop()
        second = await lab.begin(participants=[echo(seen)])
        await second.do(second.manager.redeliver(row.unmatched_id, actor="ada", reason="now it does"))
        await lab.until(lambda: seen == [4])
        assert await second.do(second.manager.unmatched()) == []
        rows = await second.do(second.manager.unmatched(UnmatchedQuery(statuses=["redelivered"])))
        assert [(one.message_id, one.actor) for one in rows] == [("u-1", "ada")]

    in_lab(each_database, story)


def test_nothing_is_published_by_a_process_manager_that_does_not_run() -> None:
    manager = ProcessManager(MemoryStore())
    with pytest.raises(NotRunning):
        asyncio.run(manager.publish(Ping(number=1)))


# ---------------------------------------------------------------------------------------------- checks when built


def test_two_classes_of_one_name_and_two_handlers_of_one_command_are_refused() -> None:
    first, second = Participant("first"), Participant("second")

    def handler(command: Stop) -> None: ...

    first.handles(handler)
    second.handles(handler)
    with pytest.raises(DefinitionError, match="first and second both handle Stop"):
        ProcessManager(MemoryStore(), participants=[first, second])

    class Other(Event, frozen=True):
        NAME = "Ping"
        text: str

    third = Participant("third")

    @third.on
    def hear(event: Other) -> None: ...

    assert hear.__name__ == "hear"
    with pytest.raises(DefinitionError, match=r"the name Ping stands for .*Ping in participant echo and for .*Other"):
        ProcessManager(MemoryStore(), participants=[echo([]), third])


@pytest.mark.parametrize("via", [5, "", "\x1b", "x" * 201])
def test_the_name_of_a_transport_that_is_none_is_refused_at_the_door(via: Any) -> None:
    """It entered the log, where nobody could read it, and stopped all routing."""

    async def story(lab: Lab) -> None:
        process = await lab.begin()
        odd = Envelope(
            id="u-1", kind="event", name="Ping", source="x", correlation_id="c", time=0, data=Raw(b"{}"), via=via
        )
        with pytest.raises(InvalidIdentifier, match="the transport of message Ping"):
            await process.do(process.manager.handle(odd))

    in_lab(MemoryStore(), story)
