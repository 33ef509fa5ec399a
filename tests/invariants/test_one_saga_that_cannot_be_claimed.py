"""Invariants 33 and 36: what keeps one saga from being claimed, freed or read keeps no other from it."""

import asyncio
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from databases.stores import EACH_KIND, migrated_database
from databases.trouble import DatabaseTrouble
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog.engine.sagas.late_outcomes import LateOutcomes
from sagalog.errors import StoreUnavailable
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import DeadlineReached
from sagalog.store import Lease, Store, StoredEvent
from sagalog.testing.simulation.virtual_loop import VirtualLoop

# Of a trigger, of a lock, of a trigger that takes its time. The first saga is the one that has been due the longest.
CODES = ["P0001", "55P03", "57014"]


@pytest.fixture(params=EACH_KIND[1:])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without rows."""
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


async def completed(process: Process, saga_ids: Sequence[str]) -> list[str]:
    """Return the statuses of these sagas, which end within ten seconds."""
    async with asyncio.timeout(10):
        return [(await process.result(one)).status for one in saga_ids]


async def status(process: Process, saga_id: str) -> str:
    return (await process.do(process.manager.status(saga_id))).status


@pytest.mark.parametrize("code", CODES)
def test_a_row_that_cannot_be_claimed_keeps_nobody_else_from_being_claimed(address: str, code: str) -> None:
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(address)

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        odd = await client.start(saga, Parcel("odd"), "odd")
        others = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        with trouble.forbidding("saga_status", "NEW.saga_key = 'odd' AND NEW.owner IS NOT NULL", code, "UPDATE"):
            process = await lab.begin([saga], {Desk: desk})
            found = await completed(process, others)
            later = [await client.start(saga, Parcel(f"later {n}"), f"later {n}") for n in range(20)]
            found += await completed(process, later)
            await lab.sleep(600)
            assert await status(client, odd) != "completed"
        return [*found, (await process.result(odd)).status]

    # However often it could not be claimed: nothing is wrong with the saga itself.
    assert in_lab(address, story) == ["completed"] * 41
    assert desk.calls().count("pay") == 41


@pytest.mark.parametrize(
    ("table", "condition", "event"),
    [
        ("saga_status", "NEW.saga_key = 'odd'", "UPDATE"),
        ("saga_consumers", "NEW.consumer = 'participant:gone'", "UPDATE"),
        ("saga_workers", "OLD.worker_id = 'other'", "DELETE"),
    ],
)
@pytest.mark.parametrize("due", [True, False])
def test_one_row_of_the_dead_that_cannot_be_freed_keeps_no_other_from_it(
    address: str, table: str, condition: str, event: str, due: bool
) -> None:
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(address)

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        odd = await client.start(saga, Parcel("odd"), "odd")
        others = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        trouble.execute(
            "INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until) VALUES ('dead', 'h', 1, 1, 1)",
            "INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until) VALUES ('other', 'h', 1, 1, 1)",
            "INSERT INTO saga_consumers (consumer, position, owner, updated_at) "
            "VALUES ('participant:gone', 0, 'dead', 1)",
            "UPDATE saga_status SET owner = 'dead'",
            "UPDATE saga_status SET owner = 'other' WHERE saga_key = 'odd'",
        )
        if not due:
            trouble.execute("UPDATE saga_status SET due_at = 9000000000000000 WHERE saga_key = 'odd'")
        with trouble.forbidding(table, condition, "P0001", event):
            process = await lab.begin([saga], {Desk: desk})
            found = await completed(process, others)
            fresh = [await client.start(saga, Parcel(f"fresh {n}"), f"fresh {n}") for n in range(20)]
            found += await completed(process, fresh)
            await lab.sleep(600)
        trouble.execute("UPDATE saga_status SET due_at = 1 WHERE saga_key = 'odd' AND due_at IS NOT NULL")
        return [*found, (await process.result(odd)).status]

    assert in_lab(address, story) == ["completed"] * 41
    assert desk.calls().count("pay") == 41


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


@pytest.mark.parametrize("number", [0, 30])
def test_a_lease_of_the_dead_that_cannot_be_removed_is_spoken_of_less_and_less_often(
    address: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(address)

    async def story(lab: Lab) -> None:
        logging.disable(logging.NOTSET)
        client = await lab.begin([saga], worker=False)
        ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(number)]
        trouble.execute(
            "INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until) VALUES ('dead', 'h', 1, 1, 1)",
            "UPDATE saga_status SET owner = 'dead'",
        )
        with trouble.forbidding("saga_workers", "OLD.worker_id = 'dead'", "P0001", "DELETE"):
            process = await lab.begin([saga], {Desk: desk})
            await lab.sleep(600)
            rounds, sagas = told(caplog, "freed one by one"), told(caplog, "cannot be taken over")
            # Of 600 s with a look every 5 s at most; and of some of the sagas only.
            assert 0 < rounds <= 8
            assert sagas <= 10 * 6
            assert bool(sagas) == bool(ids)
        for one in ids:
            assert (await process.result(one)).status == "completed"
        await lab.until(lambda: told(caplog, "is freed again") == 1)

    in_lab(address, story)


@pytest.mark.parametrize("number", [1, 5])
def test_a_row_that_is_not_changed_though_nothing_says_so_keeps_nobody_else_from_being_claimed(
    address: str, number: int
) -> None:
    """A trigger skips the change."""
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(address)
    is_sqlite = address.startswith("sqlite:")

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        odd = [await client.start(saga, Parcel(f"odd {n}"), f"odd {n}") for n in range(number)]
        others = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        condition = "NEW.saga_key LIKE 'odd%' AND NEW.owner IS NOT NULL"
        if is_sqlite:
            skip = f"CREATE TRIGGER skip BEFORE UPDATE ON saga_status WHEN {condition} BEGIN SELECT RAISE(IGNORE); END"
            trouble.execute(skip)
        else:
            trouble.execute(
                "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
                "CREATE TRIGGER skip BEFORE UPDATE ON saga_status FOR EACH ROW "
                f"WHEN ({condition}) EXECUTE FUNCTION skip()",
            )
        process = await lab.begin([saga], {Desk: desk})
        found = await completed(process, others)
        later = [await client.start(saga, Parcel(f"later {n}"), f"later {n}") for n in range(20)]
        found += await completed(process, later)
        await lab.sleep(60)
        # Nobody has begun what is not his.
        assert desk.calls().count("pick") == 40
        trouble.execute("DROP TRIGGER skip" if is_sqlite else "DROP TRIGGER skip ON saga_status")
        return [*found, *await completed(process, odd)]

    assert in_lab(address, story) == ["completed"] * (40 + number)
    assert desk.calls().count("pick") == 40 + number


@pytest.mark.postgres
@pytest.mark.parametrize("dead", [False, True])
def test_a_row_that_somebody_has_locked_keeps_no_other_from_being_claimed_or_freed(
    migrated_postgres_url: str, dead: bool
) -> None:
    """SQLite locks no rows: there whoever writes locks all of it, for everybody."""
    saga, desk, trouble = parcel_saga(timeout=None), Desk(), DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        odd = await client.start(saga, Parcel("odd"), "odd")
        others = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        if dead:
            trouble.execute(
                "INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until) "
                "VALUES ('dead', 'h', 1, 1, 1)",
                "UPDATE saga_status SET owner = 'dead'",
            )
        with psycopg.connect(migrated_postgres_url) as session:
            session.execute("SELECT 1 FROM saga_status WHERE saga_key = 'odd' FOR UPDATE")
            if dead:
                session.execute("SELECT 1 FROM saga_workers WHERE worker_id = 'dead' FOR UPDATE")
            process = await lab.begin([saga], {Desk: desk})
            if dead:
                # The lease of the dead stays while it is locked, and so do they: those of others go on.
                others = []
            later = [await client.start(saga, Parcel(f"later {n}"), f"later {n}") for n in range(20)]
            found = await completed(process, [*others, *later])
        return [*found, (await process.result(odd)).status]

    assert in_lab(migrated_postgres_url, story) == ["completed"] * (21 if dead else 41)


@pytest.mark.postgres
def test_a_table_of_leases_that_is_locked_keeps_nobody_from_being_claimed(migrated_postgres_url: str) -> None:
    saga, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        # Whoever holds a lease goes on for as long as that lasts.
        settings = SETTINGS.model_copy(update={"lease": 3000.0})
        process = await lab.begin([saga], {Desk: desk}, settings=settings)
        with psycopg.connect(migrated_postgres_url) as session:
            session.execute("LOCK TABLE saga_workers IN ACCESS EXCLUSIVE MODE")
            ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(5)]
            return await completed(process, ids)

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 5


class LongHistory:
    """Have no time to read the history of one saga, however it is asked for."""

    def __init__(self, store: Store, odd: str) -> None:
        self._store = store
        self.odd = odd

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        return self.read_many([saga_id])[saga_id]

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        if self.odd in saga_ids:
            raise StoreUnavailable("canceling statement due to statement timeout")
        return self._store.read_many(saga_ids)


def test_a_history_that_takes_too_long_to_read_keeps_no_other_saga_waiting(each_database: str | Store) -> None:
    saga, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        odd = await client.start(saga, Parcel("odd"), "odd")
        others = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        wrapped = list[LongHistory]()

        def wrap(store: Store) -> Store:
            wrapped.append(LongHistory(store, odd))
            return cast(Store, wrapped[0])

        process = await lab.begin([saga], {Desk: desk}, wrap=wrap)
        found = await completed(process, others)
        await lab.sleep(600)
        wrapped[0].odd = ""
        return [*found, (await process.result(odd)).status]

    assert in_lab(each_database, story) == ["completed"] * 21
    assert desk.calls().count("pay") == 21


class LockedLease:
    """Somebody has locked the row of one worker's lease, which can neither be renewed nor removed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.locked = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def renew(self, worker_id: str, until: int) -> bool:
        if worker_id == self.locked:
            raise StoreUnavailable("canceling statement due to lock timeout")
        return self._store.renew(worker_id, until)

    def register(self, lease: Lease) -> None:
        self.locked = self.locked or lease.worker_id
        self._store.register(lease)


