"""What people do to sagas, through a process manager: whoever owns the saga, it is done once, and recorded."""

from collections.abc import Coroutine
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from sagas.withdrawn import Desk, Order, Paid, Shop

from sagalog import Saga
from sagalog.errors import InvalidAction, InvalidIdentifier, InvalidInput, InvalidQuery, SagaBusy, UnknownSaga
from sagalog.saga import events as e
from sagalog.store import Store

ADA: Any = {"actor": "ada", "reason": "she asked for it"}


async def kinds(process: Process, saga_id: str) -> list[str]:
    return [type(event).__name__ for event in await process.do(process.manager.history(saga_id))]


def test_a_saga_that_waits_for_a_week_is_cancelled_at_once(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        began = lab.now()
        acted = await process.do(process.manager.cancel("o-1", **ADA))
        assert [type(event) for event in acted.events] == [e.ActionTaken, e.CompensationStarted]
        assert (await process.result(saga_id)).status == "failed"
        assert lab.now() - began < 2.0
        assert shop.desk.diary == ["reserve", "release"]

    in_lab(each_database, story)


def test_whoever_has_no_worker_asks_the_worker_that_owns_the_saga(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        worker = await shop.begin()
        await shop.waiting(worker)
        asks = await shop.begin(worker=False)
        preview = await asks.do(asks.manager.preview("cancel", "o-1", **ADA))
        acted = await asks.do(asks.manager.cancel("o-1", **ADA))
        assert list(map(type, preview.events)) == list(map(type, acted.events))
        assert (await asks.result(acted.saga_id)).status == "failed"

    in_lab(each_database, story)


def test_what_nobody_owns_is_decided_at_once_and_run_by_whoever_comes(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        worker = await shop.begin()
        saga_id = await shop.waiting(worker)
        await worker.stop()
        asks = await shop.begin(worker=False)
        preview = await asks.do(asks.manager.preview("cancel", "o-1", action_id="a-1", **ADA))
        acted = await asks.do(asks.manager.cancel("o-1", action_id="a-1", **ADA))
        assert [(type(one), one.time) for one in preview.events] != []
        assert shop.desk.diary == ["reserve"]
        again = await asks.do(asks.manager.cancel("o-1", action_id="a-1", **ADA))
        assert again.events == acted.events
        assert await kinds(asks, saga_id) == [
            "SagaStarted",
            "StepSucceeded",
            "StepWaiting",
            "ActionTaken",
            "CompensationStarted",
        ]
        await shop.begin()
        assert (await asks.result(saga_id)).status == "failed"
        assert shop.desk.diary == ["reserve", "release"]

    in_lab(each_database, story)


def test_a_stuck_saga_is_let_go_on_by_each_verb_that_can(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        shop.desk.mistaken.add("tell")
        manager = process.manager
        ids: dict[str, str] = {}
        for key in ("resume", "retry", "skip", "resolve", "abandon"):
            ids[key] = await shop.waiting(process, key)
            await process.do(manager.publish(Paid(order_id=key)))
            assert (await process.result(ids[key])).status == "stuck"
        await process.do(manager.skip("skip", "tell", result="by letter", **ADA))
        await process.do(manager.resolve("resolve", "tell", happened=True, result="by phone", **ADA))
        await process.do(manager.abandon("abandon", **ADA))
        shop.desk.mistaken.clear()
        await process.do(manager.resume("resume", **ADA))
        await process.do(manager.retry("retry", **ADA))
        found = {key: await process.result(saga_id) for key, saga_id in ids.items()}
        assert {key: result.status for key, result in found.items()} == {
            "resume": "completed",
            "retry": "completed",
            "skip": "completed",
            "resolve": "completed",
            "abandon": "abandoned",
        }
        assert (found["skip"].data["tell"], found["resolve"].data["tell"]) == ("by letter", "by phone")
        assert shop.desk.diary.count("tell") == 2

    in_lab(each_database, story)


def test_a_paused_saga_begins_nothing_on_any_worker_and_takes_its_event(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        await process.do(process.manager.pause("o-1", **ADA))
        await process.do(process.manager.publish(Paid(order_id="o-1")))
        await lab.sleep(30)
        row = await process.do(process.manager.status(saga_id))
        assert (row.status, row.waiting_for, row.owner) == ("pending", "unpause: paused by ada", None)
        assert shop.desk.diary == ["reserve"]
        await process.do(process.manager.unpause("o-1", **ADA))
        assert (await process.result(saga_id)).status == "completed"

    in_lab(each_database, story)


def test_a_time_is_moved_and_kept(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        began = lab.now()
        await process.do(process.manager.reschedule("o-1", 20.0, **ADA))
        assert (await process.result(saga_id)).status == "failed"
        assert 20 <= lab.now() - began < 25
        assert shop.desk.diary == ["reserve", "release"]

    in_lab(each_database, story)


def test_an_amended_input_is_what_later_steps_are_given(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        await process.do(process.manager.amend("o-1", input=Order("o-1 with a bow"), **ADA))
        await process.do(process.manager.amend("o-1", "reserve", result="another shelf", **ADA))
        await process.do(process.manager.publish(Paid(order_id="o-1")))
        result = await process.result(saga_id)
        assert result.data["reserve"] == "another shelf"
        state = await process.do(process.manager.state(saga_id))
        assert bytes(state.input) == b'{"order_id":"o-1 with a bow"}'

    in_lab(each_database, story)


def test_a_completed_saga_is_undone_only_without_a_pivot(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        await process.do(process.manager.publish(Paid(order_id="o-1")))
        assert (await process.result(saga_id)).status == "completed"
        with pytest.raises(InvalidAction, match="its pivot ship has succeeded"):
            await process.do(process.manager.undo("o-1", **ADA))
        assert (await kinds(process, saga_id))[-1] == "ActionRefused"

    in_lab(each_database, story)


def test_a_fork_goes_on_from_what_stands(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        old = await shop.waiting(process)
        await process.do(process.manager.publish(Paid(order_id="o-1")))
        assert (await process.result(old)).status == "completed"
        shop.desk.mistaken.add("tell")
        acted = await process.do(process.manager.fork("o-1", "tell", **ADA))
        (taken,) = acted.events
        assert isinstance(taken, e.ActionTaken)
        assert taken.fork is not None
        assert (await process.result(taken.fork)).status == "stuck"
        row = await process.do(process.manager.status("o-1"))
        assert (row.saga_id, row.run, row.causation_id) == (taken.fork, 2, old)
        assert shop.desk.diary == ["reserve", "ship", "tell"]
        with pytest.raises(InvalidAction, match="it has been forked"):
            await process.do(process.manager.fork(old, "ship", **ADA))

    in_lab(each_database, story)


def test_a_run_after_which_the_key_has_begun_anew_is_not_forked(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        saga = Saga("again", input=Order, key=lambda order: order.order_id, after_end="rerun")

        @saga.step(compensation=None)
        async def look(order: Order) -> str:
            return order.order_id

        process = await lab.begin([saga], {})
        first = await process.start(saga, Order("o-1"), "o-1")
        assert (await process.result(first)).status == "completed"
        second = await process.start(saga, Order("o-1"), "o-1")
        with pytest.raises(InvalidAction, match=f"expected the newest run .*, which is {second} .*; fork that one"):
            await process.do(process.manager.fork(first, "look", **ADA))
        assert await kinds(process, first) == ["SagaStarted", "StepSucceeded", "SagaCompleted"]

    in_lab(each_database, story)


def test_an_attempt_under_way_is_not_interrupted(each_database: str | Store) -> None:
    """Invariants 18 and 29: the worker takes the action once the attempt has ended; until then nothing is changed."""

    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        shop.desk.slow["reserve"] = 30.0
        worker = await shop.begin()
        saga_id = await worker.start(shop.saga, Order("o-1"), "o-1")
        asks = await shop.begin(worker=False)
        await lab.sleep(2)
        with pytest.raises(SagaBusy, match=r"step reserve.*nothing is changed"):
            await asks.do(asks.manager.cancel("o-1", timeout=3, **ADA))
        await lab.until(lambda: shop.desk.diary == ["reserve"])
        await lab.sleep(5)
        assert await kinds(asks, saga_id) == ["SagaStarted", "StepSucceeded", "StepWaiting"]

        shop.desk.slow.clear()
        second = await worker.start(shop.saga, Order("o-2"), "o-2")
        shop.desk.slow["reserve"] = 30.0
        third = await worker.start(shop.saga, Order("o-3"), "o-3")
        await lab.sleep(2)
        queued = await asks.do(asks.manager.cancel(third, queue=True, **ADA))
        assert queued.events == []
        assert (await asks.result(third)).status == "failed"
        assert (await asks.do(asks.manager.status(second))).status == "pending"
        found = await asks.do(asks.manager.cancel(third, action_id=queued.action_id, **ADA))
        assert [type(event) for event in found.events] == [e.ActionTaken, e.CompensationStarted]

    in_lab(each_database, story)


def test_what_needs_no_definition_is_done_without_it(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        worker = await shop.begin()
        saga_id = await shop.waiting(worker)
        other = await shop.waiting(worker, "o-2")
        await worker.stop()
        bare = await lab.begin(worker=False)
        with pytest.raises(UnknownSaga, match="only abandon, pause, reschedule can be decided"):
            await bare.do(bare.manager.cancel("o-1", **ADA))
        await bare.do(bare.manager.pause("o-1", **ADA))
        await bare.do(bare.manager.reschedule("o-1", 10.0, **ADA))
        row = await bare.do(bare.manager.status("o-1"))
        assert row.waiting_for == "unpause: paused by ada (event Paid)"
        await bare.do(bare.manager.abandon(other, **ADA))
        abandoned = await bare.do(bare.manager.status(other))
        assert (abandoned.status, abandoned.due_at, abandoned.error_type) == ("abandoned", None, "Abandoned")
        last = (await bare.do(bare.manager.history(other)))[-1]
        assert isinstance(last, e.SagaAbandoned)
        assert last.left == ("payment", "reserve")
        worker = await shop.begin()
        await lab.sleep(30)
        assert (await kinds(worker, saga_id))[-2:] == ["StepFailed", "CompensationStarted"]
        assert shop.desk.diary == ["reserve", "reserve"]
        await worker.do(worker.manager.unpause("o-1", **ADA))
        assert (await worker.result(saga_id)).status == "failed"

    in_lab(each_database, story)


def test_what_makes_no_sense_is_told_and_recorded_nowhere(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        before = await kinds(process, saga_id)
        manager = process.manager
        wrong: list[tuple[Coroutine[Any, Any, Any], type[Exception], str]] = [
            (manager.skip("o-1", "shipp", **ADA), InvalidAction, "found 'shipp'; did you mean ship"),
            (manager.skip("o-1", "payment", result=3, **ADA), InvalidInput, "the result of step payment"),
            (manager.skip("o-1", "payment", **ADA), InvalidInput, "expected Paid, found none"),
            (manager.amend("o-1", **ADA), InvalidAction, "expected a result, or an input, found neither"),
            (manager.amend("o-1", input="o-1", **ADA), InvalidInput, "the input of saga orders"),
            (manager.reschedule("o-1", -1, **ADA), InvalidAction, "expected a time, or seconds"),
            (manager.cancel("o-1", actor="ada", reason=""), InvalidIdentifier, "the reason"),
            (manager.cancel("o-1", actor="a\nb", reason="x"), InvalidIdentifier, "the actor"),
        ]
        for asked, kind, text in wrong:
            with pytest.raises(kind, match=text):
                await process.do(asked)
        assert await kinds(process, saga_id) == before

    in_lab(each_database, story)


def test_what_ends_after_a_saga_was_abandoned_is_still_recorded(each_database: str | Store) -> None:
    """Invariant 20: attempts under way are neither interrupted nor forgotten."""
    saga = Saga("both", input=str, timeout=None)
    desk = Desk()
    with saga.parallel():

        @saga.step(compensation=None)
        async def left(given: str, desk: Desk) -> str:
            return await desk.does("left")

        @saga.step(compensation=None)
        async def right(given: str, desk: Desk) -> str:
            return await desk.does("right")

    assert (left.name, right.name) == ("left", "right")

    async def story(lab: Lab) -> None:
        desk.slow |= {"left": 5.0, "right": 6.0}
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, "given", "o-1")
        await lab.sleep(1)
        await process.do(process.manager.abandon(saga_id, **ADA))
        assert desk.diary == []
        assert (await process.result(saga_id)).status == "abandoned"
        await lab.until(lambda: len(lab.stores[0].read(saga_id)) == 5)
        found = await kinds(process, saga_id)
        assert found[1:] == ["ActionTaken", "SagaAbandoned", "StepSucceeded", "StepSucceeded"]

    in_lab(each_database, story)


def test_a_key_of_several_sagas_is_the_key_of_none_of_them(each_database: str | Store) -> None:
    """Whoever acts means one of them, and which is newer says nothing about that."""
    saga = Saga("other", input=str, key=lambda given: given)
    saga.sleep(3600.0)

    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        others = await lab.begin([saga])
        other_id = await others.start(saga, "o-1", "o-1")
        with pytest.raises(InvalidQuery, match="'o-1' is a key of several sagas: orders, other; give saga="):
            await process.do(process.manager.cancel("o-1", **ADA))
        with pytest.raises(InvalidQuery, match="is a key of several sagas"):
            await process.do(process.manager.preview("cancel", "o-1", **ADA))
        assert (await process.do(process.manager.cancel("o-1", "orders", **ADA))).saga_id == saga_id
        assert (await others.do(others.manager.cancel(other_id, **ADA))).saga_id == other_id

    in_lab(each_database, story)


def test_an_id_stands_for_one_action_and_words_are_spelt_right(each_database: str | Store) -> None:
    """A misspelt `action_id` would let an action be done twice, and one that is used again would hide another."""

    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        manager: Any = process.manager
        await process.do(manager.pause("o-1", action_id="a-1", **ADA))
        before = await kinds(process, saga_id)
        wrong: list[tuple[Coroutine[Any, Any, Any], type[Exception], str]] = [
            (manager.cancel("o-1", action_id="a-1", **ADA), InvalidAction, "was used before, to pause"),
            (manager.cancel("o-1", acton_id="a-2", **ADA), TypeError, "found an unexpected acton_id="),
            (manager.cancel("o-1", actor="ada"), TypeError, "found no reason="),
            (manager.preview("skip", "o-1", stap="ship", **ADA), TypeError, "found an unexpected stap="),
            (manager.resolve("o-1", "reserve", happened=False, result=5, **ADA), InvalidAction, "expected no result"),
            (manager.amend("o-1", "reserve", result=1, input=1, **ADA), InvalidAction, "found an input"),
            (manager.amend("o-1", result=1, **ADA), InvalidAction, "expected the step whose result this is"),
            (manager.reschedule("o-1", 5, step="reserve", deadline=True, **ADA), InvalidAction, "and the deadline"),
            (manager.begin_job("skip", "saga=orders", stap="ship", **ADA), TypeError, "found an unexpected stap="),
        ]
        for asked, kind, text in wrong:
            with pytest.raises(kind, match=text):
                await process.do(asked)
        assert await kinds(process, saga_id) == before

    in_lab(each_database, story)
