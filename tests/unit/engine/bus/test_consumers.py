"""Whose a consumer is, as far as this process knows: nobody's whose lease has run out."""

import asyncio
from typing import cast

from sagalog.engine.blocking import Threads
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.limits import Limits
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.store import Lease
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.clock import FakeClock


class Leased:
    """What `Consumers` asks of a worker."""

    def __init__(self) -> None:
        self.holds = True
        self.worker_id = "w-1"


def test_a_consumer_is_ours_only_while_the_lease_under_which_it_was_taken_holds() -> None:
    async def test() -> None:
        store, clock, worker = MemoryStore(), FakeClock(), Leased()
        for worker_id in ("w-1", "w-2"):
            store.register(Lease(worker_id, "here", 1, clock.now(), clock.now() + 10_000_000))
        threads = Threads(1, 1)
        surroundings = Surroundings(store, threads, clock, Limits())
        consumers = Consumers(surroundings, cast(Worker, worker), ["participant:x"])
        try:
            assert await consumers.take()
            assert list(consumers.owned) == ["participant:x"]
            worker.holds = False
            assert not await consumers.take()
            assert consumers.owned == {}
            worker.holds, worker.worker_id = True, "w-2"
            assert consumers.owned == {}
            # The old lease has not run out: the store still says that it is another's.
            assert not await consumers.take()
            assert consumers.owned == {}
            store.release("w-1")
            consumers.doubt()
            assert await consumers.take()
            assert list(consumers.owned) == ["participant:x"]
        finally:
            threads.close()

    asyncio.run(test())
