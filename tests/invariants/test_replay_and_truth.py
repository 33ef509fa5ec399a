"""The invariants of replay: it is silent and equal, definitions are pinned, the tables say what the log says."""

import asyncio

import pytest
from lab.lab import Lab, in_lab
from msgspec.structs import replace
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog import Refused, Saga
from sagalog.codec import CODEC, encode_json
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga.evolve import fold
from sagalog.saga.redecide import first_divergence
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore


def test_looking_at_a_saga_runs_nothing_and_writes_nothing(each_database: str | Store) -> None:
    """Invariant 38."""
    saga, desk = parcel_saga(), Desk()
    desk.does["send"] = raising(Refused("no"))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await process.result(saga_id)
        store = process.manager.store
        log, row, calls = store.read_log(0, 1000), store.status(saga_id), list(desk.diary)
        for version in range(1, len(log) + 1):
            await process.do(process.manager.state(saga_id, version))
        history = await process.do(process.manager.history(saga_id))
        first_divergence(saga.definition, history)
        await process.result(saga_id)
        assert (store.read_log(0, 1000), store.status(saga_id), desk.diary) == (log, row, calls)

    in_lab(each_database, story)


def test_the_stored_history_replays_to_the_rows_and_decides_the_same_again(each_database: str | Store) -> None:
    """Invariants 39 and 48."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(ConnectionError("x"), 1)
    desk.does["send"] = raising(ConnectionError("x"))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await process.result(saga_id)
        store = process.manager.store
        stored = store.read(saga_id)
        events = CODEC.decode_all((event.topic, event.state) for event in stored)
        assert [CODEC.encode(event) for event in events] == [(event.topic, event.state) for event in stored]
        state = fold(events)
        assert encode_json(state) == encode_json(await process.do(process.manager.state(saga_id)))
        row = store.status(saga_id)
        assert row is not None
        assert status_row(saga.definition, saga_id, state) == replace(row, position=0)
        kept = {(step.step, step.direction): replace(step, position=0) for step in store.steps(saga_id)}
        wanted = {(step.step, step.direction): step for step in step_rows(saga.definition, saga_id, None, state)}
        assert kept == wanted
        assert first_divergence(saga.definition, events) is None

    in_lab(each_database, story)


def test_a_history_that_cannot_be_is_left_alone_and_nothing_is_appended() -> None:
    """Invariant 40 (on SQLite see test_bad_input)."""
    saga, desk = parcel_saga(), Desk()
    store = MemoryStore()

    async def story(lab: Lab) -> None:
        client = await lab.begin([saga], worker=False)
        broken = await client.start(saga, Parcel("broken"), "broken")
        sound = await client.start(saga, Parcel("sound"), "sound")
        log = store._streams[broken]
        log[0] = replace(log[0], topic="sagalog.SagaCompleted.1", state=b'{"time":1}')
        before = list(log)
        worker = await lab.begin([saga], {Desk: desk})
        assert (await worker.result(sound)).status == "completed"
        await lab.sleep(20)
        assert store.read(broken) == before
        assert desk.calls() == ["pick", "pay", "send"]

    in_lab(store, story)


def test_a_saga_keeps_the_definition_it_started_with(each_database: str | Store) -> None:
    """Invariant 41: its compensations included; a process without that version leaves it alone."""
    old, desk = parcel_saga(version=1), Desk()
    new = Saga("parcel", input=Parcel, version=2, key=lambda parcel: parcel.parcel_id)

    @new.step(compensation=None)
    async def teleport(parcel: Parcel) -> None:
        raise AssertionError("an old saga was run by a new definition")

    desk.does["send"] = raising(Refused("no"))

    async def story(lab: Lab) -> str:
        first = await lab.begin([old], {Desk: desk})
        saga_id = await first.start(old, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        first.kill()
        only_new = await lab.begin([new])
        await lab.sleep(30)
        row = only_new.manager.store.status(saga_id)
        assert row is not None
        assert (row.saga_version, row.status) == (1, "pending")
        missing = only_new.manager.store.unloaded(list(only_new.manager.definitions))
        assert [(name, version, number) for name, version, _, number in missing] == [("parcel", 1, 1)]
        both = await lab.begin([old, new], {Desk: desk})
        return (await both.result(saga_id)).status

    assert in_lab(each_database, story) == "failed"
    assert desk.calls()[-2:] == ["refund", "unpick"]


def test_the_status_table_tells_what_every_open_saga_waits_for_and_adds_up(each_database: str | Store) -> None:
    """Invariant 48."""
    saga, desk = parcel_saga(), Desk()

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        await process.execute(saga, Parcel("done"), "done")
        desk.does["send"] = raising(Refused("no"))
        await process.execute(saga, Parcel("undone"), "undone")
        desk.does["refund"] = lambda ctx: asyncio.sleep(4)
        undoing = await process.start(saga, Parcel("undoing"), "undoing")
        await lab.until(lambda: desk.calls().count("refund") == 2)
        desk.does["pick"] = lambda ctx: asyncio.sleep(4)
        working = await process.start(saga, Parcel("working"), "working")
        await lab.until(lambda: desk.calls().count("pick") == 4)
        store = process.manager.store
        counts = {status: number for _, status, number in store.counts()}
        assert counts == {"completed": 1, "failed": 1, "compensating": 1, "started": 1}
        row = store.status(working)
        assert row is not None
        assert (row.current_step, row.waiting_for, row.attempt) == ("pick", "step pick", 1)
        assert row.waiting_until == row.updated_at + 5_000_000
        row = store.status(undoing)
        assert row is not None
        assert (row.current_step, row.waiting_for) == ("pay", "compensation of pay")
        undo = {step.step: step.status for step in store.steps(undoing) if step.direction == "compensation"}
        assert undo == {"pay": "running", "pick": "pending"}

    in_lab(each_database, story)


@pytest.mark.parametrize("problem", [None, Refused("no"), TypeError("x")])
def test_ending_a_saga_keeps_its_whole_history(each_database: str | Store, problem: Exception | None) -> None:
    """Invariant 52."""
    saga, desk = parcel_saga(), Desk()
    if problem is not None:
        desk.does["send"] = raising(problem)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await process.result(saga_id)
        before = process.manager.store.read(saga_id)
        assert before[0].topic == "sagalog.SagaStarted.1"
        await process.stop()
        later = await lab.begin([saga], {Desk: desk})
        await lab.sleep(1000)
        assert later.manager.store.read(saga_id) == before

    in_lab(each_database, story)
