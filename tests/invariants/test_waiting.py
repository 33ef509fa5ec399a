"""Invariants 2, 5, 6, 13, 18, 33, 34 and 36, where sagas wait: for replies, for events, for time to pass."""

import pytest
from lab.lab import Lab, in_lab
from sagas.post_office import Announced, Arrived, Collected, Parcel, Post, row_of, waits_for

from sagalog import Retry
from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.saga.identifiers import effect_id
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.faults import CrashAt


def history(lab: Lab, saga_id: str) -> list[e.SagaEvent]:
    stored = lab.stores[-1].read(saga_id)
    return CODEC.decode_all((event.topic, event.state) for event in stored)


def test_a_saga_sends_lets_time_pass_waits_and_goes_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        post = Post()
        process = await post.begin(lab)
        saga_id = await process.start(post.saga, Parcel("p-1"), key="p-1")
        row = await waits_for(lab, "sleep travel")
        await waits_for(lab, "event Arrived")
        slept = next(event for event in history(lab, saga_id) if isinstance(event, e.StepWaiting))
        assert row.waiting_until == slept.until == slept.time + 20_000_000
        await process.do(process.manager.publish(Arrived(parcel_id="p-1", weight=7)))
        result = await process.result(saga_id)
        assert (result.status, result.data["weigh"], result.data["arrived"].weight) == ("completed", 7, 7)
        assert post.done == ["pack", "collect", "weigh"]

    in_lab(each_database, story)


def test_a_pause_ends_in_time_although_its_process_died(each_database: str | Store) -> None:
    """Invariant 33."""

    async def story(lab: Lab) -> None:
        post = Post()
        first = await post.begin(lab)
        saga_id = await first.start(post.saga, Parcel("p-1"), key="p-1")
        until = (await waits_for(lab, "sleep travel")).waiting_until
        await lab.sleep(5)
        first.kill()
        await lab.sleep(5)
        await post.begin(lab)
        await waits_for(lab, "event Arrived")
        woke = next(
            event for event in history(lab, saga_id) if isinstance(event, e.StepSucceeded) and event.step == "travel"
        )
        assert until is not None
        assert 0 <= woke.time - until < 5_000_000

    in_lab(each_database, story)


def test_an_event_that_comes_before_the_saga_waits_for_it_is_not_lost(each_database: str | Store) -> None:
    """Invariant 36: it is kept, also over the death of the process."""

    async def story(lab: Lab) -> None:
        post = Post()
        first = await post.begin(lab)
        saga_id = await first.start(post.saga, Parcel("p-1"), key="p-1")
        await waits_for(lab, "sleep travel")
        await first.do(first.manager.publish(Arrived(parcel_id="p-1", weight=3)))
        await lab.until(lambda: any(isinstance(event, e.EventReceived) for event in history(lab, saga_id)))
        first.kill()
        second = await post.begin(lab)
        assert (await second.result(saga_id)).data["weigh"] == 3

    in_lab(each_database, story)


