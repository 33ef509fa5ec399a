"""Invariants 15, 33 and 36: no outcome that is known is lost while the process lives, whatever the database refuses."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from databases.trouble import DatabaseTrouble
from databases.troubled import STRANGE, Troubled, goes_on
from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog import Refused, Saga, StepContext
from sagalog.engine.writing.failed_writes import LONGEST_DOUBT, TRIES
from sagalog.errors import StoreError, StoreUnavailable, WriteRefused
from sagalog.store import Append, Store

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]
PAID = "NEW.direction = 'action' AND NEW.step = 'pay' AND NEW.status = 'succeeded'"
REFUNDED = "NEW.direction = 'compensation' AND NEW.step = 'pay' AND NEW.status = 'compensated'"


def says(one: Append, topic: str, step: str = "pay") -> bool:
    return any(name == f"sagalog.{topic}.1" and f'"{step}"'.encode() in state for name, state in one.events)


def is_paid(one: Append) -> bool:
    return goes_on(one) and says(one, "StepSucceeded")


def is_refunded(one: Append) -> bool:
    return goes_on(one) and says(one, "StepCompensated")


def refuse(store: Troubled, which: Callable[[Append], bool], kind: type[Exception] = WriteRefused) -> None:
    def trouble(appends: Sequence[Append]) -> None:
        if any(which(one) for one in appends):
            raise kind("not today")

    store.trouble = trouble


def refuse_nothing(store: Troubled) -> None:
    store.trouble = lambda _: None


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Store:
    """A database without rows that speaks SQL."""
    return migrated_database(request.param, tmp_path, request)


@asynccontextmanager
async def others(lab: Lab, process: Process, saga: Saga[Parcel]) -> AsyncGenerator[None]:
    """Let other sagas run all the while."""

    async def flow() -> None:
        number = 0
        while True:
            number += 1
            await process.start(saga, Parcel(f"even {number}"), f"even {number}")
            await lab.sleep(0.5)

    task = asyncio.get_running_loop().create_task(flow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def most_often(desk: Desk, name: str) -> int:
    """Return how often a step was run for one saga, at most."""
    keys = [key for called, key, _ in desk.diary if called == name]
    return max(keys.count(key) for key in keys)


async def resumed(process: Process, saga_id: str) -> str:
    await process.do(process.manager.resume(saga_id, actor="ada", reason="it is allowed"))
    return (await process.result(saga_id)).status


# When it is believed depends on how long the calls of the simulated store happen to take. None: until just then.
@pytest.mark.parametrize("seconds", [None, 9, 12, 25, 70])
@pytest.mark.parametrize("kind", [WriteRefused, *STRANGE])
def test_a_success_that_is_refused_for_a_while_is_recorded_after_that(
    seconds: float | None, kind: type[Exception]
) -> None:
    """However long it takes; and its step is not run again when a person lets the saga go on."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        async with others(lab, process, saga):
            refuse(store, is_paid, kind)
            saga_id = await process.start(saga, Parcel("odd"), "odd")
            if seconds is None:
                await lab.until(lambda: ("parcel", "stuck", 1) in store.counts())
            else:
                await lab.sleep(seconds)
            refuse_nothing(store)
            result = await process.result(saga_id)
            assert result.error is not None
            assert (result.status, result.error.kind, result.error.step) == ("stuck", "fault", "pay")
            return await resumed(process, saga_id)

    assert in_lab(store, story) == "completed"
    assert most_often(desk, "pay") == 1


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_it_is_recorded_while_the_saga_is_stuck_so_that_it_may_go_on_anywhere(database: str) -> None:
    """Also where nobody knows of it: whoever does may have ended by the time a person looks at the saga."""
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(database)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        async with others(lab, process, saga):
            with trouble.forbidding("saga_steps", f"{PAID} AND NEW.saga_id = '{saga_id}'"):
                gate.set()
                assert (await process.result(saga_id)).status == "stuck"
            store = lab.stores[0]
            await lab.until(lambda: ("pay", "succeeded") in {(one.step, one.status) for one in store.steps(saga_id)})
        assert (await process.result(saga_id)).status == "stuck"
        await process.stop()
        return await resumed(await lab.begin([saga], {Desk: desk}), saga_id)

    assert in_lab(database, story) == "completed"
    assert most_often(desk, "pay") == 1


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_what_was_undone_and_could_not_be_written_is_not_undone_again(database: str) -> None:
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(database)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        odd = await process.start(saga, Parcel("odd"), "odd")

        def send(ctx: StepContext) -> None:
            if ctx.saga_id == odd:
                raise Refused("nobody lives there")

        desk.does["send"] = send
        async with others(lab, process, saga):
            with trouble.forbidding("saga_steps", f"{REFUNDED} AND NEW.saga_id = '{odd}'"):
                gate.set()
                result = await process.result(odd)
                assert result.error is not None
                assert (result.status, result.error.kind, result.error.step) == ("stuck", "fault", "pay")
            return await resumed(process, odd)

    assert in_lab(database, story) == "failed"
    assert (desk.calls().count("refund"), desk.calls().count("unpick")) == (1, 1)


