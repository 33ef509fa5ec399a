"""Invariant 28: a saga that is a step of another one is started once and undone with it, by the real engine."""

from collections.abc import Mapping
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from sagas.families import FAMILY, Company, Order, Parcel, gift_saga, label_saga, order_saga, parcel_saga

from sagalog import ChildResult, Refused, Saga
from sagalog.saga import events as e
from sagalog.store import StatusRow, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.world import Killed


async def begin(lab: Lab) -> tuple[Process, Company]:
    company = Company(lab.world)
    return await lab.begin(FAMILY, {Company: company}), company


async def sagas(process: Process) -> Mapping[str, StatusRow]:
    """Return the row of every saga by its name; there is one of each."""
    rows = await process.do(process.manager.find())
    assert len({row.saga_name for row in rows}) == len(rows)
    return {row.saga_name: row for row in rows}


def statuses(rows: Mapping[str, StatusRow]) -> dict[str, str]:
    return {name: row.status for name, row in rows.items()}


def test_a_child_is_a_saga_of_its_own_that_knows_its_parent_and_gives_it_a_result(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        result = await process.execute(order_saga, Order(order_id="1", wants_gift=True))
        assert result.status == "completed"
        rows = await sagas(process)
        assert statuses(rows) == dict.fromkeys(("order", "parcel", "label", "gift"), "completed")
        parent, child = rows["order"], rows["parcel"]
        assert child.saga_key == f"{parent.saga_id}:ship"
        assert (child.causation_id, child.correlation_id) == (parent.saga_id, parent.correlation_id)
        assert rows["label"].correlation_id == parent.correlation_id
        ship = result.data["ship"]
        assert isinstance(ship, ChildResult)
        assert (ship.saga_id, ship.status) == (child.saga_id, "completed")
        assert set(ship.data) == {"pack", "label", "hand_over"}
        assert result.data["close"] == 3
        state = await process.do(process.manager.state(child.saga_id))
        assert state.parent is not None
        assert (state.parent.saga_id, state.parent.step) == (parent.saga_id, "ship")
        assert set(company.participant.made.values()) == {1}

    in_lab(each_database, story)


def test_undoing_a_completed_child_undoes_all_it_did_and_the_children_that_it_has(each_database: str | Store) -> None:
    """Invariants 15, 17 and 28."""

    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        saga_id = await process.start(order_saga, Order(order_id="1", scripts={"close": "refused"}))
        assert await process.failure(saga_id) == ("failed", "refused", "close")
        rows = await sagas(process)
        assert statuses(rows) == dict.fromkeys(("order", "parcel", "label"), "failed")
        assert company.participant.standing() == set()
        assert set(company.participant.undone.values()) == {1}
        history = await process.do(process.manager.history(rows["parcel"].saga_id))
        assert [type(x) for x in history if isinstance(x, e.SagaCompleted | e.UndoAsked | e.SagaFailed)] == [
            e.SagaCompleted,
            e.UndoAsked,
            e.SagaFailed,
        ]
        assert [x.step for x in history if isinstance(x, e.StepCompensated)] == ["hand_over", "label", "pack"]
        steps = {(s.step, s.direction): s.status for s in await process.do(process.manager.steps(saga_id))}
        assert steps["ship", "compensation"] == "compensated"

    in_lab(each_database, story)


def test_a_child_that_fails_is_the_cause_and_its_parent_is_rolled_back(each_database: str | Store) -> None:
    """Invariants 25 and 28."""

    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        saga_id = await process.start(order_saga, Order(order_id="1", scripts={"print_label": "refused"}))
        result = await process.result(saga_id)
        assert result.error is not None
        assert (result.status, result.error.step, result.error.type) == ("failed", "ship", "Refused")
        assert "print_label: not today" in result.error.message
        assert company.participant.standing() == set()

    in_lab(each_database, story)


@pytest.mark.parametrize("script", ["refused", "mute 99"])
def test_a_parent_that_fails_while_its_children_run_leaves_none_of_them(script: str) -> None:
    """Invariants 18 and 28."""

    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        order = Order(order_id="1", wants_gift=True, scripts={"inform": script, "wrap": "mute 2"})
        saga_id = await process.start(order_saga, order)
        assert (await process.failure(saga_id))[0] == "failed"
        await lab.sleep(20)
        rows = await sagas(process)
        assert set(statuses(rows).values()) == {"failed"}
        assert company.participant.standing() == set()

    in_lab(MemoryStore(), story)


def test_a_stuck_child_holds_its_parent_which_shows_it_until_a_person_has_acted(each_database: str | Store) -> None:
    """Invariants 24, 28 and 48."""

    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        scripts = {"close": "refused", "pack undo": "refused"}
        saga_id = await process.start(order_saga, Order(order_id="1", scripts=scripts))
        await lab.sleep(10)
        rows = await sagas(process)
        assert statuses(rows) == {"order": "compensating", "parcel": "stuck", "label": "failed"}
        assert rows["order"].waiting_for == f"undoing of child parcel {rows['parcel'].saga_id}: stuck"
        company.mended = True
        await process.do(process.manager.resume(rows["parcel"].saga_id, actor="ada", reason="mended"))
        assert (await process.failure(saga_id))[0] == "failed"
        assert company.participant.standing() == set()

    in_lab(each_database, story)


def test_a_process_that_dies_after_starting_a_child_does_not_start_another(each_database: str | Store) -> None:
    """Invariants 1, 5 and 28."""

    async def story(lab: Lab) -> None:
        process, company = await begin(lab)
        await process.start(order_saga, Order(order_id="1"))
        await lab.until(lambda: any(key.endswith(":pack") for key in company.participant.made))
        process.kill()
        later = await lab.begin(FAMILY, {Company: company})
        result = await later.do(later.manager.execute(order_saga, Order(order_id="1"), key="key", timeout=100))
        assert result.status == "completed"
        assert statuses(await sagas(later)) == dict.fromkeys(("order", "parcel", "label"), "completed")
        assert set(company.participant.made.values()) == {1}

    in_lab(each_database, story)


def test_processes_that_know_only_the_child_or_only_the_parents_work_together(each_database: str | Store) -> None:
    """Invariant 28: notes reach sagas in whichever process they run."""

    async def story(lab: Lab) -> None:
        company = Company(lab.world)
        services: dict[type, Any] = {Company: company}
        only_labels = await lab.begin([label_saga], services)
        starts_only = await lab.begin(FAMILY, services, worker=False)
        saga_id = await starts_only.start(order_saga, Order(order_id="1", scripts={"close": "refused"}))
        await lab.sleep(5)
        both = await lab.begin([order_saga, parcel_saga, label_saga, gift_saga], services)
        assert (await both.failure(saga_id))[0] == "failed"
        assert set(statuses(await sagas(only_labels)).values()) == {"failed"}
        assert company.participant.standing() == set()

    in_lab(each_database, story)


def test_a_child_that_was_never_started_is_called_off_so_that_nobody_can_start_it_later(
    each_database: str | Store,
) -> None:
    """Invariants 16, 21, 22 and 28: the process died before, and the parent's time is over when another one looks."""
    began: list[str] = []
    killed: list[Process] = []
    child: Saga[Parcel] = Saga("late", input=Parcel)

    @child.step(compensation=None)
    async def begin_late(parcel: Parcel) -> None:
        began.append("late")

    parent: Saga[Parcel] = Saga("early", input=Parcel, timeout=20.0)

    def dying(parcel: Parcel) -> Parcel:
        killed[0].kill()
        raise Killed

    parent.child(child, input=dying)

    async def story(lab: Lab) -> None:
        client = await lab.begin([parent, child], worker=False)
        saga_id = await client.start(parent, Parcel(number=1))
        killed.append(await lab.begin([parent, child]))
        await lab.sleep(100)
        later = await lab.begin([parent, child])
        assert await later.failure(saga_id) == ("failed", "deadline", None)
        late = (await sagas(later))["late"]
        assert late.saga_key == f"{saga_id}:late"
        history = await later.do(later.manager.history(late.saga_id))
        # It is asked besides, like any other; whether it has recorded that by now, nobody knows.
        assert [type(event) for event in history][:2] == [e.SagaStarted, e.SagaFailed]
        assert isinstance(history[0], e.SagaStarted)
        assert history[0].called_off

    in_lab(each_database, story)
    assert began == []


def test_after_the_pivot_a_resume_starts_another_child_under_another_key(each_database: str | Store) -> None:
    """Invariants 6, 13 and 31: the first one has ended, and its answer never changes."""
    refusing = [True]
    child: Saga[Parcel] = Saga("sending", input=Parcel)

    @child.step(compensation=None)
    async def send(parcel: Parcel) -> None:
        if refusing:
            raise Refused("the van is gone")

    parent: Saga[Parcel] = Saga("selling", input=Parcel)

    @parent.step(pivot=True)
    async def sell(parcel: Parcel) -> None: ...

    parent.child(child, input=lambda parcel: parcel, name="send")

    async def story(lab: Lab) -> None:
        process = await lab.begin([parent, child])
        saga_id = await process.start(parent, Parcel(number=1))
        assert await process.failure(saga_id) == ("stuck", "refused", "send")
        refusing.clear()
        await process.do(process.manager.resume(saga_id, actor="ada", reason="another van"))
        await lab.sleep(5)
        assert (await process.result(saga_id)).status == "completed"
        rows = await process.do(process.manager.find(saga_name="sending"))
        found = {row.saga_key: row.status for row in rows}
        assert found == {f"{saga_id}:send": "failed", f"{saga_id}:send:2": "completed"}

    in_lab(each_database, story)
