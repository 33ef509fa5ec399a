"""Invariant 36 at the end of a process: what is known and not recorded is tried once more, within the grace period."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from databases.trouble import DatabaseTrouble
from databases.troubled import Troubled
from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog import Refused, Saga, StepContext
from sagalog.errors import StoreUnavailable, WriteRefused
from sagalog.store import Append, StatusRow, Store

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]
PAID = "NEW.direction = 'action' AND NEW.step = 'pay' AND NEW.status = 'succeeded'"


class Withheld(Troubled):
    """A store that gives no saga to anybody for as long as a test says, and whose sagas a test may take away."""

    def __init__(self) -> None:
        super().__init__()
        self.withheld = False

    def take_away(self, saga_id: str) -> None:
        self.withheld = True
        self.release(self._status[saga_id].owner or "", [saga_id])

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        return [] if self.withheld else super().claim(worker_id, definitions, now, limit, but)

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        return not self.withheld and super().claim_one(worker_id, saga_id, now)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Store:
    """A database without rows that speaks SQL."""
    return migrated_database(request.param, tmp_path, request)


def let_pass(_: Sequence[Append]) -> None:
    """Let it be written."""


async def resumed(process: Process, saga_id: str) -> str:
    await process.do(process.manager.resume(saga_id, actor="ada", reason="it is allowed"))
    return (await process.result(saga_id)).status


async def until_kept(lab: Lab, process: Process) -> None:
    await lab.until(lambda: bool(engine_of(process.manager).worker._late._kept))


@pytest.mark.parametrize("seconds", [400, 415, 430, 445])
@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_a_success_that_was_refused_is_recorded_before_its_process_ends(database: str, seconds: float) -> None:
    """It would have been tried again within a minute, which the process does not have any more."""
    saga, desk, trouble = parcel_saga(timeout=None, patience=10_000), Desk(), DatabaseTrouble(database)

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], {Desk: desk})
        with trouble.forbidding("saga_steps", PAID):
            saga_id = await process.start(saga, Parcel("odd"), "odd")
            assert (await process.result(saga_id)).status == "stuck"
            await lab.sleep(seconds)
        await process.stop()
        return await resumed(await lab.begin([saga], {Desk: desk}), saga_id)

    assert in_lab(database, story) == "completed"
    assert desk.calls().count("pay") == 1


def taken_away(saga: Saga[Parcel], desk: Desk, before_the_end: Callable[[Withheld], None]) -> tuple[str, float]:
    """Take a saga away while its step runs, and end the process; return how it ends, and how long the process took."""
    store = Withheld()

    async def story(lab: Lab) -> tuple[str, float]:
        process, gate = await lab.begin([saga], {Desk: desk}), asyncio.Event()
        desk.does["pay"] = lambda _: gate.wait()
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        await lab.until(lambda: "pay" in desk.calls())
        store.take_away(saga_id)
        gate.set()
        await until_kept(lab, process)
        await lab.sleep(1)
        before_the_end(store)
        began = lab.now()
        await process.stop()
        took = lab.now() - began
        store.withheld, store.trouble = False, let_pass
        other = await lab.begin([saga], {Desk: desk})
        return (await other.result(saga_id)).status, took

    return in_lab(store, story)


def test_an_outcome_whose_saga_was_not_to_be_had_is_recorded_before_its_process_ends() -> None:
    desk = Desk()

    def give(store: Withheld) -> None:
        store.withheld = False

    status, _ = taken_away(parcel_saga(timeout=None, patience=10_000), desk, give)
    assert (status, desk.calls()) == ("completed", ["pick", "pay", "send"])


def test_a_saga_that_is_not_to_be_had_holds_up_no_shutdown() -> None:
    desk = Desk()
    status, took = taken_away(parcel_saga(timeout=None, patience=10_000), desk, lambda _: None)
    assert (status, desk.calls()) == ("completed", ["pick", "pay", "pay", "send"])
    assert took < SETTINGS.grace


@pytest.mark.parametrize("kind", [StoreUnavailable, WriteRefused])
def test_a_store_that_is_away_holds_up_a_shutdown_for_the_grace_period_at_most(kind: type[Exception]) -> None:
    desk = Desk()

    def away(store: Withheld) -> None:
        def trouble(_: Sequence[Append]) -> None:
            raise kind("gone")

        store.withheld, store.trouble = False, trouble

    status, took = taken_away(parcel_saga(timeout=None, patience=10_000), desk, away)
    assert (status, desk.calls()) == ("completed", ["pick", "pay", "pay", "send"])
    assert took < SETTINGS.grace + SETTINGS.write_timeout + 1


def test_what_several_steps_came_to_is_recorded_together() -> None:
    desk, store = Desk(), Withheld()
    saga = Saga("pair", input=Parcel, key=lambda parcel: parcel.parcel_id, timeout=None)
    plain = parcel_saga()
    steps = declare_pair(saga)

    async def story(lab: Lab) -> str:
        process, gate = await lab.begin([saga, plain], {Desk: desk}), asyncio.Event()
        for name in steps:
            desk.does[name] = lambda _: gate.wait()
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        await lab.until(lambda: len(desk.calls()) == 2)
        store.take_away(saga_id)
        gate.set()
        await until_kept(lab, process)
        await lab.sleep(1)
        store.withheld = False
        await process.stop()
        return (await (await lab.begin([saga], {Desk: desk})).result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert sorted(desk.calls()) == ["pay", "wrap"]


def declare_pair(saga: Saga[Parcel]) -> tuple[str, str]:
    with saga.parallel():

        @saga.step(compensation=None)
        async def pay(parcel: Parcel, desk: Desk, ctx: StepContext) -> None:
            await desk.act("pay", ctx)

        @saga.step(compensation=None)
        async def wrap(parcel: Parcel, desk: Desk, ctx: StepContext) -> None:
            await desk.act("wrap", ctx)

    return pay.name, wrap.name


def test_a_failure_that_is_refused_is_asked_for_again_when_a_person_lets_its_saga_go_on() -> None:
    """Unlike a success: the step that a saga was stuck for gets a fresh attempt, whatever it failed of."""
    store, saga, desk = Troubled(), parcel_saga(timeout=None), Desk()

    def refuse(_: object) -> None:
        raise Refused("the card was declined")

    async def story(lab: Lab) -> tuple[str, str]:
        process = await lab.begin([saga], {Desk: desk})

        def trouble(appends: Sequence[Append]) -> None:
            if any(b"the card was declined" in state for one in appends for _, state in one.events):
                raise WriteRefused("not today")

        store.trouble = trouble
        desk.does["pay"] = refuse
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        result = await process.result(saga_id)
        assert result.error is not None
        assert (result.error.kind, result.error.step) == ("fault", "pay")
        store.trouble = lambda _: None
        return result.status, await resumed(process, saga_id)

    assert in_lab(store, story) == ("stuck", "failed")
    assert desk.calls() == ["pick", "pay", "pay", "unpick"]
    assert len({key for name, key, _ in desk.diary if name == "pay"}) == 1
