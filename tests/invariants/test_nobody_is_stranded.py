"""Invariants 15, 33 and 36: a saga always goes on, is undone, waits for the store, or is stuck and says why."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from databases.stores import EACH_KIND
from databases.trouble import DatabaseTrouble
from databases.troubled import CLASSES, STRANGE, TRANSIENT, Troubled, for_a_while, goes_on
from lab.inside import engine_of
from lab.lab import Lab, in_lab
from sagas.greeting import QUICK, Greeting, greet, run
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog import Retry, Saga
from sagalog.engine import cycle
from sagalog.engine.writing.failed_writes import TRIES
from sagalog.errors import (
    StoreError,
    StoreReadOnly,
    WriteRefused,
)
from sagalog.process_manager import ProcessManager
from sagalog.saga import react as kernel
from sagalog.store import Append, Query, StatusRow, Store
from sagalog.stores.memory.store import MemoryStore

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]


def said(row: StatusRow) -> str:
    return row.error_text or ""


@pytest.mark.parametrize("kind", [*CLASSES, *STRANGE])
def test_a_saga_whose_decision_is_not_taken_once_goes_on_and_does_nothing_twice(kind: type[Exception]) -> None:
    store, saga, desk = Troubled(), parcel_saga(), Desk()
    store.trouble = for_a_while(kind("for a moment"), 1, goes_on)

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        ids = await asyncio.gather(*(process.start(saga, Parcel(key), key) for key in ("odd", "even")))
        return [(await process.result(one)).status for one in ids]

    assert in_lab(store, story) == ["completed", "completed"]
    assert sorted(desk.calls()) == sorted(["pick", "pay", "send"] * 2)


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_saga_waits_for_as_long_as_the_store_is_in_trouble(kind: type[StoreError]) -> None:
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel("odd"), "odd")

        def trouble(appends: Sequence[Append]) -> None:
            raise kind("for an hour")

        store.trouble = trouble
        await lab.sleep(3600)
        assert store.asked < 3600
        store.trouble = lambda _: None
        return (await process.result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert desk.calls() == ["pick", "pay", "send"]


@pytest.mark.parametrize("kind", [WriteRefused, *STRANGE])
def test_an_outcome_that_the_database_never_takes_makes_its_saga_stuck_and_says_why(kind: type[Exception]) -> None:
    """And a resume, once somebody has mended the database, lets it go on: the step is not made again."""
    store, saga, desk = Troubled(), parcel_saga(), Desk()

    def trouble(appends: Sequence[Append]) -> None:
        if any(goes_on(one) and b"a mug" in b"".join(state for _, state in one.events) for one in appends):
            raise kind("mugs are not allowed here")

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        store.trouble = trouble
        saga_id, other = [await process.start(saga, Parcel(key), key) for key in ("odd", "even")]
        assert (await process.result(other)).status == "completed"
        result = await process.result(saga_id)
        assert result.error is not None
        assert (result.status, result.error.kind, result.error.step) == ("stuck", "fault", "pick")
        assert "mugs are not allowed here" in said(await process.do(process.manager.status(saga_id)))
        store.trouble = lambda _: None
        await process.do(process.manager.resume(saga_id, actor="ada", reason="mugs are allowed"))
        return [(await process.result(saga_id)).status]

    assert in_lab(store, story) == ["completed"]
    assert desk.calls().count("pick") == 2


def test_a_saga_that_cannot_even_be_made_stuck_is_tried_with_growing_pauses_and_loses_nothing() -> None:
    """Nothing about it can be written for hours; what its step has come to is recorded after that, and it goes on."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    def trouble(appends: Sequence[Append]) -> None:
        if any(goes_on(one) for one in appends):
            raise WriteRefused("nothing about odd parcels")

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        store.trouble = trouble
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        await lab.sleep(3600)
        asked = store.asked
        await lab.sleep(10_000)
        # Each minute at most, and so often each time as a refusal is not believed.
        assert store.asked - asked <= 2 * TRIES * 10_000 / 60
        store.trouble = lambda _: None
        return (await process.result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert desk.calls() == ["pick", "pay", "send"]


def test_a_saga_that_the_engine_stumbles_over_is_stuck_after_a_few_tries_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And other sagas go on beside it; resumed after an update, so does it."""
    store, saga, desk = MemoryStore(), parcel_saga(), Desk()
    real = kernel.react

    def react(definition: Any, state: Any) -> Any:
        if state.key == "odd" and state.status == "pending":
            raise ZeroDivisionError("a mistake of ours")
        return real(definition, state)

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        monkeypatch.setattr(cycle, "react", react)
        saga_id, other = [await process.start(saga, Parcel(key), key) for key in ("odd", "even")]
        assert (await process.result(other)).status == "completed"
        result = await process.result(saga_id)
        assert result.status == "stuck"
        row = await process.do(process.manager.status(saga_id))
        assert "its process could not go on with it: ZeroDivisionError: a mistake of ours" in said(row)
        assert row.owner is None
        monkeypatch.setattr(cycle, "react", real)
        await process.do(process.manager.resume(saga_id, actor="ada", reason="it is mended"))
        return [(await process.result(saga_id)).status]

    assert in_lab(store, story) == ["completed"]
    # Its outcome was known all the while, so no step of it is made twice.
    assert sorted(desk.calls()) == sorted(["pick", "pay", "send"] * 2)


def test_a_saga_that_is_left_to_others_is_named_in_the_log_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = kernel.react

    def react(definition: Any, state: Any) -> Any:
        if state.status == "pending":
            raise ZeroDivisionError("a mistake of ours")
        return real(definition, state)

    async def story() -> str:
        saga = greet()
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK) as manager:
            monkeypatch.setattr(cycle, "react", react)
            started = await manager.start(saga, Greeting("ada"))
            while not any("cannot be driven here" in one.getMessage() for one in caplog.records):
                await asyncio.sleep(0.001)
            return started.id

    with caplog.at_level(logging.ERROR, "sagalog.engine"):
        saga_id = run(story())
    told = [one.getMessage() for one in caplog.records if "cannot be driven here" in one.getMessage()]
    assert told[0] == (
        f"saga {saga_id} cannot be driven here and is left to others for 1 s: ZeroDivisionError: a mistake of ours"
    )


def test_a_saga_that_only_one_worker_stumbles_over_is_finished_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    store, saga, desk = MemoryStore(), parcel_saga(), Desk()

    async def story(lab: Lab) -> str:
        first = await lab.begin([saga], {Desk: desk})

        async def fails(*_: Any) -> None:
            raise ZeroDivisionError("only here")

        desk.does["pay"] = lambda _: monkeypatch.setattr(engine_of(first.manager).worker, "ready", fails)
        saga_id = await first.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        desk.does.clear()
        second = await lab.begin([saga], {Desk: desk})
        return (await second.result(saga_id)).status

    assert in_lab(store, story) == "completed"


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
@pytest.mark.parametrize("code", ["P0001", "23514", "22021", "54000", "XX000", "ZZ123"])
def test_a_row_that_a_real_database_refuses_makes_only_its_own_saga_stuck(database: str, code: str) -> None:
    """Whatever it says: a trigger, a constraint, a text it cannot keep, an index row that is too large."""
    saga, desk, trouble = parcel_saga(), Desk(), DatabaseTrouble(database)

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        rows = "NEW.direction = 'action' AND NEW.step = 'pay' AND NEW.status = 'succeeded'"
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        with trouble.forbidding("saga_steps", f"{rows} AND NEW.saga_id = '{saga_id}'", code):
            others = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(5)]
            found = [(await process.result(one)).status for one in others]
            assert (await process.result(saga_id)).status == "stuck"
            assert "not today" in said(await process.do(process.manager.status(saga_id)))
        await process.do(process.manager.resume(saga_id, actor="ada", reason="the trigger is gone"))
        return [*found, (await process.result(saga_id)).status]

    assert in_lab(database, story) == ["completed"] * 6


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """The address of a database without rows that speaks SQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sagas.db'}"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


@pytest.mark.postgres
def test_sagas_in_the_middle_of_a_step_go_on_after_a_switch_over(migrated_postgres_url: str) -> None:
    """For a while the database can only be read, and every connection to it was ended: nobody is left behind."""
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(migrated_postgres_url)

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pay"] = lambda _: gate.wait()
        ids = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        await lab.until(lambda: desk.calls().count("pay") == 20)
        trouble.set_read_only(True)
        gate.set()
        await lab.until(lambda: isinstance(engine_of(process.manager).committer.trouble, StoreReadOnly))
        await lab.sleep(1.5)
        trouble.set_read_only(False)
        return [(await process.result(one)).status for one in ids]

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 20
    assert desk.calls().count("pay") == 20


def test_the_sagas_left_to_others_are_not_claimed_again_meanwhile() -> None:
    """So that however many there are, they keep no place in a claim from those that can be driven."""
    store: Store = MemoryStore()
    saga = parcel_saga()

    async def story(lab: Lab) -> None:
        client = await lab.begin([saga], worker=False)
        ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(3)]
        taken = store.claim("w1", [saga.definition.digest], lab.world.now(), 10, ids[:2])
        assert [row.saga_id for row in taken] == ids[2:]
        assert {row.saga_id for row in store.find(Query()) if row.owner is None} == set(ids[:2])

    in_lab(store, story)


def test_a_saga_that_is_stuck_after_its_pivot_is_found_by_what_it_waits_for(each_database: str | Store) -> None:
    """Invariant 25: the last error stands in its row, so that an outage of one service shows as one."""
    saga = Saga("letters", input=str, key=lambda name: name)

    @saga.step(pivot=True, compensation=None)
    async def promise(name: str) -> None: ...

    @saga.step(retry=Retry(attempts=2, delay=0.1))
    async def write(name: str) -> None:
        raise ConnectionError("the letter shop is closed")

    assert (promise.name, write.name) == ("promise", "write")

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga])
        assert (await process.execute(saga, "ada", "ada")).status == "stuck"
        rows = await process.do(process.manager.find(statuses=("stuck",), error="letter shop"))
        return [row.saga_key for row in rows]

    assert in_lab(each_database, story) == ["ada"]
