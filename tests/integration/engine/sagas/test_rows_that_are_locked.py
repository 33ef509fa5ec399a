"""Somebody has locked rows of ours for long, in a transaction of their own: only the sagas of these rows wait."""

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest
from databases.stores import opened
from lab.lab import SETTINGS, Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog.errors import RowsLocked, StoreUnavailable
from sagalog.store import Append, AppendOutcome, Posting, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.contracts.store.leases import END
from sagalog.testing.contracts.store.message_samples import event, published, put, unmatched, waiting
from sagalog.testing.contracts.store.samples import NOW, ending, lease, start
from sagalog.testing.simulation.world import SimulatedBlocking

Result = TypeVar("Result")
# Far less than a statement may take, far more than a good write takes on a busy machine.
SOON = 5.0


@contextmanager
def locked(url: str, *saga_ids: str) -> Generator[None]:
    """Hold the status rows of sagas, as a person does who looks at them FOR UPDATE and goes for lunch."""
    with psycopg.connect(url) as session:
        session.execute("SELECT 1 FROM saga_status WHERE saga_id = ANY (%s) FOR UPDATE", [list(saga_ids)])
        yield


@pytest.fixture
def store(migrated_postgres_url: str) -> Iterator[Store]:
    with opened(migrated_postgres_url) as store:
        yield store


@pytest.mark.postgres
def test_no_write_waits_long_for_a_row_that_somebody_has_locked(store: Store, migrated_postgres_url: str) -> None:
    """It holds the lock of the log meanwhile, or the only writer of its process."""
    first, second = start(owner="w1"), start(owner="w1")
    store.register(lease("w1"))
    store.append([first, second])
    calls: list[Callable[[], object]] = [
        lambda: store.append([ending(first, holder="w1")]),
        lambda: store.release("w1", [first.saga_id]),
        lambda: store.release("w1"),
        lambda: store.claim_one("w1", first.saga_id, NOW),
    ]
    with locked(migrated_postgres_url, first.saga_id):
        with pytest.raises(RowsLocked) as caught:
            store.append([ending(second, holder="w1"), ending(first, holder="w1"), start()])
        assert caught.value.sagas == {first.saga_id}
        for call in calls:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="lock"):
                call()
            assert time.monotonic() - began < SOON
        assert store.append([ending(second, holder="w1")]) == ["written"]
        assert store.post([Posting([event()])]) == ["written"]
    assert store.append([ending(first, holder="w1")]) == ["written"]