def test_a_worker_whose_lease_cannot_be_renewed_goes_on_under_another_name(each_database: str | Store) -> None:
    saga, desk = parcel_saga(timeout=None, patience=10_000), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk}, wrap=lambda store: cast(Store, LockedLease(store)))
        await lab.sleep(60)
        later = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(5)]
        return await completed(process, later)

    assert in_lab(each_database, story) == ["completed"] * 5


def test_an_outcome_that_nobody_takes_is_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """A trigger that skips a change, say: the store says nothing, and the saga is never ours again."""
    asked: list[str] = []

    async def take(_: Definition, saga_id: str) -> bool:
        asked.append(saga_id)
        return False

    async def record(*_: object) -> bool:
        return False

    async def story() -> None:
        late = LateOutcomes(take, record, record, 500_000)
        late.keep(parcel_saga().definition, "odd", [DeadlineReached()])
        await asyncio.sleep(100)
        await late.stop(1)

    loop = VirtualLoop(random.Random(1))
    loop.run_until_complete(story())
    loop.abandon()
    assert 16 < len(asked) < 32
    said = [record.getMessage() for record in caplog.records if "outcome of saga odd" in record.getMessage()]
    assert ["after 8 tries" in said[0], "after 16 tries" in said[1], len(said)] == [True, True, 2]
