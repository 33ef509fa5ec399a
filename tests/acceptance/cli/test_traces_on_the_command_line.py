"""`sagalog show --trace` on messages that really went from saga to participant and back, on both databases."""

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from msgspec import Struct
from pages.command_line import Ran, sagalog

from sagalog import Command, Event, Participant, Refused, Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.stores import store_for


class Booked(Event):
    trip: str


class ReserveRoom(Command):
    trip: str


class RoomReserved(Event):
    trip: str


class CancelRoom(Command):
    trip: str


class ChargeCard(Command):
    trip: str


class CardCharged(Event):
    trip: str


class GuestTold(Event):
    trip: str


class Trip(Struct):
    trip: str


trips = Saga("trip", input=Trip, key=lambda trip: trip.trip)
trips.started_by(Booked, input=lambda booked: Trip(booked.trip), key=lambda booked: booked.trip)


@trips.request(RoomReserved, timeout=60)
def reserve_room(trip: Trip) -> ReserveRoom:
    return ReserveRoom(trip=trip.trip)


@reserve_room.compensate
def cancel_room(room: RoomReserved | None, trip: Trip) -> CancelRoom:
    return CancelRoom(trip=trip.trip)


@trips.request(CardCharged, timeout=60, compensation=None)
def charge_card(trip: Trip) -> ChargeCard:
    return ChargeCard(trip=trip.trip)


hotel, bank, mail = Participant("hotel"), Participant("bank"), Participant("mail")


@hotel.handles
def reserve(command: ReserveRoom) -> RoomReserved:
    return RoomReserved(trip=command.trip)


@hotel.handles
def cancel(command: CancelRoom) -> None:
    return None


@bank.handles
def charge(command: ChargeCard) -> CardCharged:
    if command.trip == "dear":
        raise Refused("no money")
    return CardCharged(trip=command.trip)


@mail.on
def tell(reserved: RoomReserved) -> GuestTold:
    return GuestTold(trip=reserved.trip)


class Traced:
    """A database in which two trips were booked: one was made, the other undone."""

    def __init__(self, address: str) -> None:
        self.address = address

    def sagalog(self, *words: str) -> Ran:
        return sagalog("show", *words, "--db", self.address)


async def book(address: str) -> None:
    """Publish two bookings, and one event of the same correlation that no saga can take."""
    settings = Settings(poll=0.02)
    async with (
        ProcessManager(address, sagas=[trips], participants=[hotel, bank, mail], settings=settings) as manager,
        asyncio.timeout(60),
    ):
        for trip in ("cheap", "dear"):
            await manager.publish(Booked(trip=trip), id=f"booked-{trip}")
        await manager.publish(
            RoomReserved(trip="cheap"), id="stray", correlation_id="booked-cheap", causation_id="nobody:x"
        )
        while {row.status for row in await manager.find()} != {"completed", "failed"}:
            await asyncio.sleep(0.01)
        while len([one for one in manager.store.read_messages(0, 100) if one[1].name == "GuestTold"]) < 3:
            await asyncio.sleep(0.01)
        while not await manager.unmatched():
            await asyncio.sleep(0.01)


@pytest.fixture(params=EACH_KIND[1:])
def traced(request: pytest.FixtureRequest, tmp_path: Path) -> Traced:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    asyncio.run(book(address))
    return Traced(address)


def shape(out: str) -> list[str]:
    """Return each line of a drawn tree without what differs between runs: how deep, and what it names."""
    lines: list[str] = []
    for line in out.splitlines()[1:]:
        text = line.lstrip("│├└─ ")
        lines.append("  " * ((len(line) - len(text)) // 4 - 1) + text.split("  ")[0])
    return lines


def test_a_trace_is_a_tree_from_the_first_cause_to_the_last_effect(traced: Traced) -> None:
    """Invariants 3 and 28."""
    ran = traced.sagalog("dear", "--trace")
    assert ran.code == 0, ran.err
    assert shape(ran.out) == [
        "event Booked",
        "  saga trip dear",
        "    step reserve_room",
        "      command ReserveRoom",
        "        event RoomReserved",
        "          event GuestTold",
        "    step charge_card",
        "      command ChargeCard",
        "        event CommandRefused",
        "    undo reserve_room",
        "      command CancelRoom",
        "        event CommandDone",
    ]
    assert "from hotel" in ran.out
    assert "saga trip dear  failed" in ran.out
    assert ran.err == "12 causes and effects; times are since the first one\n"


def test_what_nobody_took_and_what_came_from_elsewhere_is_told(traced: Traced) -> None:
    """Invariant 4."""
    out = traced.sagalog("cheap", "--trace").out
    assert "caused by nobody:x" in out
    assert "not taken by saga:trip: " in out


def test_machines_get_a_row_for_each_with_its_parent(traced: Traced) -> None:
    rows = json.loads(traced.sagalog("dear", "--trace", "-o", "json").out)
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == 12
    assert rows[0] | {"time": ""} == {
        "depth": 0,
        "parent": None,
        "kind": "event",
        "id": "booked-dear",
        "name": "Booked",
        "key": None,
        "status": None,
        "direction": None,
        "source": "sagalog",
        "time": "",
        "ended": None,
        "sent": None,
        "took": None,
        "correlation_elsewhere": None,
        "cause_elsewhere": None,
        "not_taken": [],
    }
    for row in rows[1:]:
        assert row["depth"] == by_id[row["parent"]]["depth"] + 1
    refused = next(row for row in rows if row["name"] == "ChargeCard")
    assert (refused["status"], refused["direction"], refused["sent"]) == ("refused", "action", 1)
    lines = traced.sagalog("dear", "--trace", "-o", "jsonl").lines
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(traced.sagalog("dear", "--trace", "-o", "csv").out)))
    assert [row["id"] for row in table] == [row["id"] for row in rows]


