"""What an older version let in is shown: times that no calendar has, keys that forge text, ids that are too long."""

import asyncio
import json
import re
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct
from pages.command_line import Ran, sagalog

from sagalog import Command, Event, Participant, Saga
from sagalog.errors import InvalidIdentifier
from sagalog.process_manager import ProcessManager

FORGED = "order\x9b2J\u202e\u2028=1 \u200b\u2060\ufeff\xad\U000e0041" + "😀" * 450
FORGING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b\u2028-\u202e\u2060\ufeff\U000e0000-\U000e007f]")
EARLIEST, LATEST = -(2**62), 2**62


class Order(Struct, frozen=True):
    key: str


class Ship(Command):
    key: str


class Shipped(Event):
    key: str


class Paid(Event):
    key: str


saga = Saga("odd", input=Order, key=lambda order: order.key)


@saga.request(Shipped, timeout=60, compensation=None)
def ship(order: Order) -> Ship:
    return Ship(key=order.key)


saga.wait_for(Paid, key=lambda paid: paid.key, name="payment")
van = Participant("van")


@van.handles
def drive(command: Ship) -> Shipped:
    return Shipped(key=command.key)


async def run_one(address: str) -> None:
    async with asyncio.timeout(30), ProcessManager(address, sagas=[saga], participants=[van]) as manager:
        run = await manager.start(saga, Order("k"))
        await manager.publish(Paid(key="k"), id="p-1", correlation_id="elsewhere")
        assert (await run.result()).status == "completed"
        await manager.park("no message", source="nats", reason="no JSON")


TIMES = ("time", "until", "began", "retry_at", "deadline")
COLUMNS = {
    "saga_status": ("started_at", "updated_at", "ended_at", "deadline_at", "waiting_until"),
    "saga_steps": ("started_at", "ended_at"),
    "saga_commands": ("issued_at", "answered_at"),
    "saga_messages": ("time",),
    "saga_unmatched": ("parked_at",),
    "saga_consumers": ("updated_at",),
}


def moved(value: Any, when: int) -> Any:
    """Return the JSON of an event with every time of it set to one."""
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        return {
            name: when if name in TIMES and isinstance(inner, int) else moved(inner, when)
            for name, inner in given.items()
        }
    return FORGED if value == "k" else value


def age(path: Path, when: int) -> None:
    """Rewrite a database as if an older version had let these times and this key in."""
    with sqlite3.connect(path) as connection:
        for position, state in connection.execute("SELECT rowid, state FROM saga_events").fetchall():
            text = json.dumps(moved(json.loads(state), when), ensure_ascii=False)
            connection.execute("UPDATE saga_events SET state = ? WHERE rowid = ?", (text.encode(), position))
        for table, columns in COLUMNS.items():
            for column in columns:
                # Names from the list above, in a test's own database.
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS NOT NULL", (when,))
        connection.execute("UPDATE saga_status SET saga_key = ?", (FORGED,))
        connection.execute("UPDATE saga_unmatched SET reason = ?, source = ?", (FORGED, FORGED))
    connection.close()


@pytest.fixture(params=[EARLIEST, LATEST], ids=["before year 1", "after year 9999"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "odd.db"
    asyncio.run(run_one(f"sqlite:///{path}"))
    age(path, request.param)
    return path


def shown(ran: Ran) -> str:
    assert (ran.code, ran.out == "") == (0, False), ran.err
    assert FORGING.search(ran.out + ran.err) is None
    return ran.out


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
def test_every_command_shows_it_in_every_format(odd: Path, output: str) -> None:
    parked = json.loads(sagalog("--db", str(odd), "unmatched", "list", "-o", "json").out)[0]["unmatched_id"]
    for words in (
        ["list"],
        ["show", FORGED],
        ["show", FORGED, "--trace"],
        ["history", FORGED],
        ["replay", FORGED],
        ["replay", FORGED, "--at", "2"],
        ["wait", FORGED],
        ["unmatched", "list"],
        ["unmatched", "show", parked],
        ["db", "consumers"],
        ["db", "status"],
    ):
        out = shown(sagalog("--db", str(odd), *words, "-o", output))
        if words[0] == "list":
            assert re.search(r"[+-]14\d{4}-\d\d-\d\dT", out)
        if output == "json":
            json.loads(out)


def test_it_is_exported_and_replayed_from_the_export(odd: Path) -> None:
    # Into a pipe, for at its end there may be a terminal.
    exported = shown(sagalog("--db", str(odd), "export", FORGED))
    assert json.loads(exported.splitlines()[0])["data"]["input"] == {"key": FORGED}
    assert shown(sagalog("replay", "--from", "-", given=exported.encode()))


def test_it_is_still_found_by_its_key(odd: Path) -> None:
    async def ask() -> str:
        async with ProcessManager(f"sqlite:///{odd}", sagas=[saga], worker=False) as manager:
            assert [row.saga_key for row in await manager.find(key=FORGED)] == [FORGED]
            return (await manager.result(FORGED)).status

    assert asyncio.run(ask()) == "completed"


def test_who_starts_it_again_gets_the_saga_that_is_there(odd: Path) -> None:
    """Invariant 2."""

    async def start(key: str) -> bool:
        async with ProcessManager(f"sqlite:///{odd}", sagas=[saga], worker=False) as manager:
            return (await manager.start(saga, Order(key))).created

    assert asyncio.run(start(FORGED)) is False
    with pytest.raises(InvalidIdentifier, match=r"the key of saga odd: .* U\+200B"):
        asyncio.run(start("order\u200b-2"))
