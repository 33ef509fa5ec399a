"""Sagas that wait are what a worker has most of: they are given back together, and nothing stands before a lease."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, in_lab

from sagalog import Event, Saga
from sagalog.engine.blocking import Threads
from sagalog.engine.sagas.giving_back import MOST_AT_ONCE
from sagalog.errors import BatchTooLarge, StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Lease
from sagalog.stores.memory.store import MemoryStore
from sagalog.stores.postgres.store import PostgresStore
from sagalog.testing.contracts.store.samples import NOW


class Paid(Event):
    order_id: str


def waiting_saga() -> Saga[str]:
    saga = Saga("waiting", input=str, key=lambda order_id: order_id)
    saga.wait_for(Paid, key=lambda event: event.order_id)
    return saga


class Counted(MemoryStore):
    """Remember how many sagas each write gave back, and fail as often as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.given_back: list[int] = []
        self.failures = 0
        self.most = MOST_AT_ONCE

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        if saga_ids is not None:
            if len(saga_ids) > self.most:
                raise BatchTooLarge("canceling statement due to statement timeout")
            self.given_back.append(len(saga_ids))
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("for a moment")
        super().release(worker_id, saga_ids)


@pytest.mark.parametrize("failures", [0, 3])
def test_sagas_that_wait_are_given_back_together_and_each_once(failures: int) -> None:
    store, saga = Counted(), waiting_saga()
    store.failures = failures

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga])
        await process.do(_all(process.manager, saga, 3000))
        await lab.until(lambda: all(row.owner is None for row in store._status.values()))

    in_lab(store, story)
    written = store.given_back[failures:]
    assert sum(written) == 3000
    assert max(written) <= MOST_AT_ONCE
    # One by one they would be three thousand writes, with all that are not given back yet in each.
    assert len(written) <= 300


def test_more_than_a_database_has_time_for_is_given_back_in_pieces() -> None:
    store, saga = Counted(), waiting_saga()
    store.most = 20

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga])
        await process.do(_all(process.manager, saga, 500))
        await lab.until(lambda: all(row.owner is None for row in store._status.values()))

    in_lab(store, story)
    assert sum(store.given_back) == 500


async def _all(manager: ProcessManager, saga: Saga[str], number: int) -> None:
    await asyncio.gather(*(manager.start(saga, f"o{n}", key=f"o{n}") for n in range(number)))


def test_a_saga_that_waits_beside_thousands_goes_on_when_its_event_comes() -> None:
    store, saga = Counted(), waiting_saga()

    async def story(lab: Lab) -> str:
        process = await lab.begin([saga], settings=SETTINGS.model_copy(update={"most_running": 100}))
        await process.do(_all(process.manager, saga, 2000))
        await lab.sleep(30)
        await process.do(process.manager.publish(Paid(order_id="o1234")))
        (row,) = await process.do(process.manager.find(key="o1234"))
        return (await process.result(row.saga_id)).status

    assert in_lab(store, story) == "completed"


def test_a_renewal_waits_for_no_write() -> None:
    """However long that takes: the thread that writes is busy, and the lease is renewed beside it."""

    async def ask() -> str:
        threads, begun, gate = Threads(1, 1), threading.Event(), threading.Event()

        def write() -> None:
            begun.set()
            gate.wait()

        writing = asyncio.ensure_future(threads.write(write))
        try:
            async with asyncio.timeout(10):
                # A renewal that is asked for before the write has begun proves nothing.
                await asyncio.to_thread(begun.wait)
                return await threads.renew(lambda: "renewed")
        finally:
            gate.set()
            await writing
            threads.close()

    assert asyncio.run(ask()) == "renewed"


@pytest.mark.postgres
def test_a_renewal_waits_for_no_write_of_its_process_on_postgres(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    store.open()
    try:
        store.register(Lease("w1", "host", 1, NOW, NOW + 1000))
        renewed: list[bool] = []
        # The connection that writes is in use all the while.
        with store._transaction():
            thread = threading.Thread(target=lambda: renewed.append(store.renew("w1", NOW + 2000)))
            thread.start()
            thread.join(10)
        assert renewed == [True]
    finally:
        store.close()


def test_thousands_of_waiting_sagas_are_started_by_one_process(tmp_path: Path) -> None:
    """Five times as many as it may own: none fails because of those before it."""
    saga = waiting_saga()

    async def ask() -> int:
        settings = Settings(most_running=1000, longest_wait=0.0)
        async with ProcessManager(f"sqlite:///{tmp_path / 'waiting.db'}", sagas=[saga], settings=settings) as manager:
            for turn in range(5):
                await asyncio.gather(*(manager.start(saga, "o", key=f"{turn} {n}") for n in range(1000)))
            return sum(number for _, _, number in await engine_of(manager).blocking.read(manager.store.counts))

    assert asyncio.run(ask()) == 5000
