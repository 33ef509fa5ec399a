"""A database that the code wrote before the library was put into rooms: it is run on, and nothing written changes.

And the other way round: what the code wrote then, and what the command line printed of it, it writes and prints today,
byte for byte. `tests/support/earlier_database/` has the story, the files, and how they were made.
"""

import asyncio
import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from databases.catalogs import shape_of
from databases.stores import empty_database
from earlier_database.app import choreographies, participants, sagas
from earlier_database.by_messages import GoodsArrived, MoneyGivenBack, MoneyTaken
from earlier_database.by_steps import Order, order
from earlier_database.lives import answer_to, lived
from earlier_database.printed import known_then, printed_of, with_app
from earlier_database.recorded import asked, lines_of, load, sql_of, text_of
from earlier_database.story import story
from earlier_database.yard import Outside, Yard

from sagalog import Event
from sagalog.process_manager import ProcessManager
from sagalog.readmodel.rebuild import rebuild
from sagalog.saga.redecide import first_divergence
from sagalog.settings import Settings

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
ENDS = {
    "order-completed": "completed",
    "order-without-mail": "completed",
    "order-retried": "completed",
    "order-refused": "failed",
    "order-refused-beside": "failed",
    "order-unknown": "failed",
    "order-stuck-at-pivot": "completed",
    "order-stuck-undoing": "failed",
    "order-stuck-after-pivot": "completed",
    "order-resumed": "completed",
    "order-running": "completed",
    "order-running-beside": "completed",
    "order-compensating": "failed",
    "order-retrying": "completed",
    "order-undoing-again": "failed",
    "order-new": "completed",
    "parcels-completed": "completed",
    "parcels-none": "completed",
    "parcels-refused": "failed",
    "parcels-half-done": "completed",
    "parcels-weighing": "completed",
    "parcels-partly-undone": "failed",
    "trip-completed": "completed",
    "trip-completed, there": "completed",
    "trip-child-refused": "failed",
    "trip-child-refused, there": "failed",
    "trip-child-undone": "failed",
    "trip-child-undone, there": "failed",
    "trip-child-running": "completed",
    "trip-child-running, there": "completed",
    "trip-child-undoing": "failed",
    "trip-child-undoing, there": "failed",
    "trip-child-stuck": "failed",
    "trip-child-stuck, there": "failed",
    "delivery-completed": "completed",
    "delivery-refused": "failed",
    "delivery-late": "failed",
    "delivery-undone": "failed",
    "delivery-unanswered": "completed",
    "delivery-undoing": "failed",
    "delivery-in-hand": "completed",
    "delivery-given-up": "completed",
    "delivery-retrying": "completed",
    "return-completed": "completed",
    "return-early": "completed",
    "return-waiting": "completed",
    "return-sleeping": "completed",
    "return-unread": "completed",
    "inquiry-never-answered": "failed",
    "inquiry-answered": "completed",
    "inquiry-answered, run 2": "completed",
    "purchase-completed": "completed",
    "purchase-failed": "failed",
    "purchase-stuck": "stuck",
    "purchase-running": "completed",
}


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database as it was when its last process was killed, with whatever its tables have got since."""
    found = str(empty_database(request.param, tmp_path, request))
    load(found)
    assert with_app(found, "db", "upgrade").code == 0
    return found


def today(address: str) -> ProcessManager:
    """Return what runs the same app today, with whatever was out of order mended."""
    return ProcessManager(
        address,
        sagas=sagas,
        participants=participants,
        choreographies=choreographies,
        transports=[Outside()],
        services={Yard: Yard(mended=True)},
        settings=Settings(poll=0.05),
    )


async def statuses(manager: ProcessManager) -> dict[str, str]:
    """Return how each saga stands, by its key; a child by its parent's."""
    rows = await manager.find(limit=1000)
    keys = {row.saga_id: row.saga_key for row in rows}
    found: dict[str, str] = {}
    for row in rows:
        parent, _, step = row.saga_key.rpartition(":")
        name = f"{keys[parent]}, {step}" if parent else row.saga_key
        found[name if row.run == 1 else f"{name}, run {row.run}"] = row.status
    return found


