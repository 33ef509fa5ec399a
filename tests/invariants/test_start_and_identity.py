"""The invariants of start and identity, atomicity and idempotency; on every store where a store matters."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from lab.lab import Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog.codec import CODEC
from sagalog.errors import MissingKey
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga.evolve import fold
from sagalog.store import Query, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.faults import CrashAt, Fault, NoFaults, When, Where
from sagalog.testing.simulation.verdict import judge_saga


def test_any_number_of_starts_in_any_number_of_processes_make_one_saga(each_database: str | Store) -> None:
    """Invariant 1."""
    saga, desk = parcel_saga(), Desk()

    async def story(lab: Lab) -> None:
        processes = [await lab.begin([saga], {Desk: desk}) for _ in range(3)]
        ids = await asyncio.gather(*(processes[number % 3].start(saga, Parcel("same")) for number in range(12)))
        assert len(set(ids)) == 1
        await processes[0].result(ids[0])
        found = await processes[0].do(processes[0].manager.find(key="key"))
        assert [row.saga_id for row in found] == [ids[0]]

    in_lab(each_database, story)
    assert Counter(desk.calls()) == {"pick": 1, "pay": 1, "send": 1}


def test_a_start_after_the_end_makes_no_second_run_and_the_refusal_is_recorded(each_database: str | Store) -> None:
    """Invariant 2."""
    saga, desk = parcel_saga(), Desk()

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        first = await process.start(saga, Parcel())
        await process.result(first)
        assert await process.start(saga, Parcel()) == first
        history = await process.do(process.manager.history(first))
        assert isinstance(history[-1], e.StartRefused)
        assert (await process.do(process.manager.status(first))).status == "completed"

    in_lab(each_database, story)
    assert len(desk.calls()) == 3


def test_a_saga_declared_to_run_again_gets_a_run_of_its_own(each_database: str | Store) -> None:
    """Invariants 2 and 34: and the first run's deadline means nothing to the second."""
    saga, desk = parcel_saga(after_end="rerun", timeout=20.0), Desk()

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        first = await process.start(saga, Parcel())
        await process.result(first)
        await lab.sleep(15)
        desk.does["send"] = lambda ctx: asyncio.sleep(4)
        second = await process.start(saga, Parcel())
        desk.does["pay"] = lambda ctx: asyncio.sleep(4)
        assert (await process.result(second)).status == "completed"
        rows = await process.do(process.manager.find(key="key"))
        assert [(row.saga_id, row.run, row.status) for row in rows] == [
            (second, 2, "completed"),
            (first, 1, "completed"),
        ]

    in_lab(each_database, story)


def test_at_every_crash_point_log_and_tables_agree(each_database: str | Store) -> None:
    """Invariants 5 and 33: events, status row and step rows are one commit, and the next process goes on from them."""
    saga = parcel_saga()
    for point in range(1, 60):
        crash = CrashAt(point)

        async def story(lab: Lab, key: str = f"crash {point}") -> str:
            desk = Desk()
            desk.does["send"] = raising(ConnectionError("no answer"))
            first = await lab.begin([saga], {Desk: desk})
            starting = first.incarnation.spawn(first.manager.start(saga, Parcel(), key=key))
            waiting: set[asyncio.Future[Any]] = {starting, first.incarnation.ended}
            await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            await lab.sleep(10)
            first.kill()
            lab.world.faults = NoFaults()
            reader = await lab.begin([saga], worker=False)
            for row in await reader.do(reader.manager.find(key=key)):
                state = fold(CODEC.decode_all((x.topic, x.state) for x in reader.manager.store.read(row.saga_id)))
                owned = status_row(saga.definition, row.saga_id, state)
                assert (row.status, row.version, row.due_at) == (owned.status, owned.version, owned.due_at)
                steps = {(s.step, s.direction, s.status) for s in await reader.do(reader.manager.steps(row.saga_id))}
                wanted = {(s.step, s.direction, s.status) for s in step_rows(saga.definition, "", None, state)}
                assert steps == wanted
            second = await lab.begin([saga], {Desk: desk})
            saga_id = await second.start(saga, Parcel(), key)
            await second.result(saga_id)
            row = await second.do(second.manager.status(saga_id))
            history = await second.do(second.manager.history(saga_id))
            assert judge_saga(saga.definition, second.manager.store, row, history) == []
            return row.status

        assert in_lab(each_database, story, crash) == "failed"
        if crash.passed < point:
            return
    raise AssertionError("there are more crash points than were tried")


def test_an_idempotency_key_is_the_same_for_every_attempt_in_every_process(each_database: str | Store) -> None:
    """Invariants 6 and 31."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(ConnectionError("no answer"), 1)
    desk.does["send"] = raising(ConnectionError("no answer"))
    desk.does["refund"] = raising(ConnectionError("no answer"), 2)

    async def story(lab: Lab) -> str:
        first = await lab.begin([saga], {Desk: desk})
        saga_id = await first.start(saga, Parcel())
        await lab.until(lambda: desk.calls().count("pay") == 2)
        first.kill()
        second = await lab.begin([saga], {Desk: desk})
        await second.result(saga_id)
        return saga_id

    saga_id = in_lab(each_database, story)
    keys = {(name, key) for name, key, _ in desk.diary}
    assert keys == {
        ("pick", f"{saga_id}:pick"),
        ("pay", f"{saga_id}:pay"),
        ("send", f"{saga_id}:send"),
        ("call_back", f"{saga_id}:send:undo"),
        ("refund", f"{saga_id}:pay:undo"),
        ("unpick", f"{saga_id}:pick:undo"),
    }
    assert desk.calls().count("refund") == 3


class Deaf:
    """Lose the acknowledgement of every other append, up to a number."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.appends = 0

    def at(self, where: Where, when: When) -> Fault | None:
        if where != "append" or when != "after":
            return None
        self.appends += 1
        if self.appends % 2 and self.left:
            self.left -= 1
            return "unavailable"
        return None


def test_a_lost_acknowledgement_writes_nothing_twice_and_runs_nothing_twice(each_database: str | Store) -> None:
    """Invariant 7."""
    saga, desk = parcel_saga(), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        assert (await process.result(saga_id)).status == "completed"
        return [type(event).__name__ for event in await process.do(process.manager.history(saga_id))]

    deaf = Deaf(10)
    events = in_lab(each_database, story, deaf)
    assert events == ["SagaStarted", "StepSucceeded", "StepSucceeded", "StepSucceeded", "SagaCompleted"]
    assert desk.calls() == ["pick", "pay", "send"]
    assert deaf.left == 6


def test_a_start_without_a_key_is_refused() -> None:
    """Invariant 8."""
    saga = parcel_saga(key=None)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: Desk()})
        with pytest.raises(MissingKey, match="repeated start could not be recognised"):
            await process.do(process.manager.start(saga, Parcel()))
        assert process.manager.store.find(Query()) == []

    in_lab(MemoryStore(), story)
