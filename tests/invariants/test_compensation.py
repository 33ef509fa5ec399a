"""The invariants of compensation, by the real engine."""

import asyncio

from lab.lab import Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga, raising
from sagas.trip import ASK, UNDO

from sagalog import Refused, Saga, StepContext
from sagalog.saga import events as e
from sagalog.store import StepRow, Store
from sagalog.stores.memory.store import MemoryStore


def steps_of(rows: list[StepRow]) -> dict[tuple[str, str], str]:
    return {(row.step, row.direction): row.status for row in rows}


def test_a_saga_is_undone_in_reverse_and_each_step_once(each_database: str | Store) -> None:
    """Invariants 15, 17 and 25."""
    saga, desk = parcel_saga(), Desk()
    desk.does["send"] = raising(ConnectionError("the van is gone"))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        assert await process.failure(saga_id) == ("failed", "error", "send")
        history = await process.do(process.manager.history(saga_id))
        assert [x.step for x in history if isinstance(x, e.StepCompensated)] == ["send", "pay", "pick"]
        assert steps_of(await process.do(process.manager.steps(saga_id))) == {
            ("pick", "action"): "succeeded",
            ("pay", "action"): "succeeded",
            ("send", "action"): "failed",
            ("pick", "compensation"): "compensated",
            ("pay", "compensation"): "compensated",
            ("send", "compensation"): "compensated",
        }

    in_lab(each_database, story)
    assert desk.calls()[-3:] == ["call_back", "refund", "unpick"]


def test_where_nothing_was_done_nothing_is_undone() -> None:
    """Invariant 16."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pick"] = raising(Refused("no stock"))

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        return (await process.execute(saga, Parcel())).status

    assert in_lab(MemoryStore(), story) == "failed"
    assert desk.calls() == ["pick"]


def side_by_side(desk: Desk) -> Saga[Parcel]:
    """Declare two steps side by side, each with a compensation, and a third after them."""
    saga = Saga("pair", input=Parcel, timeout=3600.0)

    def declare(name: str) -> None:
        async def act(parcel: Parcel, ctx: StepContext) -> None:
            await desk.act(name, ctx)
            desk.diary.append((f"{name} ended", "", 0))

        async def undo(nothing: None, ctx: StepContext) -> None:
            await desk.act(f"un{name}", ctx)

        saga.step(name=name, retry=ASK, timeout=30)(act).compensate(retry=UNDO, timeout=30)(undo)

    with saga.parallel():
        declare("left")
        declare("right")
    declare("last")
    return saga


def test_what_is_under_way_is_waited_for_before_anything_is_undone(each_database: str | Store) -> None:
    """Invariants 18 and 20: and the sibling that then succeeds is undone as well."""
    desk = Desk()
    saga = side_by_side(desk)
    desk.does["left"] = raising(Refused("no"))
    desk.does["right"] = lambda ctx: asyncio.sleep(9)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga])
        return (await process.execute(saga, Parcel())).status

    assert in_lab(each_database, story) == "failed"
    calls = desk.calls()
    assert sorted(calls[:2]) == ["left", "right"]
    assert calls[2:] == ["right ended", "unright"]


def test_a_sibling_that_waits_for_a_retry_is_not_tried_again() -> None:
    """Invariant 19: once compensating, no forward step starts."""
    desk = Desk()
    saga = side_by_side(desk)
    desk.does["left"] = lambda ctx: refuse_soon()
    desk.does["right"] = raising(ConnectionError("no answer"), 1)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga])
        return (await process.execute(saga, Parcel())).status

    async def refuse_soon() -> None:
        await asyncio.sleep(0.2)
        raise Refused("no")

    assert in_lab(MemoryStore(), story) == "failed"
    assert desk.calls().count("right") == 1
    assert desk.calls()[-1] == "unright"


def test_the_compensation_of_a_step_is_tried_again_with_its_own_budget_and_one_identity() -> None:
    """Invariant 23."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(ConnectionError("x"), 2)
    desk.does["send"] = raising(Refused("no"))
    desk.does["refund"] = raising(ConnectionError("y"), 2)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        return (await process.execute(saga, Parcel())).status

    assert in_lab(MemoryStore(), story) == "failed"
    assert [attempt for name, _, attempt in desk.diary if name == "pay"] == [1, 2, 3]
    assert [attempt for name, _, attempt in desk.diary if name == "refund"] == [1, 2, 3]
    assert len({key for name, key, _ in desk.diary if name == "refund"}) == 1