async def answer(manager: ProcessManager, key: str, what: str, event: Event) -> None:
    """Let the service outside answer the command that a saga has sent before."""
    row = await manager.status(key)
    command_id = f"{row.saga_id}:{what}"
    assert await manager.handle(answer_to(command_id, row.correlation_id, event, f"answer-{key}", row.updated_at + 1))


async def run_on(address: str) -> None:
    """Do what the sagas wait for, and wait until they have ended."""
    async with asyncio.timeout(30), today(address) as manager:
        for key in ("order-stuck-at-pivot", "order-stuck-undoing", "order-stuck-after-pivot"):
            await manager.resume(key, actor="ada", reason="it is mended")
        parent = await manager.status("trip-child-stuck")
        await manager.resume(f"{parent.saga_id}:there", actor="ada", reason="it is mended")
        await manager.publish(GoodsArrived(return_id="return-waiting", grams=9), id="arrived-waiting")
        await answer(manager, "delivery-unanswered", "pay", MoneyTaken(order_id="x", payment="p-9"))
        await answer(manager, "delivery-undoing", "pay:undo", MoneyGivenBack(order_id="x"))
        [given_up] = [row for row in await manager.unmatched() if row.consumer == "participant:vans"]
        await manager.redeliver(given_up.unmatched_id, actor="ada", reason="the van is back")
        assert (await manager.start(order, Order("order-new"))).created
        assert not (await manager.start(order, Order("order-retrying"))).created
        for key in ("delivery-in-hand", "delivery-given-up", "delivery-retrying"):
            while (await manager.status(key)).waiting_for != "reply MoneyTaken to pay":
                await asyncio.sleep(0.05)
            await answer(manager, key, "pay", MoneyTaken(order_id="x", payment="p-8"))
        while await statuses(manager) != ENDS:
            await asyncio.sleep(0.05)


def run_on_to_the_ends(address: str) -> None:
    """Run on; what does not end as it should is shown."""
    try:
        asyncio.run(run_on(address))
    except TimeoutError:
        assert ended(address) == ENDS


def ended(address: str) -> Mapping[str, str]:
    async def ask() -> Mapping[str, str]:
        async with ProcessManager(address, sagas=sagas, choreographies=choreographies, worker=False) as manager:
            return await statuses(manager)

    return asyncio.run(ask())


