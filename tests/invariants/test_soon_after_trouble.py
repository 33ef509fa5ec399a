"""Invariants 33 and 36: when the store takes writes again, nobody rests for what is over."""

import asyncio
import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from databases.stores import EACH_KIND, migrated_database
from databases.trouble import DatabaseTrouble
from lab.lab import Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga
from sagas.pinging import echo, pinged, pongs

from sagalog.engine.recovery import CALM, Recovery
from sagalog.engine.sagas.one_by_one import OneByOne
from sagalog.errors import RowsLocked, StoreFull
from sagalog.store import Store
from sagalog.testing.simulation.virtual_loop import VirtualLoop

# In seconds of virtual time: between the longest pauses of what asks again by itself, and the rests of up to a minute.
SOON = 10.0
NUMBER = 40


@contextmanager
def full(store: Any) -> Generator[None]:
    """Let the file of a SQLite store grow no more, as on a full disk."""
    with store.recorder.datastore.transaction(commit=True) as cursor:
        pages = cursor.sqlite_cursor.execute("PRAGMA page_count").fetchone()[0]
        most = cursor.sqlite_cursor.execute("PRAGMA max_page_count").fetchone()[0]
        cursor.sqlite_cursor.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        with store.recorder.datastore.transaction(commit=True) as cursor:
            cursor.sqlite_cursor.execute(f"PRAGMA max_page_count = {most}")


async def seconds_until_completed(lab: Lab, process: Process, saga_ids: Sequence[str]) -> float:
    began = lab.now()
    for one in saga_ids:
        assert (await process.result(one)).status == "completed"
    return lab.now() - began


@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_that_is_over_keeps_no_saga_waiting(tmp_path: Path, first: bool) -> None:
    saga, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> None:
        client = await lab.begin([saga], worker=False)
        large = "x" * 900
        ids = [await client.start(saga, Parcel(f"{large}{n}"), str(n)) for n in range(NUMBER)]
        store: Store
        if first:
            # It is full before anything is claimed.
            process = await lab.begin([saga], {Desk: desk})
            store = lab.stores[-1]
            with full(store):
                await lab.sleep(300)
        else:
            gate = asyncio.Event()
            desk.does["pick"] = lambda _: gate.wait()
            process = await lab.begin([saga], {Desk: desk})
            store = lab.stores[-1]
            await lab.until(lambda: desk.calls().count("pick") == NUMBER)
            with full(store):
                gate.set()
                await lab.sleep(300)
        assert await seconds_until_completed(lab, process, ids) < SOON

    in_lab(f"sqlite:///{tmp_path}/sagas.db", story)


@pytest.fixture(params=EACH_KIND[1:])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without rows."""
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


# Of a full disk, as a server says it.
FULL = "53100"


@pytest.mark.postgres
@pytest.mark.parametrize("code", [FULL, "25006"])
def test_claims_that_were_refused_because_of_the_whole_store_pass_soon_after(
    migrated_postgres_url: str, code: str
) -> None:
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> None:
        client = await lab.begin([saga], worker=False)
        ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(NUMBER)]
        with trouble.forbidding("saga_status", "NEW.owner IS NOT NULL", code, "UPDATE"):
            process = await lab.begin([saga], {Desk: desk})
            await lab.sleep(300)
        assert await seconds_until_completed(lab, process, ids) < SOON

    in_lab(migrated_postgres_url, story)


@pytest.mark.postgres
def test_messages_that_were_set_aside_because_of_the_whole_store_are_routed_soon_after(
    migrated_postgres_url: str,
) -> None:
    trouble = DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> None:
        seen: list[int] = []
        process = await lab.begin(participants=[echo(seen)])
        with trouble.forbidding("saga_inbox", "TRUE", FULL):
            for n in range(5):
                await pinged(process, n)
            await lab.sleep(300)
        began = lab.now()
        await lab.until(lambda: sorted(seen) == list(range(5)))
        assert lab.now() - began < SOON
        await lab.until(lambda: pongs(lab.stores[0]) == list(range(5)))

    in_lab(migrated_postgres_url, story)


def test_outcomes_that_were_refused_are_recorded_soon_after_the_first_is_taken(address: str) -> None:
    """A trigger refuses what sagas decide; when that is gone, their faults and what is known of them are recorded."""
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(address)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        ids = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(8)]
        await lab.until(lambda: desk.calls().count("pick") == len(ids))
        store = lab.stores[0]
        with trouble.forbidding("saga_steps", "NEW.step = 'pick' AND NEW.status = 'succeeded'"):
            gate.set()
            await lab.sleep(240)

        def recorded() -> int:
            steps = [step for one in ids for step in store.steps(one) if step.step == "pick"]
            return sum(step.status == "succeeded" for step in steps)

        assert recorded() == 0
        await lab.until(lambda: recorded() > 0, 61)
        began = lab.now()
        await lab.until(lambda: recorded() == len(ids), 61)
        assert lab.now() - began < SOON

    in_lab(address, story)


async def _raise(problem: Exception) -> None:
    raise problem


def test_of_those_that_fail_because_of_the_whole_store_one_is_tried_now_and_then() -> None:
    """Not all of them again and again, and when one passes all are tried: what is locked goes its own way."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        one_by_one = OneByOne("fails", lambda: asyncio.sleep(0), loop.time)
        await one_by_one.each([str(n) for n in range(20)], lambda _: _raise(StoreFull("full")))
        await one_by_one.each(["locked"], lambda _: _raise(RowsLocked("locked", frozenset())))
        await one_by_one.each(["locked"], lambda _: _raise(RowsLocked("locked", frozenset())))
        assert len(one_by_one.resting()) == 21
        await asyncio.sleep(4.1)
        assert len(one_by_one.resting()) == 18
        await one_by_one.each(["locked"], lambda _: _raise(RowsLocked("locked", frozenset())))
        await one_by_one.each(["0"], lambda _: asyncio.sleep(0))
        assert one_by_one.resting() == ["locked"]

    run(story())


def test_that_the_store_is_written_again_is_passed_on_less_and_less_often_while_it_never_ceases() -> None:
    told: list[float] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        recovery = Recovery()
        recovery.add(lambda: told.append(loop.time()))
        for _ in range(3000):
            recovery.recovered()
            await asyncio.sleep(0.1)
        assert len(told) < 12
        last = loop.time()
        await asyncio.sleep(70)
        # The last time is passed on too.
        assert last - 0.2 <= told[-1]
        await asyncio.sleep(CALM)
        before = len(told)
        recovery.recovered()
        assert len(told) == before + 1
        recovery.close()

    run(story())


def run(story: Any) -> None:
    loop = VirtualLoop(random.Random(1))
    try:
        loop.run_until_complete(story)
    finally:
        loop.abandon()
