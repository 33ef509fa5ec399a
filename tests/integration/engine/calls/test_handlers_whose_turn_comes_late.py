"""A plain function waits for a free thread: when its turn has come, others may have gone on with what it is for."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lab.inside import engine_of
from sagas.greeting import Greeting, run

from sagalog import Event, Participant, Saga
from sagalog.engine.blocking import Threads
from sagalog.engine.calls.call import Call, LoopWatch, NotBegun, call_handler
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Lease, Query
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.clock import FakeClock

LEASE = 3000.0
SETTINGS = Settings(lease=LEASE, poll=0.01, grace=0)


class Asked(Event):
    name: str


class Counter:
    """Serves one after the other; the first of them keeps it busy until it may go on."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.go_on = threading.Event()

    def serve(self, name: str) -> None:
        self.served.append(name)
        assert self.go_on.wait(30)


class Queue:
    """A process with a single thread for handlers; its clock is the test's, and so is when the lease is renewed."""

    def __init__(self, **declared: Any) -> None:
        self.store, self.clock, self.threads, self.counter = MemoryStore(), FakeClock(), Threads(1, 1), Counter()
        self.manager = ProcessManager(
            self.store, clock=self.clock, blocking=self.threads, settings=SETTINGS, **declared
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[ProcessManager]:
        """Run the process; nobody hangs when a test fails."""
        async with self.manager:
            try:
                yield self.manager
            finally:
                self.counter.go_on.set()

    async def stands_still(self, noticed: bool) -> None:
        """Let the lease run out while a second handler waits for the thread, and then come to all who wait."""
        while not self.counter.served or not self.threads._handlers._work_queue.qsize():
            await asyncio.sleep(0.001)
        self.clock.advance(LEASE + 1)
        if noticed:
            self._somebody_takes_over()
        last = self.threads.handler(lambda: None)
        self.counter.go_on.set()
        await last

    def _somebody_takes_over(self) -> None:
        """Let another worker notice that the lease has run out, and take what there is to be had."""
        now = self.clock.now()
        self.store.register(Lease("other", "elsewhere", 1, now, now + int(LEASE * 1e6)))
        self.store.take_consumers("other", [row.consumer for row in self.store.consumers()], now, False)
        assert all(self.store.claim_one("other", row.saga_id, now) for row in self.store.find(Query()))

    async def renews(self) -> None:
        """Let the process ask for its lease again, as it does from time to time."""
        worker = engine_of(self.manager).worker
        assert worker is not None
        await worker._lease._renew()


def visits(counters: list[Counter]) -> Saga[Greeting]:
    saga = Saga("visit", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None, timeout=None)
    def visit(greeting: Greeting) -> None:
        counters[0].serve(greeting.name)

    assert visit.name == "visit"
    return saga


@pytest.mark.parametrize("noticed", [True, False])
def test_a_step_is_not_begun_after_others_have_taken_its_saga(noticed: bool) -> None:
    """Invariants 31 and 35."""
    counters: list[Counter] = []
    saga = visits(counters)

    async def test() -> None:
        queue = Queue(sagas=[saga])
        counters.append(queue.counter)
        async with queue.running() as manager:
            await manager.start(saga, Greeting("first"))
            second = await manager.start(saga, Greeting("second"))
            await queue.stands_still(noticed)
            assert queue.counter.served == ["first"]
            await queue.renews()
            if not noticed:
                assert (await second.result(10)).status == "completed"
        # A shutdown waits for whatever is still under way.
        assert queue.counter.served == (["first"] if noticed else ["first", "second"])

    run(test())


@pytest.mark.parametrize("noticed", [True, False])
def test_a_message_is_not_handled_after_others_have_taken_its_consumer(noticed: bool) -> None:
    """Invariant 7."""
    participant = Participant("counter")
    counters: list[Counter] = []

    @participant.on
    def answer(asked: Asked) -> None:
        counters[0].serve(asked.name)

    assert answer.__name__ == "answer"

    async def test() -> None:
        queue = Queue(participants=[participant])
        counters.append(queue.counter)
        async with queue.running() as manager:
            await manager.publish(Asked(name="first"))
            await manager.publish(Asked(name="second"))
            await queue.stands_still(noticed)
            assert queue.counter.served == ["first"]
            await queue.renews()
            while not noticed and len(queue.counter.served) < 2:
                # It looks again with the next poll.
                queue.clock.advance(0.001)
                await asyncio.sleep(0.001)
        assert queue.counter.served == (["first"] if noticed else ["first", "second"])

    run(test())


@pytest.mark.parametrize("is_async", [True, False])
def test_what_is_not_ours_any_more_is_not_called(is_async: bool) -> None:
    called: list[str] = []

    def plain() -> None:
        called.append("plain")

    async def waiting() -> None:
        called.append("async")

    async def test() -> None:
        threads = Threads(1, 1)
        handler = waiting if is_async else plain
        tasks = OwnTasks(LoopWatch(1).held_up)
        try:
            with pytest.raises(NotBegun):
                call = Call(handler, is_async, (), {}, 0, None, lambda: False, "it")
                await call_handler(Turns(threads), tasks, call)
        finally:
            threads.close()

    run(test())
    assert called == []