def test_a_saga_shows_the_commands_it_sent(traced: Traced) -> None:
    out = traced.sagalog("dear").out
    assert "messages taken" in out
    commands = out[out.index("COMMAND") :].splitlines()
    assert [line.split()[0] for line in commands[2:]] == ["ReserveRoom", "ChargeCard", "CancelRoom"]
    assert "undo reserve_room" in commands[4]
    described = json.loads(traced.sagalog("dear", "-o", "json").out)
    assert [(one["name"], one["status"]) for one in described["commands"]] == [
        ("ReserveRoom", "succeeded"),
        ("ChargeCard", "refused"),
        ("CancelRoom", "succeeded"),
    ]
    assert len(described["received"]) >= 3
    assert described["kept"] == []


def test_history_and_replay_tell_of_messages(traced: Traced) -> None:
    history = sagalog("history", "dear", "--db", traced.address).out
    assert "RequestSent" in history
    assert "reserve_room, ReserveRoom sent as" in history
    replay = sagalog("replay", "dear", "--db", traced.address).out
    assert 'data: {"trip":"dear"}' in replay
    assert "waiting.until: 2" in replay


def test_who_reads_the_log_is_shown_with_what_is_behind(traced: Traced) -> None:
    """Invariant 47."""
    status = sagalog("db", "status", "--db", traced.address)
    assert status.code == 0
    names = ["participant:bank", "participant:hotel", "participant:mail", "saga:trip"]
    table = status.out[status.out.index("CONSUMER") :].splitlines()[2:]
    assert [line.split()[0] for line in table] == names
    rows = json.loads(sagalog("db", "consumers", "-o", "json", "--db", traced.address).out)
    assert [row["consumer"] for row in rows] == names
    head = store_for(traced.address)
    head.open()
    try:
        messages = len(head.read_messages(rows[0]["position"], 100))
    finally:
        head.close()
    assert rows[0]["lag"] == messages


packing = Saga("packing", input=Trip, key=lambda trip: trip.trip)


@packing.step(compensation=None)
async def fold_shirts(trip: Trip) -> int:
    return 7


leaving = Saga("leaving", input=Trip, key=lambda trip: trip.trip)
leaving.child(packing, input=lambda trip: trip, name="pack")


def test_a_child_saga_is_seen_under_the_step_that_it_is(tmp_path: Path) -> None:
    """Invariant 28."""
    address = f"sqlite:///{tmp_path / 'family.db'}"

    async def leave() -> None:
        async with ProcessManager(address, sagas=[leaving, packing]) as manager:
            result = await manager.execute(leaving, Trip("far"), timeout=30)
            assert result.status == "completed"

    asyncio.run(leave())
    ran = sagalog("show", "far", "--saga", "leaving", "--trace", "--db", address)
    assert ran.code == 0, ran.err
    lines = shape(ran.out)
    assert lines[:2] == ["saga leaving far", "  step pack"]
    assert lines[2].startswith("    saga packing ")
    assert sagalog("history", "far", "--db", address).code == 0
    assert sagalog("replay", "far", "--db", address).code == 0


class ParcelArrived(Event):
    trip: str


waiting = Saga("waiting", input=Trip, key=lambda trip: trip.trip)
waiting.wait_for(ParcelArrived, key=lambda arrived: arrived.trip, name="parcel")


def test_the_event_that_a_saga_waited_for_is_seen_where_it_was_taken(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'waiting.db'}"

    async def wait_for_it() -> None:
        async with asyncio.timeout(30), ProcessManager(address, sagas=[waiting]) as manager:
            run = await manager.start(waiting, Trip("far"))
            await manager.publish(ParcelArrived(trip="far"), id="p-1", correlation_id="the van", causation_id="stop-7")
            assert (await run.result()).status == "completed"

    asyncio.run(wait_for_it())
    ran = sagalog("show", "far", "--trace", "--db", address)
    assert ran.code == 0, ran.err
    assert shape(ran.out) == ["saga waiting far", "  step parcel", "    event ParcelArrived"]
    assert "took event ParcelArrived p-1" in ran.out
    assert "of correlation the van" in ran.out
    rows = json.loads(sagalog("show", "far", "--trace", "-o", "json", "--db", address).out)
    assert [(row["kind"], row["took"], row["correlation_elsewhere"]) for row in rows] == [
        ("saga", None, None),
        ("step", "p-1", None),
        ("event", None, "the van"),
    ]