@pytest.mark.postgres
def test_no_look_for_what_is_free_waits_for_a_row_of_a_consumer(store: Store, migrated_postgres_url: str) -> None:
    store.register(lease("w1"))
    store.take_consumers("w1", ["a", "b"], NOW, False)
    begun = start(owner="w1")
    store.append([begun])
    with psycopg.connect(migrated_postgres_url) as session:
        session.execute("SELECT 1 FROM saga_consumers WHERE consumer = 'a' FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="lock"):
            store.take_consumers("w2", ["a"], END, False)
        assert len(store.take_consumers("w2", ["b"], END, False)) == 1
        store.free(END)
        assert [row.saga_id for row in store.claim("w2", [begun.status.definition], END, 10)] == [begun.saga_id]
        assert time.monotonic() - began < SOON


@pytest.mark.postgres
def test_what_a_person_decides_does_not_keep_the_log_locked_for_a_row(store: Store, migrated_postgres_url: str) -> None:
    [place] = published(store, event())
    parked = unmatched(place, "participant:echo")
    put(store, waiting(place, "participant:echo"))
    store.post([Posting([], parked=parked)])
    with psycopg.connect(migrated_postgres_url) as session:
        session.execute("SELECT 1 FROM saga_unmatched FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="lock"):
            store.settle_unmatched(parked.unmatched_id, "redelivering", "me", "why", NOW)
        assert time.monotonic() - began < SOON


@pytest.mark.postgres
def test_a_table_of_messages_that_is_locked_keeps_no_saga_without_messages_waiting(migrated_postgres_url: str) -> None:
    """Somebody rebuilds it, say; every write that fails in vain has a new connection made."""
    saga, desk = parcel_saga(timeout=None), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        client = await lab.begin([saga], worker=False)
        with psycopg.connect(migrated_postgres_url) as session:
            session.execute("LOCK TABLE saga_inbox, saga_unmatched IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(3)]
            found: list[str] = [(await process.result(one)).status for one in ids]
            assert time.monotonic() - began < 4 * SOON
        return found

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 3


@pytest.mark.postgres
def test_a_table_of_leases_that_is_locked_keeps_no_look_for_the_dead_waiting(
    store: Store, migrated_postgres_url: str
) -> None:
    """It is looked at in the thread that writes, and whoever starts a saga waits for that."""
    store.register(lease("w1"))
    with psycopg.connect(migrated_postgres_url) as session:
        session.execute("LOCK TABLE saga_workers IN ACCESS EXCLUSIVE MODE")
        looks: list[Callable[[], object]] = [lambda: store.free(NOW), lambda: store.lost(NOW, 10)]
        for look in looks:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="lock"):
                look()
            assert time.monotonic() - began < SOON
    store.free(NOW)


class Watched(MemoryStore):
    """Count what is written of one saga; some rows are locked."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: Callable[[str], bool] = lambda _: False

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        locked = [one.saga_id for one in appends if self.locked(one.status.saga_key) and one.expected > 0]
        if locked:
            raise RowsLocked("canceling statement due to lock timeout", frozenset(locked))
        return super().append(appends)

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        if any(self.locked(self._status[one].saga_key) for one in saga_ids or ()):
            raise StoreUnavailable("canceling statement due to lock timeout")
        super().release(worker_id, saga_ids)


class SlowWhenLocked(SimulatedBlocking):
    """Let a write that does not pass take a second, as a database does that waits for a lock."""

    spent = 0.0

    async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
        try:
            return await super().write(call, *arguments)
        except StoreUnavailable:
            await asyncio.sleep(1)
            type(self).spent += 1
            raise


@pytest.mark.parametrize("number", [1, 30])
def test_what_is_tried_in_vain_takes_a_tenth_of_the_writers_time(number: int) -> None:
    store, saga, desk = Watched(), parcel_saga(timeout=None, patience=10_000), Desk()
    odd = {f"odd {one}" for one in range(number)}

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk}, blocking=SlowWhenLocked)
        store.locked = lambda key: key in odd
        ids = [await process.start(saga, Parcel(key), key) for key in sorted(odd)]
        for n in range(200):
            assert (await process.execute(saga, Parcel(str(n)), str(n))).status == "completed"
        SlowWhenLocked.spent, began = 0.0, lab.now()
        n = 200
        while lab.now() < began + 600:
            assert (await process.execute(saga, Parcel(str(n)), str(n))).status == "completed"
            n += 1
        assert 0 < SlowWhenLocked.spent < 0.12 * (lab.now() - began)
        store.locked = lambda _: False
        return [(await process.result(one)).status for one in ids]

    assert in_lab(store, story) == ["completed"] * number


def test_half_of_what_is_written_together_is_locked_and_the_other_half_goes_on() -> None:
    """Halving six hundred would take as many seconds: whoever is asked can say which rows are locked."""
    store, saga, desk = Watched(), parcel_saga(timeout=None, patience=10_000), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk}, blocking=SlowWhenLocked)
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        keys = [f"{'odd' if n % 2 else 'even'} {n}" for n in range(600)]
        ids = {key: await process.start(saga, Parcel(key), key) for key in keys}
        await lab.until(lambda: desk.calls().count("pick") == 600)
        store.locked = lambda key: key.startswith("odd")
        gate.set()
        began = lab.now()
        found = [(await process.result(ids[key])).status for key in keys if key.startswith("even")]
        assert lab.now() - began < 30
        store.locked = lambda _: False
        return [*found, *[(await process.result(ids[key])).status for key in keys if key.startswith("odd")]]

    assert in_lab(store, story) == ["completed"] * 600


@pytest.mark.parametrize("which", ["each by itself", "all together"])
def test_closing_while_nothing_can_be_written_ends_in_time(which: str) -> None:
    """However many outcomes wait to be recorded, and however long each try takes."""
    store, saga, desk = Watched(), parcel_saga(timeout=None, patience=10_000), Desk()

    async def story(lab: Lab) -> float:
        process = await lab.begin([saga], {Desk: desk}, blocking=SlowWhenLocked)
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        for n in range(100):
            await process.start(saga, Parcel(str(n)), str(n))
        await lab.until(lambda: desk.calls().count("pick") == 100)
        store.locked = lambda key: which == "all together" or key != "99"
        gate.set()
        await lab.sleep(30)
        began = lab.now()
        await process.stop()
        return lab.now() - began

    # Its grace, what a caller waits for at most, the pause and the try under way, and what is given back.
    assert in_lab(store, story) < SETTINGS.grace + SETTINGS.write_timeout + 5


@pytest.mark.postgres
def test_a_locked_row_holds_up_its_own_saga_only(migrated_postgres_url: str) -> None:
    saga, desk = parcel_saga(timeout=None, patience=10_000), Desk()

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        saga_id = await process.start(saga, Parcel("odd"), "odd")
        others = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(10)]
        await lab.until(lambda: desk.calls().count("pick") == 11)
        with locked(migrated_postgres_url, saga_id):
            gate.set()
            found = [(await process.result(one)).status for one in others]
            assert (await process.do(process.manager.status(saga_id))).status == "started"
        return [*found, (await process.result(saga_id)).status]

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 11
    assert desk.calls().count("pay") == 11


@pytest.mark.postgres
def test_one_locked_row_keeps_no_other_saga_of_a_worker_that_ends(migrated_postgres_url: str) -> None:
    saga, desk = parcel_saga(timeout=None, patience=10_000), Desk()

    async def story(lab: Lab) -> list[str]:
        settings = SETTINGS.model_copy(update={"lease": 300.0})
        process = await lab.begin([saga], {Desk: desk}, settings=settings)
        desk.does["pick"] = lambda _: asyncio.sleep(1000)
        ids = [await process.start(saga, Parcel(str(n)), str(n)) for n in range(10)]
        await lab.until(lambda: desk.calls().count("pick") == 10)
        with locked(migrated_postgres_url, ids[0]):
            await process.stop()
            desk.does.clear()
            other = await lab.begin([saga], {Desk: desk}, settings=settings)
            async with asyncio.timeout(30):
                found = [(await other.result(one)).status for one in ids[1:]]
        return [*found, (await other.result(ids[0])).status]

    assert in_lab(migrated_postgres_url, story) == ["completed"] * 10
