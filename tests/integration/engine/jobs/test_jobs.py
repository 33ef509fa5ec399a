"""Bulk jobs: each saga is acted on once, whoever runs the job and whatever becomes of it; harm stops at the canary."""

from collections import Counter
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from msgspec.structs import replace
from sagas.withdrawn import Order, Shop

from sagalog.errors import InvalidAction, InvalidQuery, SagaNotFound
from sagalog.process_manager import Job
from sagalog.saga import events as e
from sagalog.store import Store

ADA: Any = {"actor": "ada", "reason": "the printer is mended"}
STUCK = "status=stuck and error~KeyError"


async def over(lab: Lab, process: Process, job: Job, status: str = "done") -> Job:
    store = lab.stores[0]

    def has_ended() -> bool:
        row = store.job(job.row.job_id)
        return row is not None and row.status == status

    await lab.until(has_ended)
    return await process.do(process.manager.job(job.row.job_id))


async def taken(process: Process, saga_id: str) -> list[str]:
    """Return the ids of the actions that a saga has taken."""
    history = await process.do(process.manager.history(saga_id))
    return [event.action_id for event in history if isinstance(event, e.ActionTaken)]


def test_a_job_lets_many_stuck_sagas_go_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        ids = await shop.stuck(process, 30)
        shop.desk.mistaken.clear()
        asks = await shop.begin(worker=False)
        job = await asks.do(asks.manager.begin_job("retry", STUCK, **ADA))
        assert (job.row.status, job.row.sagas) == ("running", 30)
        job = await over(lab, asks, job)
        assert job.counts == {"well": 30}
        for saga_id in ids:
            assert len(await taken(asks, saga_id)) == 1
        assert lab.stores[0].counts() == [("orders", "completed", 30)]
        assert shop.desk.diary.count("tell") == 30

    in_lab(each_database, story)