def named(address: str, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table by the names of their columns."""
    columns, rows = asked(address, table)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def rows_of_sagas(address: str) -> list[dict[str, Any]]:
    """Return the rows of the status tables, without how much of the log each is known to reflect."""
    rows = [row for table in ("saga_status", "saga_steps", "saga_commands") for row in named(address, table)]
    return [{name: value for name, value in row.items() if name != "position"} for row in rows]


def test_an_upgraded_database_is_made_as_a_new_one_is(
    address: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A migration that was released is never changed: it would change new databases only."""
    if address.startswith("sqlite"):
        new = f"sqlite:///{copyfile(request.getfixturevalue('migrated_file'), tmp_path / 'new.db')}"
    else:
        new = request.getfixturevalue("migrated_postgres_url")
    shape = shape_of(address)
    assert len(shape) > 20
    assert shape == shape_of(new)


def test_what_was_written_before_is_in_order_and_is_read_as_it_was(address: str) -> None:
    recorded = text_of("sqlite_rows.sql" if address.startswith("sqlite") else "postgres_rows.sql")
    assert sql_of(address, recorded) == recorded
    ran = with_app(address, "check")
    assert (ran.code, "wrong" in ran.out) == (0, False), ran
    assert "54 sagas compared" in ran.out


def test_sagas_that_began_before_are_run_on_to_their_ends(address: str) -> None:
    run_on_to_the_ends(address)
    ran = with_app(address, "check")
    assert (ran.code, "wrong" in ran.out) == (0, False), ran
    assert "55 sagas compared" in ran.out
    assert [row["status"] for row in named(address, "saga_unmatched")].count("redelivered") == 1
    assert named(address, "saga_inbox") == []


def test_what_was_recorded_before_stays_byte_for_byte_what_it_was(address: str) -> None:
    _, events = asked(address, "saga_events")
    at_rest = [row for row in named(address, "saga_status") if row["ended_at"] is not None]
    steps, messages = named(address, "saga_steps"), named(address, "saga_messages")
    run_on_to_the_ends(address)
    _, after = asked(address, "saga_events")
    assert after[: len(events)] == events
    assert len(after) > len(events)
    ids = {row["saga_id"] for row in at_rest}
    assert [row for row in named(address, "saga_status") if row["saga_id"] in ids] == at_rest
    assert [row for row in named(address, "saga_steps") if row["saga_id"] in ids] == [
        row for row in steps if row["saga_id"] in ids
    ]
    assert named(address, "saga_messages")[: len(messages)] == messages


@pytest.mark.parametrize("when", ["before it is run on", "after it was run on"])
def test_every_history_is_decided_as_it_was_and_its_rows_computed_as_they_were(address: str, when: str) -> None:
    if when.startswith("after"):
        run_on_to_the_ends(address)

    async def decide_again() -> int:
        async with ProcessManager(address, sagas=sagas, choreographies=choreographies, worker=False) as manager:
            rows = await manager.find(limit=1000)
            for row in rows:
                events = await manager.history(row.saga_id)
                assert first_divergence(manager.definitions[row.definition], events) is None, row
            assert rebuild(manager.store, manager.definitions).sagas == len(rows)
            return len(rows)

    written = rows_of_sagas(address)
    assert asyncio.run(decide_again()) in (54, 55)
    assert rows_of_sagas(address) == written


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_story_writes_today_what_it_wrote_then(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = str(empty_database(kind, tmp_path, request))
    recorded, lines = text_of(f"{kind}_rows.sql"), text_of("memory.jsonl")
    with lived(address, story) as store:
        assert written_then(sql_of(address, recorded), recorded) == recorded.splitlines()
        assert written_then(lines_of(store, lines), lines) == lines.splitlines()


def test_the_same_story_is_in_memory_what_it_was_then() -> None:
    lines = text_of("memory.jsonl")
    with lived("memory://", story) as store:
        assert written_then(lines_of(store, lines), lines) == lines.splitlines()


# A row of a step, up to its position and after it.
ROW_OF_A_STEP = re.compile(r"""(.*, ?['"](?:action|compensation)['"],.*?)(\d+)([])][,;]?)""")


def written_then(text: str, then: str) -> list[str]:
    """Return the lines of a text as they would have been written then.

    A resume has one field more since, the id of the action. A row of a step that a decision leaves as it was is not
    written again, so it may have an earlier position.
    """
    lines = re.sub(r'(SagaResumed[^\n]*?),"action_id":"then"', r"\1", text).splitlines()
    return [_row_then(line, before) for line, before in zip_longest(lines, then.splitlines(), fillvalue="")]


def _row_then(line: str, then: str) -> str:
    found, before = ROW_OF_A_STEP.fullmatch(line), ROW_OF_A_STEP.fullmatch(then)
    if found is None or before is None:
        return line
    is_kept = found[1] == before[1] and int(found[2]) < int(before[2])
    return then if is_kept else line


def test_what_is_printed_of_it_is_what_was_printed_then(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'sagas.db'}"
    load(address)
    assert with_app(address, "db", "upgrade").code == 0
    assert known_then(printed_of(address)) == known_then(text_of("printed.txt"))
