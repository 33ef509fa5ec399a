"""Invariant 1 in an outage: whoever asks for the same again and again costs one append, and is answered rightly."""

import asyncio
from collections.abc import Sequence

import pytest
from databases.troubled import Troubled
from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog import Saga, StepContext
from sagalog.engine.writing.committer import PAUSES
from sagalog.errors import StoreError, StoreUnavailable, WriteRefused
from sagalog.store import Append

TRIES = 30
QUICK = SETTINGS.model_copy(update={"write_timeout": 1.0})


class Away(Troubled):
    """A store that is away whenever a test says, and counts what it is asked to append when it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.problem: StoreError = StoreUnavailable("gone")
        self.given: list[Append] = []
        self.trouble = self._trouble

    def _trouble(self, appends: Sequence[Append]) -> None:
        if self.away:
            raise self.problem
        self.given += appends


def queued(process: Process) -> int:
    """Return how many appends wait to be written."""
    committer = engine_of(process.manager).committer
    pieces = [*committer._failed, *committer._resting]
    return len(committer._queue) + len(committer._urgent) + sum(len(one.queued) for one in pieces)


async def tries(process: Process, saga: Saga[Parcel], parcel: Parcel, key: str) -> list[str]:
    """Start the same again and again, as a client does that is told that nobody knows; return what it was told."""
    told: list[str] = []
    for _ in range(TRIES):
        try:
            await process.start(saga, parcel, key)
            told.append("started")
        except StoreError as problem:
            told.append(f"{type(problem).__name__}: {problem}")
    return told


@pytest.mark.parametrize("worker", [True, False], ids=["a worker", "no worker"])
def test_a_client_that_tries_again_each_second_queues_one_start(worker: bool) -> None:
    store, saga, desk = Away(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> tuple[list[str], int, int, str]:
        process = await lab.begin([saga], {Desk: desk}, settings=QUICK, worker=worker)
        store.away = True
        told = await tries(process, saga, Parcel("odd"), "odd")
        number = queued(process)
        store.away = False
        await lab.sleep(PAUSES.longest)
        run = await process.do(process.manager.start(saga, Parcel("odd"), key="odd"))
        assert not run.created
        if not worker:
            await lab.begin([saga], {Desk: desk})
        status = (await process.result(run.id)).status
        return told, number, len([one for one in store.given if one.expected == 0]), status

    told, number, starts, status = in_lab(store, story)
    assert {one.split(" yet ")[0] for one in told} == {"StoreUnavailable: nobody knows"}
    assert len(told) == TRIES
    assert all("gone" in one and "trying again with the same key is safe" in one for one in told)
    # Written once; and the last was told what is there.
    assert (number, starts, status) == (1, 2, "completed")
    assert desk.calls() == ["pick", "pay", "send"]


def test_those_who_wait_at_the_same_time_find_one_saga_and_one_of_them_began_it() -> None:
    store, saga, desk = Away(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> list[tuple[str, bool]]:
        process = await lab.begin([saga], {Desk: desk})
        store.away = True
        starting = [
            asyncio.ensure_future(process.do(process.manager.start(saga, Parcel("odd", wrapped=wrapped), key="odd")))
            for wrapped in (True, True, False)
        ]
        await lab.sleep(1)
        assert queued(process) == 1
        store.away = False
        runs = await asyncio.gather(*starting)
        # Another input with the same key is not looked at: the key says which saga it is.
        assert (await process.result(runs[2].id)).status == "completed"
        return [(one.id, one.created) for one in runs]

    found = in_lab(store, story)
    assert len({saga_id for saga_id, _ in found}) == 1
    assert [created for _, created in found].count(True) == 1
    (began,) = [number for number, (_, created) in enumerate(found) if created]
    assert [parcel.wrapped for (parcel,) in desk.seen["pick"]] == [began < 2]


def test_whoever_waits_for_a_start_that_is_refused_is_told_so_too() -> None:
    store, saga, desk = Away(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk}, settings=SETTINGS.model_copy(update={"write_timeout": 30.0}))
        store.away, store.problem = True, WriteRefused("not this one")
        starting = [
            asyncio.ensure_future(process.do(process.manager.start(saga, Parcel("odd"), key="odd"))) for _ in range(3)
        ]
        told = [f"{type(one).__name__}: {one}" for one in await asyncio.gather(*starting, return_exceptions=True)]
        store.away = False
        assert (await process.execute(saga, Parcel("odd"), "odd")).status == "completed"
        return told

    assert in_lab(store, story) == ["WriteRefused: not this one"] * 3


def test_whoever_gives_up_waiting_takes_the_start_from_nobody() -> None:
    store, saga, desk = Away(), parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> bool:
        process = await lab.begin([saga], {Desk: desk})
        store.away = True
        first = asyncio.ensure_future(process.do(process.manager.start(saga, Parcel("odd"), key="odd")))
        await lab.sleep(0.5)
        second = asyncio.ensure_future(process.do(process.manager.start(saga, Parcel("odd"), key="odd")))
        await lab.sleep(0.5)
        first.cancel()
        await lab.sleep(0.5)
        store.away = False
        run = await second
        assert (await process.result(run.id)).status == "completed"
        return run.created

    assert not in_lab(store, story)
    assert desk.calls() == ["pick", "pay", "send"]


def test_a_step_that_is_a_saga_queues_one_start_however_long_the_store_is_away() -> None:
    store, child, desk = Away(), parcel_saga(timeout=None), Desk()
    parent = Saga("parent", input=Parcel, key=lambda parcel: parcel.parcel_id, timeout=None)
    parent.child(child, input=lambda parcel: parcel, name="inside")

    async def story(lab: Lab) -> tuple[int, int, str]:
        process = await lab.begin([parent, child], {Desk: desk}, settings=QUICK)
        asked: list[int] = []

        def trouble(appends: Sequence[Append]) -> None:
            starts = [one for one in appends if one.status.saga_name == "parcel" and one.expected == 0]
            asked.append(len(starts))
            if any(asked) and lab.now() < 100:
                raise StoreUnavailable("gone")
            store.given += appends

        store.trouble = trouble
        saga_id = await process.start(parent, Parcel("odd"), "odd")
        await lab.until(lambda: lab.now() > 90)
        number = queued(process)
        status = (await process.result(saga_id)).status
        starts = [one for one in store.given if one.status.saga_name == "parcel" and one.expected == 0]
        # An attempt that asked again just after the first was written is told of it by the store.
        assert 1 <= len(starts) <= 2
        return number, max(asked), status

    assert in_lab(store, story) == (1, 1, "completed")
    assert desk.calls() == ["pick", "pay", "send"]


def test_a_start_after_the_end_and_a_resume_are_queued_once_for_each_saga() -> None:
    store, saga, desk = Away(), parcel_saga(timeout=None), Desk()

    def fault(ctx: StepContext) -> None:
        if ctx.saga_id != done[0]:
            raise TypeError("a mistake")

    done: list[str] = []

    async def story(lab: Lab) -> tuple[int, str]:
        process = await lab.begin([saga], {Desk: desk}, settings=QUICK)
        done.append(await process.start(saga, Parcel("done"), "done"))
        assert (await process.result(done[0])).status == "completed"
        desk.does["pay"] = fault
        stuck = await process.start(saga, Parcel("odd"), "odd")
        assert (await process.result(stuck)).status == "stuck"
        desk.does.clear()
        store.away = True
        told = await tries(process, saga, Parcel("done"), "done")
        assert {one.split(" yet ")[0] for one in told} == {"StoreUnavailable: nobody knows"}
        for _ in range(TRIES):
            with pytest.raises(StoreUnavailable):
                await process.do(process.manager.resume(stuck, actor="ada", reason="mended"))
        number = queued(process)
        store.away = False
        while (await process.result(stuck)).status == "stuck":
            await lab.sleep(0.1)
        return number, (await process.result(stuck)).status

    assert in_lab(store, story) == (2, "completed")