def test_no_event_in_time_undoes_what_was_done(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        post = Post()
        process = await post.begin(lab)
        saga_id = await process.start(post.saga, Parcel("p-1"), key="p-1")
        assert await process.failure(saga_id) == ("failed", "timeout", "arrived")
        assert post.done == ["pack", "collect", "take back"]
        # What comes now is recorded, and moves nothing.
        await process.do(process.manager.publish(Arrived(parcel_id="p-1")))
        await lab.until(lambda: isinstance(history(lab, saga_id)[-1], e.EventReceived))
        assert row_of(lab).status == "failed"

    in_lab(each_database, story)


def test_a_command_is_there_if_and_only_if_its_saga_knows_of_it_whatever_crashes() -> None:
    """Invariants 3, 5, 6 and 33: a crash before and after each append and each effect, while it waits as well."""
    passed: list[int] = []
    counting = CrashAt()

    async def story(lab: Lab) -> None:
        post = Post()
        first = await post.begin(lab)
        said = (Announced(parcel_id="p-1"), "announced"), (Arrived(parcel_id="p-1"), "arrived")
        for event, message_id in said:
            first.incarnation.spawn(first.manager.publish(event, id=message_id))
            await lab.sleep(5)
        await lab.sleep(30)
        first.kill()
        passed.append(counting.passed)
        second = await post.begin(lab)
        for event, message_id in said:
            await second.do(second.manager.publish(event, id=message_id))
        await lab.until(lambda: lab.stores[-1].latest_run("post", "p-1") is not None)
        saga_id = row_of(lab).saga_id
        result = await second.result(saga_id)
        command_id = effect_id(saga_id, "collect", "action", 0)
        sent = [event.command_id for event in history(lab, saga_id) if isinstance(event, e.RequestSent)]
        seen = [one.id for _, one in lab.stores[-1].read_messages(0, 1000) if one.kind == "command"]
        assert sent == seen == [row.command_id for row in lab.stores[-1].commands_of(saga_id)]
        assert sent[0] == command_id
        assert set(post.ids) == {command_id}
        if result.status == "completed":
            assert post.done.count("collect") in (1, 2), "a handler that a crash cut off is called again"
        else:
            assert post.done[-1] == "take back"

    in_lab(MemoryStore(), story, counting)
    assert passed[0] > 20
    for point in range(1, passed[0] + 1):
        in_lab(MemoryStore(), story, CrashAt(point))


def test_silence_is_met_with_the_same_command_again(each_database: str | Store) -> None:
    """Invariants 6 and 13: after the pivot it is sent again until somebody answers."""

    async def story(lab: Lab) -> None:
        post = Post(pivot=True, retry=Retry(attempts=5, delay=1.0))
        process = await post.begin(lab, carrier=False)
        saga_id = await process.start(post.saga, Parcel("p-1"), key="p-1")
        await lab.until(lambda: sum(isinstance(event, e.RequestSent) for event in history(lab, saga_id)) == 3)
        sent = [event for event in history(lab, saga_id) if isinstance(event, e.RequestSent)]
        assert len({event.command_id for event in sent}) == 1
        assert [event.attempt for event in sent] == [1, 2, 3]
        assert len(post.ids) == 1, "the command is made once, and sent again as it was"
        (row,) = lab.stores[-1].commands_of(saga_id)
        assert (row.sendings, row.status) == (3, "sent")
        # Somebody who can answer comes: the command, however often it was sent, is handled once.
        await post.begin(lab)
        await waits_for(lab, "sleep travel")
        assert post.done == ["pack", "collect"]
        (row,) = lab.stores[-1].commands_of(saga_id)
        assert row.status == "succeeded"

    in_lab(each_database, story)


def test_a_stuck_saga_records_what_comes_and_acts_on_it_when_it_is_resumed(each_database: str | Store) -> None:
    """Invariant 36."""

    async def story(lab: Lab) -> None:
        post = Post()
        post.mended = False
        process = await post.begin(lab)
        saga_id = await process.start(post.saga, Parcel("p-1"), key="p-1")
        assert (await process.result(saga_id)).status == "stuck"
        await process.do(process.manager.publish(Arrived(parcel_id="p-1", weight=5)))
        await lab.until(lambda: isinstance(history(lab, saga_id)[-1], e.EventReceived))
        assert row_of(lab).status == "stuck"
        post.mended = True
        await process.do(process.manager.resume(saga_id, actor="ada", reason="mended"))
        assert (await process.result(saga_id)).data["weigh"] == 5

    in_lab(each_database, story)


def test_a_timer_of_one_run_never_ends_the_waiting_of_another(each_database: str | Store) -> None:
    """Invariant 34."""

    async def story(lab: Lab) -> None:
        post = Post(after_end="rerun")
        process = await post.begin(lab)
        await process.do(process.manager.publish(Arrived(parcel_id="p-0")))
        first = await process.start(post.saga, Parcel("p-1"), key="p-1")
        await waits_for(lab, "event Arrived")
        await process.do(process.manager.publish(Arrived(parcel_id="p-1")))
        assert (await process.result(first)).status == "completed"
        # The second run begins to wait long before the first one's time would have been over.
        second = await process.start(post.saga, Parcel("p-1"), key="p-1")
        assert second != first
        row = await waits_for(lab, "event Arrived")
        await lab.sleep(35)
        assert (row_of(lab).saga_id, row_of(lab).waiting_for) == (second, "event Arrived")
        assert row.waiting_until == row_of(lab).waiting_until
        assert await process.failure(second) == ("failed", "timeout", "arrived")

    in_lab(each_database, story)


@pytest.mark.parametrize("seconds", [0.0, 5.0, 30.0, 100.0])
def test_a_start_that_comes_again_is_recorded_whatever_the_saga_does(seconds: float) -> None:
    """Invariant 2."""

    async def story(lab: Lab) -> None:
        post = Post()
        process = await post.begin(lab)
        await process.do(process.manager.publish(Announced(parcel_id="p-1"), id="first"))
        await lab.until(lambda: lab.stores[-1].latest_run("post", "p-1") is not None)
        await lab.sleep(seconds)
        saga_id = row_of(lab).saga_id
        await process.do(process.manager.publish(Announced(parcel_id="p-1"), id="second"))

        def refused() -> list[str | None]:
            return [event.message for event in history(lab, saga_id) if isinstance(event, e.StartRefused)]

        await lab.until(lambda: refused() == ["second"])
        assert (await process.result(saga_id)).status == "failed"
        assert (row_of(lab).saga_id, refused(), post.done.count("pack")) == (saga_id, ["second"], 1)

    in_lab(MemoryStore(), story)


def test_a_reply_that_nobody_waits_for_any_more_is_recorded_once(each_database: str | Store) -> None:
    """Invariants 7 and 20: of a saga that has completed, too."""

    async def story(lab: Lab) -> None:
        post = Post()
        process = await post.begin(lab)
        saga_id = await process.start(post.saga, Parcel("p-1"), key="p-1")
        await waits_for(lab, "event Arrived")
        await process.do(process.manager.publish(Arrived(parcel_id="p-1")))
        assert (await process.result(saga_id)).status == "completed"
        cause = effect_id(saga_id, "collect", "action", 0)
        for _ in range(3):
            again = Collected(parcel_id="p-1")
            await process.do(process.manager.publish(again, id="again", causation_id=cause))
        await lab.until(lambda: isinstance(history(lab, saga_id)[-1], e.EventReceived))
        await lab.sleep(10)
        assert sum(isinstance(event, e.EventReceived) for event in history(lab, saga_id)) == 1
        assert (row_of(lab).status, post.done) == ("completed", ["pack", "collect", "weigh"])

    in_lab(each_database, story)