def test_what_is_done_beside_a_step_that_could_not_be_written_is_recorded_too() -> None:
    store, desk, plain = Troubled(), Desk(), parcel_saga()
    saga = Saga("pair", input=Parcel, key=lambda parcel: parcel.parcel_id, timeout=None)
    with saga.parallel():

        @saga.step(compensation=None)
        async def pay(parcel: Parcel, desk: Desk, ctx: StepContext) -> None:
            await desk.act("pay", ctx)

        @saga.step(compensation=None)
        async def wrap(parcel: Parcel, desk: Desk, ctx: StepContext) -> None:
            await desk.act("wrap", ctx)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga, plain], {Desk: desk})
        desk.does["wrap"] = lambda _: asyncio.sleep(4)
        async with others(lab, process, plain):
            refuse(store, is_paid)
            saga_id = await process.start(saga, Parcel("odd"), "odd")
            assert (await process.result(saga_id)).status == "stuck"
            refuse_nothing(store)
            return await resumed(process, saga_id)

    assert (pay.name, wrap.name) == ("pay", "wrap")
    assert in_lab(store, story) == "completed"
    assert (desk.calls().count("wrap"), most_often(desk, "pay")) == (1, 1)


@pytest.mark.parametrize("seconds", [2, 3.5, 10, 30, 55])
@pytest.mark.parametrize("kind", [WriteRefused, *STRANGE])
def test_nobody_is_stuck_because_the_whole_database_refuses_everything(seconds: float, kind: type[Exception]) -> None:
    """Then nothing can be said of one write, whatever the error says; the sagas wait, and go on."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> set[str]:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pay"] = lambda _: gate.wait()
        ids = [await process.start(saga, Parcel(str(number)), str(number)) for number in range(20)]
        await lab.until(lambda: desk.calls().count("pay") == 20)
        refuse(store, lambda _: True, kind)
        gate.set()
        await lab.sleep(seconds)
        refuse_nothing(store)
        return {(await process.result(one)).status for one in ids}

    assert in_lab(store, story) == {"completed"}
    assert most_often(desk, "pay") == 1


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
@pytest.mark.parametrize("table", ["saga_status", "saga_steps"])
def test_nobody_is_stuck_because_a_trigger_forbids_every_row(database: str, table: str) -> None:
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(database)

    async def story(lab: Lab) -> set[str]:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pay"] = lambda _: gate.wait()
        ids = [await process.start(saga, Parcel(str(number)), str(number)) for number in range(20)]
        await lab.until(lambda: desk.calls().count("pay") == 20)
        with trouble.forbidding(table, "NEW.saga_id IS NOT NULL"):
            gate.set()
            await lab.sleep(30)
        return {(await process.result(one)).status for one in ids}

    assert in_lab(database, story) == {"completed"}
    assert most_often(desk, "pay") == 1


def test_a_process_with_a_single_saga_believes_a_refusal_after_a_minute() -> None:
    """It has nothing else to write that could pass; and a saga that waits for ever would tell nobody why."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        refuse(store, is_paid)
        began = lab.now()
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        result = await process.result(saga_id)
        assert result.error is not None
        assert (result.status, result.error.kind, result.error.step) == ("stuck", "fault", "pay")
        assert LONGEST_DOUBT <= lab.now() - began < 2 * LONGEST_DOUBT
        refuse_nothing(store)
        return await resumed(process, saga_id)

    assert in_lab(store, story) == "completed"
    assert desk.calls() == ["pick", "pay", "send"]


def test_a_result_that_is_refused_for_ever_makes_its_saga_stuck_again_and_is_tried_less_and_less_often() -> None:
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        refuse(store, is_paid)
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        assert (await process.result(saga_id)).status == "stuck"
        for _ in range(3):
            assert await resumed(process, saga_id) == "stuck"
        row = await process.do(process.manager.status(saga_id))
        assert "not today" in (row.error_text or "")
        await lab.sleep(600)
        version, asked = row.version, store.asked
        await lab.sleep(6000)
        # Each minute at most, as often each time as a refusal is not believed; and nothing is recorded each time.
        assert store.asked - asked <= TRIES * 6000 / 60
        assert (await process.do(process.manager.status(saga_id))).version == version

    in_lab(store, story)
    assert desk.calls() == ["pick", "pay"]


def test_a_changed_program_makes_a_fresh_attempt_of_what_the_database_never_took() -> None:
    """A new process knows of no outcome: the result that it makes is another one."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        refuse(store, is_paid)
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        assert (await process.result(saga_id)).status == "stuck"
        await process.stop()
        refuse_nothing(store)
        return await resumed(await lab.begin([saga], {Desk: desk}), saga_id)

    assert in_lab(store, story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]


def test_what_is_known_is_told_to_a_saga_before_it_is_made_stuck() -> None:
    """Nothing about it could be written while others were, and its process has lost patience: still it just goes on."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        async with others(lab, process, saga):
            refuse(store, lambda one: goes_on(one) and one.expected > 1)
            saga_id = await process.start(saga, Parcel("odd"), "odd")
            given_up = engine_of(process.manager).worker._given_up
            await lab.until(lambda: given_up.number(saga_id) == 3)
            refuse_nothing(store)
            return (await process.result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert most_often(desk, "pay") == 1


def test_a_start_is_only_said_to_be_refused_once_it_is_given_up() -> None:
    """Until then nobody knows; and what is said of it names what the database answers."""
    store, saga, desk = Troubled(), parcel_saga(), Desk()

    async def story(lab: Lab) -> list[StoreError]:
        found: list[StoreError] = []
        refuse(store, lambda _: True)
        for seconds in (1.0, 10.0):
            settings = SETTINGS.model_copy(update={"write_timeout": seconds})
            process = await lab.begin([saga], {Desk: desk}, settings=settings)
            with pytest.raises(StoreError) as problem:
                await process.start(saga, Parcel("odd"), "odd")
            found.append(problem.value)
        return found

    unknown, refused = in_lab(store, story)
    assert type(unknown) is StoreUnavailable
    assert "nobody knows yet" in str(unknown)
    assert "not today" in str(unknown)
    assert type(refused) is WriteRefused