def test_a_compensation_that_fails_for_good_hides_nothing_and_a_resume_does_only_what_is_left(
    each_database: str | Store,
) -> None:
    """Invariants 24, 25, 26 and 49 (actor and reason)."""
    saga, desk = parcel_saga(), Desk()
    desk.does["send"] = raising(Refused("no van"))
    desk.does["refund"] = raising(ConnectionError("the bank is shut"), 3)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        assert await process.failure(saga_id) == ("stuck", "error", "pay")
        row = await process.do(process.manager.status(saga_id))
        assert row.status == "stuck"
        assert "the bank is shut" in (row.error_text or "")
        state = await process.do(process.manager.state(saga_id))
        assert state.pending == ("pay", "pick")
        assert state.cause is not None
        assert (state.cause.step, state.cause.message) == ("send", "no van")
        assert desk.calls().count("refund") == 3
        before = len(desk.calls())
        await process.do(process.manager.resume(saga_id, actor="ada", reason="the bank is open"))
        await lab.until(lambda: "unpick" in desk.calls())
        await lab.sleep(1)
        assert desk.calls()[before:] == ["refund", "unpick"]
        history = await process.do(process.manager.history(saga_id))
        assert next(x for x in history if isinstance(x, e.SagaResumed)).actor == "ada"
        errors = [(x.step, x.error.message) for x in history if isinstance(x, e.CompensationFailed)]
        assert errors == [("pay", "the bank is shut")] * 3
        failed = history[-1]
        assert isinstance(failed, e.SagaFailed)
        assert (failed.error.step, failed.error.message) == ("send", "no van")

    in_lab(each_database, story)


def test_a_shutdown_waits_for_the_compensation_that_runs() -> None:
    """Invariant 29: the grace time is for actions."""
    saga, desk = parcel_saga(), Desk()
    ended: list[str] = []
    desk.does["pay"] = raising(Refused("no"))

    async def slowly() -> None:
        await asyncio.sleep(4)
        ended.append("unpick")

    desk.does["unpick"] = lambda ctx: slowly()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await lab.until(lambda: "unpick" in desk.calls())
        await process.stop()
        assert ended == ["unpick"]
        later = await lab.begin([saga], {Desk: desk})
        return (await later.result(saga_id)).status

    assert in_lab(MemoryStore(), story) == "failed"
    assert desk.calls() == ["pick", "pay", "unpick"]


def test_a_shutdown_cuts_an_action_off_after_the_grace_time_and_another_process_makes_it_again() -> None:
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(4)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        await process.stop()
        del desk.does["pay"]
        later = await lab.begin([saga], {Desk: desk})
        return (await later.result(saga_id)).status

    assert in_lab(MemoryStore(), story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]


def test_a_deadline_rolls_back_and_waits_for_every_compensation(each_database: str | Store) -> None:
    """Invariants 29 and 30: a deadline never ends a saga with something left."""
    saga, desk = parcel_saga(timeout=8.0), Desk()
    desk.does["send"] = lambda ctx: asyncio.sleep(60)
    desk.does["refund"] = raising(ConnectionError("x"), 2)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        # The attempt that was under way ended with the saga's time, and there is no other.
        assert await process.failure(saga_id) == ("failed", "timeout", "send")

    in_lab(each_database, story)
    assert desk.calls() == ["pick", "pay", "send", "send", "call_back", "refund", "refund", "refund", "unpick"]


def test_a_deadline_that_passes_while_nobody_runs_is_kept(each_database: str | Store) -> None:
    """Invariants 30 and 33."""
    saga, desk = parcel_saga(timeout=20.0), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(4)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        process.kill()
        await lab.sleep(100)
        later = await lab.begin([saga], {Desk: desk})
        assert await later.failure(saga_id) == ("failed", "deadline", None)

    in_lab(each_database, story)
    assert desk.calls() == ["pick", "pay", "refund", "unpick"]


def test_a_zombie_that_wakes_up_begins_nothing_and_its_late_success_is_undone(each_database: str | Store) -> None:
    """Invariants 19, 20 and 35: it lost its lease while it slept."""
    saga, desk = parcel_saga(patience=60), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(1)

    async def story(lab: Lab) -> list[e.SagaEvent]:
        zombie = await lab.begin([saga], {Desk: desk})
        saga_id = await zombie.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        zombie.incarnation.pause(30)
        other = await lab.begin([saga], {Desk: desk})
        desk.does["pay"] = raising(ConnectionError("no answer"))
        assert (await other.result(saga_id)).status == "failed"
        await lab.sleep(40)
        return await other.do(other.manager.history(saga_id))

    history = in_lab(each_database, story)
    late = [event for event in history if isinstance(event, e.StepSucceeded) and event.late]
    assert [event.step for event in late] == ["pay"]
    assert desk.calls()[-1] == "refund"
    assert desk.diary[-1][1].endswith(":pay:undo:2")
    assert desk.seen["refund"][-1][0] is not None
    assert isinstance(history[-1], e.SagaFailed)
    assert "send" not in desk.calls()