def test_what_would_do_harm_stops_at_the_canary(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        await shop.stuck(process, 30)
        job = await process.do(process.manager.begin_job("retry", STUCK, canary=4, stop_after=2, **ADA))
        job = await over(lab, process, job, "stopped")
        assert job.counts == {"failed": 4, "pending": 26}
        assert job.row.why == "4 of 4 sagas were stuck again, and 2 may be"
        with pytest.raises(InvalidAction, match="is stopped; expected one that is paused"):
            await process.do(process.manager.unpause_job(job.row.job_id))

    in_lab(each_database, story)


def test_the_items_of_a_job_are_not_counted_at_each_round(
    each_database: str | Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        await shop.stuck(process, 12)
        shop.desk.mistaken.clear()
        asked: Counter[str] = Counter()
        kind: Any = type(lab.stores[0])

        def count(name: str) -> None:
            was = getattr(kind, name)

            def counting(store: Any, *given: Any) -> Any:
                asked[name] += 1
                return was(store, *given)

            monkeypatch.setattr(kind, name, counting)

        count("job_counts")
        count("takeable_job")
        job = await process.do(process.manager.begin_job("retry", STUCK, canary=0, rate=2, **ADA))
        job = await over(lab, process, job)
        assert job.counts == {"well": 12}
        # The job was asked for at each round; its items were counted when it began and ended, and by this test.
        assert asked["takeable_job"] >= 12
        assert asked["job_counts"] < 6

    in_lab(each_database, story)


def test_a_job_keeps_to_its_rate_and_rests_when_it_is_told_to(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        await shop.stuck(process, 20)
        shop.desk.mistaken.clear()
        began = lab.now()
        job = await process.do(process.manager.begin_job("retry", STUCK, canary=0, rate=2, **ADA))
        await lab.sleep(3)
        job = await process.do(process.manager.pause_job(job.row.job_id))
        await lab.sleep(1)
        done = 20 - (await process.do(process.manager.job(job.row.job_id))).counts.get("pending", 0)
        assert 4 <= done <= 9
        await lab.sleep(60)
        assert 20 - (await process.do(process.manager.job(job.row.job_id))).counts.get("pending", 0) == done
        await process.do(process.manager.unpause_job(job.row.job_id))
        went_on = lab.now()
        await over(lab, process, job)
        assert lab.now() - began > 64
        # The rate of the minute in which it rested is not caught up with.
        assert lab.now() - went_on > (20 - done - 2) / 2

    in_lab(each_database, story)


def test_a_job_that_cannot_be_read_holds_up_no_other(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin(worker=False)
        await shop.stuck(await shop.begin(), 3)
        job = await process.do(process.manager.begin_job("retry", STUCK, **ADA))
        store = lab.stores[0]
        store.change_job(job.row.job_id, "stopped", None, 1, ["running"])
        wrong = replace(job.row, job_id="0" * 8 + job.row.job_id[8:], act='{"act": 5}')
        store.add_job(wrong)
        store.add_items(wrong.job_id, ["s-1"])
        store.change_job(wrong.job_id, "running", None, 1, ["preparing"])
        shop.desk.mistaken.clear()
        job = await process.do(process.manager.begin_job("retry", STUCK, **ADA))
        assert (await over(lab, process, job)).counts == {"well": 3}
        row = store.job(wrong.job_id)
        assert row is not None
        assert row.status == "stopped"
        assert "it cannot be read here" in (row.why or "")

    in_lab(each_database, story)


def test_a_job_goes_on_after_every_crash_and_acts_on_each_saga_once(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        ids = await shop.stuck(process, 40)
        shop.desk.mistaken.clear()
        job = await process.do(process.manager.begin_job("retry", STUCK, canary=5, **ADA))
        for number in range(12):
            await lab.sleep(0.05 + 0.11 * number)
            process.kill()
            process = await shop.begin()
            await lab.sleep(3.2)
        job = await over(lab, process, job)
        assert job.counts == {"well": 40}
        for number, saga_id in enumerate(reversed(ids), 1):
            assert await taken(process, saga_id) == [f"{job.row.job_id}:{number}"]

    in_lab(each_database, story)


def test_sagas_that_do_not_allow_it_are_told_of_and_the_others_go_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        await shop.stuck(process, 4)
        job = await process.do(process.manager.begin_job("skip", "saga=orders", step="tell", result="by post", **ADA))
        job = await over(lab, process, job)
        assert job.counts == {"well": 4}
        job = await process.do(process.manager.begin_job("cancel", "saga=orders", **ADA))
        job = await over(lab, process, job)
        assert job.counts == {"refused": 4}
        items = await process.do(process.manager.job_items(job.row.job_id))
        assert {item.text for item in items} == {"it has ended, and is completed"}

    in_lab(each_database, story)


def test_a_job_that_makes_no_sense_is_not_begun(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        manager = process.manager
        wrong: list[tuple[Any, type[Exception], str]] = [
            (manager.begin_job("retry", "statu=stuck", **ADA), InvalidQuery, "there is no field 'statu'"),
            (manager.begin_job("retry", STUCK, **ADA), SagaNotFound, "no saga meets the filter"),
            (manager.begin_job("fork", STUCK, step="tell", **ADA), InvalidAction, "it is about one saga"),
            (manager.begin_job("retry", STUCK, canary=-1, **ADA), InvalidQuery, "canary"),
            (manager.begin_job("retry", STUCK, rate=0, **ADA), InvalidAction, "rate: expected sagas a second"),
            (manager.begin_job("reschedule", "saga=orders", at=1, **ADA), InvalidAction, "a step, or deadline=True"),
            (manager.begin_job("skip", "saga=orders", **ADA), InvalidAction, "the name of a step, found none"),
            (manager.begin_job("resolve", "saga=orders", step="tell", **ADA), InvalidAction, "say whether it happened"),
            (manager.job("nowhere"), SagaNotFound, "no job has the id 'nowhere'"),
            (manager.stop_job("nowhere"), SagaNotFound, "no job has the id 'nowhere'"),
        ]
        for asked, kind, text in wrong:
            with pytest.raises(kind, match=text):
                await process.do(asked)

    in_lab(each_database, story)


def test_a_job_is_done_although_its_worker_does_not_know_the_sagas(each_database: str | Store) -> None:
    """Services that share a database have workers of their own, and any of them may run the job."""

    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        stranger = await lab.begin()
        knows = await shop.begin()
        await shop.stuck(knows, 5)
        shop.desk.mistaken.clear()
        await knows.stop()
        job = await stranger.do(stranger.manager.begin_job("retry", STUCK, **ADA))
        await lab.sleep(20)
        job = await stranger.do(stranger.manager.job(job.row.job_id))
        assert (job.row.status, job.counts) == ("running", {"pending": 5})
        await shop.begin()
        job = await over(lab, stranger, job)
        assert job.counts == {"well": 5}

    in_lab(each_database, story)


def test_a_job_that_is_stopped_asks_no_more_sagas(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        shop.desk.slow["reserve"] = 60.0
        process = await shop.begin()
        ids = [await process.start(shop.saga, Order(f"o-{n}"), f"o-{n}") for n in range(30)]
        await lab.sleep(2)
        job = await process.do(process.manager.begin_job("cancel", "saga=orders", canary=0, **ADA))
        await lab.sleep(2)
        # The first twenty are asked, and their worker is busy for longer than that.
        assert len(lab.stores[0].inbox(ids[-1], 2**62, 1)) == 1
        await process.do(process.manager.stop_job(job.row.job_id))
        for _ in range(40):
            await lab.sleep(0.25)
            assert lab.stores[0].inbox(ids[0], 2**62, 1) == []
        assert (await process.do(process.manager.job(job.row.job_id))).counts == {"pending": 30}

    in_lab(each_database, story)
