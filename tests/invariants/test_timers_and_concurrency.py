"""The invariants of timers and concurrency: none is lost, a stream has one writer, no saga holds up another."""

import asyncio
from collections.abc import Sequence
from typing import Any

from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog import Saga, StepContext
from sagalog.codec import CODEC
from sagalog.errors import StoreError
from sagalog.saga import events as e
from sagalog.saga.evolve import fold
from sagalog.store import Append, AppendOutcome, StatusRow, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.virtual_loop import current_incarnation


def test_a_retry_that_is_due_after_a_crash_is_made_by_another_process(each_database: str | Store) -> None:
    """Invariant 33."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(ConnectionError("x"), 1)

    async def story(lab: Lab) -> str:
        first = await lab.begin([saga], {Desk: desk})
        saga_id = await first.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        store = first.manager.store
        while len(store.read(saga_id)) < 3:
            await lab.sleep(0.001)
        first.kill()
        waiting = store.status(saga_id)
        assert waiting is not None
        assert waiting.waiting_for == "retry of pay"
        assert waiting.due_at is not None
        second = await lab.begin([saga], {Desk: desk})
        return (await second.result(saga_id)).status

    assert in_lab(each_database, story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]


def test_a_reply_that_comes_with_the_deadline_is_told_before_or_after_it_and_both_end_well() -> None:
    """Invariant 32: over many moments around the deadline."""
    ends: set[str] = set()
    for tenth in range(60, 90):
        saga, desk = parcel_saga(timeout=7.5), Desk()
        pause = tenth / 20
        desk.does["pay"] = lambda ctx, pause=pause: asyncio.sleep(pause)  # type: ignore[misc]
        desk.does["send"] = lambda ctx, pause=pause: asyncio.sleep(pause)  # type: ignore[misc]

        async def story(lab: Lab, saga: Saga[Any] = saga, desk: Desk = desk) -> None:
            process = await lab.begin([saga], {Desk: desk})
            saga_id = await process.start(saga, Parcel())
            status = (await process.result(saga_id)).status
            history = await process.do(process.manager.history(saga_id))
            beginnings = sum(isinstance(event, e.CompensationStarted) for event in history)
            assert (status, beginnings) in (("completed", 0), ("failed", 1))
            ends.add(status)

        in_lab(MemoryStore(), story)
    assert ends == {"completed", "failed"}


def test_two_processes_never_append_to_one_saga_at_the_same_version(each_database: str | Store) -> None:
    """Invariant 35: streams are gap-free, and each event is decided on the state before it."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(1.5)
    keys = [f"key {number}" for number in range(6)]

    async def story(lab: Lab) -> None:
        first = await lab.begin([saga], {Desk: desk})
        second = await lab.begin([saga], {Desk: desk})
        ids = [await (first, second)[number % 2].start(saga, Parcel(key), key) for number, key in enumerate(keys)]
        await lab.until(lambda: desk.calls().count("pay") >= 3)
        # Longer than its lease: the other takes its sagas over while it still believes to own them.
        first.incarnation.pause(8)
        for saga_id in ids:
            assert (await second.result(saga_id)).status == "completed"
        await lab.sleep(20)
        for saga_id in ids:
            stored = second.manager.store.read(saga_id)
            assert [event.version for event in stored] == list(range(1, len(stored) + 1))
            state = fold(CODEC.decode_all((event.topic, event.state) for event in stored))
            assert state.status == "completed"

    in_lab(each_database, story)


def test_a_saga_whose_handler_hangs_holds_up_no_other() -> None:
    """Invariant 36: bulkhead."""
    saga, desk = parcel_saga(patience=3600.0, timeout=None), Desk()

    def hang(ctx: StepContext) -> Any:
        return asyncio.sleep(3000) if ctx.key == "hangs" else None

    desk.does["pick"] = hang

    async def story(lab: Lab) -> float:
        process = await lab.begin([saga], {Desk: desk})
        await process.start(saga, Parcel("hangs"), "hangs")
        begin = lab.world.loop.time()
        for number in range(20):
            await process.execute(saga, Parcel(str(number)), str(number))
        return lab.world.loop.time() - begin

    assert in_lab(MemoryStore(), story) < 20


class Poisoned(MemoryStore):
    """Fail to write one saga, whatever it is batched with."""

    def append(self, appends: Any) -> list[AppendOutcome]:
        if any(self.poisons(one) for one in appends):
            raise StoreError("this cannot be written")
        return super().append(appends)

    @staticmethod
    def poisons(one: Append) -> bool:
        return one.status.saga_key == "poison" and one.expected > 0


def test_one_saga_that_cannot_be_written_does_not_take_its_batch_with_it() -> None:
    """Invariant 36."""
    saga, desk = parcel_saga(), Desk()
    store = Poisoned()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        keys = ["poison", *map(str, range(10))]
        ids = await asyncio.gather(*(process.start(saga, Parcel(key), key) for key in keys))
        return [(await process.result(saga_id)).status for saga_id in ids[1:]]

    assert in_lab(store, story) == ["completed"] * 10


def test_a_start_whose_caller_has_gone_is_run_all_the_same() -> None:
    """Invariant 33: what is durable is never left to nobody."""
    saga, desk = parcel_saga(), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        caller = process.incarnation.spawn(process.manager.start(saga, Parcel(), key="key"))
        # The shortest time there is: the append is on its way by then, and its acknowledgement is not back.
        await lab.sleep(1e-6)
        assert not caller.done()
        caller.cancel()
        await lab.sleep(2 * SETTINGS.lease)
        return [row.status for row in await process.do(process.manager.find(key="key"))]

    assert in_lab(MemoryStore(), story) == ["completed"]


