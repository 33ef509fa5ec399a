"""Invariant 36: sagas that are tried in vain take neither room nor transactions from those that get on."""

from collections.abc import Sequence

from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog import Retry, Saga
from sagalog.engine.writing.committer import LINGER
from sagalog.store import Append, AppendOutcome
from sagalog.stores.memory.store import MemoryStore

# Nothing of what is told here ends while it is told.
PATIENT = SETTINGS.model_copy(update={"longest_wait": 10_000.0})


def in_vain(delay: float) -> Saga[Parcel]:
    """Declare a saga whose only step fails, again and again."""
    saga = Saga("in-vain", input=Parcel, key=lambda parcel: parcel.parcel_id)

    @saga.step(compensation=None, retry=Retry(attempts=1_000_000, delay=delay, max_delay=delay, jitter=0.0))
    async def ask(parcel: Parcel) -> None:
        raise ConnectionError("down")

    return saga


class Batches(MemoryStore):
    """Remember which sagas were written together: their keys, batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        self.batches.append([one.status.saga_key for one in appends])
        return super().append(appends)


def test_sagas_that_wait_for_long_leave_room_for_others() -> None:
    """Invariant 36: a process owns so many sagas at most, and those that wait could be all of them."""
    vain, saga, desk = in_vain(5000.0), parcel_saga(), Desk()
    store = MemoryStore()

    async def story(lab: Lab) -> tuple[str, float]:
        process = await lab.begin([vain, saga], {Desk: desk}, settings=PATIENT.model_copy(update={"most_running": 4}))
        for number in range(12):
            await process.start(vain, Parcel(str(number)), str(number))
        await lab.sleep(60)
        owners = [row.owner for row in await process.do(process.manager.find(saga_name="in-vain"))]
        # Those that were there first stay: whoever has room saves the claim.
        assert 1 <= len([owner for owner in owners if owner is not None]) <= 2
        begin = lab.world.loop.time()
        status = (await process.execute(saga, Parcel("good"), "good")).status
        return status, lab.world.loop.time() - begin

    status, seconds = in_lab(store, story)
    assert status == "completed"
    assert seconds < 10


def lingering(process: Process) -> bool:
    """Tell whether an append waits for others to go along with."""
    return bool(engine_of(process.manager).committer._unhurried)


def test_a_failed_attempt_takes_no_transaction_from_those_that_get_on() -> None:
    """Invariant 36: what nobody waits for is written along with what somebody waits for."""
    vain, saga, desk = in_vain(100.0), parcel_saga(), Desk()
    store = Batches()

    async def story(lab: Lab) -> None:
        process = await lab.begin([vain, saga], {Desk: desk}, settings=PATIENT)
        for number in range(10):
            store.batches.clear()
            await process.start(vain, Parcel(f"vain {number}"), f"vain {number}")
            await lab.until(lambda: lingering(process))
            await process.start(saga, Parcel(f"good {number}"), f"good {number}")
            assert store.batches[:2] == [[f"vain {number}"], [f"good {number}", f"vain {number}"]]
            await lab.sleep(5)

    in_lab(store, story)


def test_a_failed_attempt_of_which_nobody_else_writes_is_recorded_soon() -> None:
    """Invariant 36: what is not urgent waits for others for a moment, not for ever."""
    vain = in_vain(100.0)

    async def story(lab: Lab) -> float:
        process = await lab.begin([vain], settings=PATIENT)
        saga_id = await process.start(vain, Parcel())
        begin = lab.world.loop.time()
        await lab.until(lambda: len(process.manager.store.read(saga_id)) > 1)
        return lab.world.loop.time() - begin

    assert LINGER < in_lab(MemoryStore(), story) < 20 * LINGER


def test_a_failed_attempt_is_recorded_before_its_process_ends() -> None:
    """Invariant 36: what waits to be written is written at shutdown."""
    vain = in_vain(100.0)
    store = MemoryStore()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([vain], settings=PATIENT.model_copy(update={"grace": 0.0}))
        saga_id = await process.start(vain, Parcel())
        await lab.until(lambda: lingering(process))
        await process.stop()
        return [event.topic for event in store.read(saga_id)]

    assert in_lab(store, story)[-1] == "sagalog.StepFailed.1"
