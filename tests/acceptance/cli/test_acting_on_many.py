"""Acting on many sagas from the command line: what is asked, looked at and told, beside the job itself."""

import asyncio
from pathlib import Path

import pytest
from sagas.desk import WHY, Desk
from sagas.parcel_orders import APP, SETTINGS, ordered, parcel_order

from sagalog.cli.bulk import looked_on
from sagalog.process_manager import Job, ProcessManager

ADA = {"actor": "ada", "reason": "the bank is back"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two orders, of which one waits for its next attempt and one is done."""
    address = f"sqlite:///{tmp_path / 'sagas.db'}"
    ordered(address, "o-1", "no bank")
    ordered(address, "o-2", "well")
    return Desk(address, tmp_path, APP)


def jobs_of(desk: Desk) -> list[Job]:
    async def look() -> list[Job]:
        async with ProcessManager(desk.address, worker=False) as manager:
            return await manager.jobs()

    return asyncio.run(look())


def run_the_job(desk: Desk) -> None:
    """Let a worker run the only job until that is over."""

    async def work() -> None:
        async with ProcessManager(desk.address, sagas=[parcel_order()], settings=SETTINGS) as manager:
            (job,) = await manager.jobs()
            assert (await looked_on(manager, job)).row.status == "done"

    asyncio.run(work())


def test_a_dry_run_of_many_begins_nothing_and_says_so(desk: Desk) -> None:
    ran = desk.sagalog("cancel", "--where", "key~o", *WHY, "--dry-run")
    assert ran.code == 0
    assert "cancel: 2 sagas meet the filter" in ran.out
    assert ran.err.startswith("nothing was written; `sagalog cancel ID --dry-run` shows whether")
    assert jobs_of(desk) == []


@pytest.mark.parametrize(("where", "code"), [("key=o-2", 4), ("key~o", 0)])
def test_a_job_in_which_no_saga_went_well_has_the_exit_code_of_a_refusal(desk: Desk, where: str, code: int) -> None:
    ran = desk.sagalog("pause", "--where", where, *WHY, "--yes", "--detach")
    assert ran.code == 0
    run_the_job(desk)
    (job,) = jobs_of(desk)
    assert job.counts == ({"refused": 1} if code else {"refused": 1, "well": 1})
    assert desk.sagalog("jobs", "watch", job.row.job_id).code == code


def test_many_are_rescheduled_by_a_step_or_the_deadline_and_not_by_whatever_comes(desk: Desk) -> None:
    ran = desk.sagalog("reschedule", "--where", "key=o-1", "--in", "1h", *WHY, "--yes")
    assert (ran.code, jobs_of(desk)) == (4, [])
    assert "expected a step, or deadline=True, for many sagas" in ran.err


def test_a_job_that_is_being_prepared_is_watched_until_it_is_over(desk: Desk) -> None:
    async def story() -> str:
        async with ProcessManager(desk.address, worker=False) as manager:
            job = await manager.begin_job("pause", "key=o-1", actor="ada", reason="wait")
            change = manager.store.change_job
            assert change(job.row.job_id, "preparing", None, 1, ["running"])
            watching = asyncio.ensure_future(looked_on(manager, await manager.job(job.row.job_id)))
            await asyncio.sleep(0)
            assert not watching.done()
            assert change(job.row.job_id, "stopped", "enough", 2, ["preparing"])
            return (await watching).row.status

    assert asyncio.run(story()) == "stopped"


def test_whoever_looks_away_is_told_that_the_job_goes_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> str:
        async with ProcessManager(desk.address, worker=False) as manager:
            job = await manager.begin_job("pause", "key=o-1", actor="ada", reason="wait")
            watching = asyncio.ensure_future(looked_on(manager, job))
            await asyncio.sleep(0)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
            return job.row.job_id

    job_id = asyncio.run(story())
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"the job goes on: `sagalog jobs watch {job_id}` looks on, `sagalog jobs stop {job_id}` ends it"