class ForgetsToAnswer(MemoryStore):
    """Give sagas to a worker and lose the answer, once."""

    unanswered = False

    def claim(self, worker_id: str, definitions: Any, now: int, limit: int, but: Any = ()) -> Any:
        found = super().claim(worker_id, definitions, now, limit, but)
        if found and not self.unanswered:
            self.unanswered = True
            raise StoreError("no answer")
        return found


def test_sagas_that_were_claimed_without_an_answer_are_not_lost() -> None:
    """Invariant 33."""
    saga, desk = parcel_saga(), Desk()
    store = ForgetsToAnswer()

    async def story(lab: Lab) -> str:
        client = await lab.begin([saga], worker=False)
        saga_id = await client.start(saga, Parcel())
        await lab.begin([saga], {Desk: desk})
        return (await client.result(saga_id)).status

    assert in_lab(store, story) == "completed"
    assert store.unanswered


class KeepsWhatIsReturned(MemoryStore):
    """Fail to take sagas back, a few times."""

    left = 3

    def release(self, worker_id: str, saga_ids: Any = None) -> None:
        if self.left:
            self.left -= 1
            raise StoreError("not now")
        super().release(worker_id, saga_ids)


def test_a_saga_that_could_not_be_given_back_is_given_back_later() -> None:
    """Invariant 33: it waits longer than a process keeps it."""
    saga, desk = parcel_saga(), Desk()
    slow = Saga("slow", input=Parcel)
    attempts: list[int] = []
    # A retry would be given back with the decision. This is kept for a while, and then given back by itself.
    slow.sleep(30)

    @slow.step(compensation=None)
    async def knock(parcel: Parcel, ctx: StepContext) -> None:
        attempts.append(ctx.attempt)

    store = KeepsWhatIsReturned()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga, slow], {Desk: desk})
        return (await process.execute(slow, Parcel())).status

    assert in_lab(store, story) == "completed"
    assert attempts == [1]
    assert store.left == 0


def test_a_zombie_makes_no_attempt_for_a_saga_that_it_does_not_own_any_more(each_database: str | Store) -> None:
    """Invariants 19, 31 and 35: it wakes in the pause before a retry, and leases anew under another name."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pay"] = raising(ConnectionError("x"), 1)

    async def story(lab: Lab) -> str:
        zombie = await lab.begin([saga], {Desk: desk})
        saga_id = await zombie.start(saga, Parcel())
        await lab.until(lambda: "pay" in desk.calls())
        while len(zombie.manager.store.read(saga_id)) < 3:
            await lab.sleep(0.001)
        zombie.incarnation.pause(30)
        other = await lab.begin([saga], {Desk: desk})
        status = (await other.result(saga_id)).status
        await lab.sleep(60)
        return status

    assert in_lab(each_database, story) == "completed"
    assert desk.calls() == ["pick", "pay", "pay", "send"]


class StopsWhoClaims(MemoryStore):
    """Stop the first process that claims something, before it has read what it claimed."""

    stopped = False

    def claim(self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Any = ()) -> list[StatusRow]:
        found = super().claim(worker_id, definitions, now, limit, but)
        process = current_incarnation()
        if found and process is not None and not self.stopped:
            self.stopped = True
            process.pause(30)
        return found


def test_a_zombie_does_not_take_what_others_have_written_since_it_claimed_for_a_broken_history() -> None:
    """Invariants 33 and 35: it knows a row from before its lease ran out, and reads the events that came after."""
    saga, desk = parcel_saga(patience=100), Desk()
    desk.does["pay"] = lambda ctx: asyncio.sleep(60)

    async def story(lab: Lab) -> str:
        client = await lab.begin([saga], worker=False)
        saga_id = await client.start(saga, Parcel())
        zombie = await lab.begin([saga], {Desk: desk})
        await lab.until(lambda: zombie.incarnation.paused)
        other = await lab.begin([saga], {Desk: desk})
        await lab.until(lambda: "pay" in desk.calls())
        await lab.until(lambda: not zombie.incarnation.paused)
        await lab.sleep(5)
        worker = engine_of(zombie.manager).worker
        assert worker is not None
        assert worker._given_up.number(saga_id) == 0
        assert worker.runner_of(saga_id) is None
        return (await other.result(saga_id)).status

    assert in_lab(StopsWhoClaims(), story) == "completed"
    assert desk.calls() == ["pick", "pay", "send"]


class Silent(MemoryStore):
    """Hint at nothing."""

    def watch(self, hint: Any) -> Any:
        return lambda: None


def test_a_saga_that_is_claimed_twice_at_once_in_one_process_runs_once() -> None:
    """Invariant 35: an outcome that waits to be told and the ordinary claim both go for the same saga."""
    saga, desk = parcel_saga(), Desk()
    desk.does["pick"] = lambda ctx: asyncio.sleep(1)
    rare = SETTINGS.model_copy(update={"poll": 1000.0, "lease": 5000.0})

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk}, settings=rare)
        client = await lab.begin([saga], worker=False)
        await lab.sleep(1)
        for number in range(20):
            saga_id = await client.start(saga, Parcel(str(number)), str(number))
            worker = engine_of(process.manager).worker
            claiming = process.incarnation.spawn(worker._claiming.claim())
            taking = process.incarnation.spawn(worker.take(saga.definition, saga_id, []))
            await asyncio.wait({claiming, taking})
            await lab.sleep(30)

    in_lab(Silent(), story)
    assert desk.calls().count("pick") == 20
