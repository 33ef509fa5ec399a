"""A wall clock that jumps, ahead or back, for a moment or for good: what is to be looked at again is, in its time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from lab.at_once import AtOnce
from lab.lab import Lab, Process, in_lab
from sagas.pinging import echo, pinged

from sagalog import Event, MessageContext, Participant, Retry, Saga, StepContext
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.limits import Limits
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transports.relay import Relay
from sagalog.store import Lease, Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.broker import MemoryBroker
from sagalog.testing.clock import FakeClock

HOUR = 3600.0
SOON = 60.0


class Tried(Event):
    number: int


async def glitch(lab: Lab, process: Process) -> None:
    """Let the clock of a process be an hour ahead for a moment."""
    lab.world.set_clock(process.incarnation, HOUR)
    await lab.sleep(8.0)
    lab.world.set_clock(process.incarnation, 0.0)


async def soon(lab: Lab, condition: Callable[[], object]) -> None:
    """Wait until something is so, and see that it took no hour."""
    began = lab.world.loop.time()
    await lab.until(lambda: bool(condition()) or lab.world.loop.time() > began + SOON)
    assert condition(), f"not within {SOON:g} s"


def test_a_clock_that_was_an_hour_ahead_for_a_moment_stops_no_retry(each_database: str | Store) -> None:
    """Invariant 33."""
    attempts: list[int] = []
    moody = Participant("moody", retry=Retry(attempts=3, delay=2, jitter=0))

    @moody.on
    async def hear(event: Tried, ctx: MessageContext) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError("not now")

    assert hear.__name__ == "hear"

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[moody])
        await glitch(lab, process)
        await process.do(process.manager.publish(Tried(number=1)))
        await soon(lab, lambda: attempts == [1, 2, 3])

    in_lab(each_database, story)


def test_a_clock_that_was_ahead_for_a_moment_stops_no_redelivery(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo([])])
        await process.do(process.manager.park("{", source="x", reason="no JSON"))
        await glitch(lab, process)
        # Settled by another process, which can give no hint to this one.
        other = await lab.begin(worker=False)
        (row,) = await other.do(other.manager.unmatched())
        await other.do(other.manager.redeliver(row.unmatched_id, actor="ada", reason="try"))
        await soon(lab, lambda: any("discard it" in one.reason for one in lab.stores[0].unmatched(UnmatchedQuery())))

    in_lab(each_database, story)


# ------------------------------------------------------------------------------------------------------- the lease


LENGTH = 10_000_000


def holds(lease: WorkerLease) -> bool:
    """Ask anew: a type checker takes it for the answer of before."""
    return lease.holds


def leased(story: Callable[[Lab, WorkerLease, FakeClock, AtOnce], Any]) -> None:
    async def told(lab: Lab) -> None:
        store, clock, blocking = MemoryStore(), FakeClock(), AtOnce()
        lease = WorkerLease(Surroundings(store, blocking, clock, Limits(lease=LENGTH)))
        await lease.begin()
        keeping = lab.world.loop.create_task(lease.keep())
        await story(lab, lease, clock, blocking)
        keeping.cancel()

    in_lab(MemoryStore(), told)


def test_a_clock_that_is_set_back_lets_nobody_hold_a_lease_that_others_have_taken() -> None:
    """By the clock alone it would hold for an hour more: others know better after ten seconds."""

    async def story(lab: Lab, lease: WorkerLease, clock: FakeClock, blocking: AtOnce) -> None:
        clock.advance(timedelta(hours=-1))
        blocking.away = True
        await lab.sleep(9)
        assert holds(lease)
        await lab.sleep(2)
        assert not holds(lease)
        assert not lease.held_by(lease.worker_id)
        blocking.away = False
        await lab.sleep(4)
        assert holds(lease)

    leased(story)


def test_a_clock_that_jumped_ahead_ends_the_lease_until_it_is_renewed() -> None:
    """The machine may have slept, and the event loop's time with it."""

    async def story(lab: Lab, lease: WorkerLease, clock: FakeClock, blocking: AtOnce) -> None:
        clock.advance(timedelta(hours=1))
        assert not holds(lease)
        await lab.sleep(4)
        assert holds(lease)
        clock.advance(timedelta(hours=-1))
        assert holds(lease)
        blocking.away = True
        await lab.sleep(11)
        assert not holds(lease)

    leased(story)


# ------------------------------------------------------------------------------------- what is not reached by a lab


class Leased:
    """What `Consumers` asks of a worker."""

    holds = True
    worker_id = "w-1"

    def __init__(self) -> None:
        # To whom consumers are handed over that are given back.
        self.consumer_release = self
        self.left: list[str] = []

    def add(self, consumers: Any) -> None:
        """Take note of consumers that are given back."""
        self.left += consumers


def test_consumers_that_others_have_are_looked_for_although_the_clock_was_ahead() -> None:
    asked: list[int] = []

    class Counting(MemoryStore):
        def take_consumers(self, worker_id: str, names: Any, now: int, from_now: bool) -> list[Any]:
            asked.append(now)
            return []

    async def story(lab: Lab) -> None:
        worker: Any = Leased()
        clock = FakeClock()
        clock.advance(HOUR)
        consumers = Consumers(Surroundings(Counting(), AtOnce(), clock, Limits()), worker, ["participant:x"])
        await consumers.take()
        clock.advance(-HOUR)
        await consumers.take()
        assert len(asked) == 1
        await lab.sleep(2)
        await consumers.take()
        assert len(asked) == 2

    in_lab(MemoryStore(), story)


def test_what_is_to_be_sent_once_more_is_sent_although_the_clock_was_ahead() -> None:
    async def story(lab: Lab) -> None:
        asked: list[float] = []

        class Counting(MemoryStore):
            def redelivering(self, consumers: Any, limit: int, after: str = "") -> list[Any]:
                asked.append(lab.world.loop.time())
                return []

        async def delivered(_: Any) -> None:
            return

        worker: Any = Leased()
        store, clock = Counting(), FakeClock()
        store.register(lease_of(clock))
        transport = MemoryBroker().transport("orders", sends=[Tried])
        surroundings = Surroundings(store, AtOnce(), clock, Limits())
        consumers = Consumers(surroundings, worker, ["transport:memory"])
        sending = Relay(transport, surroundings, consumers, delivered)
        clock.advance(HOUR)
        sending.start()
        await lab.sleep(0.05)
        clock.advance(-HOUR)
        await lab.sleep(5)
        await sending.close()
        assert len(asked) >= 4

    in_lab(MemoryStore(), story)


def lease_of(clock: FakeClock) -> Any:
    return Lease("w-1", "here", 1, clock.now(), clock.now() + 100 * LENGTH)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_messages_go_on_being_handled_while_a_clock_is_wrong_for_good(each_database: str | Store, ahead: float) -> None:
    seen: list[int] = []

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[echo(seen)])
        lab.world.set_clock(process.incarnation, ahead)
        for number in range(3):
            await pinged(process, number)
            await lab.sleep(5)
        await soon(lab, lambda: sorted(seen) == [0, 1, 2])

    in_lab(each_database, story)


@pytest.mark.parametrize("behind", [3600.0, -3600.0])
def test_a_retry_beside_a_running_sibling_comes_in_time_although_the_clock_was_wrong_for_a_moment(
    behind: float,
) -> None:
    """When to look again had been counted by the clock of that moment, and was an hour later."""
    attempts: list[float] = []
    saga = Saga("three", input=str, key=lambda key: key)
    with saga.parallel():

        @saga.step(compensation=None, retry=Retry(attempts=3, delay=5, jitter=0))
        async def fails_once(key: str, ctx: StepContext, lab: Lab) -> None:
            attempts.append(lab.world.loop.time())
            if ctx.attempt == 1:
                raise ConnectionError("not now")

        @saga.step(compensation=None)
        async def takes_long(key: str) -> None:
            await asyncio.sleep(50)

        @saga.step(compensation=None)
        async def ends_meanwhile(key: str) -> None:
            await asyncio.sleep(2)

    assert {fails_once.name, takes_long.name, ends_meanwhile.name} == set(saga.definition.steps)

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Lab: lab})
        await process.start(saga, "1", "1")
        await lab.sleep(1.5)
        lab.world.set_clock(process.incarnation, -behind)
        await lab.sleep(1.5)
        lab.world.set_clock(process.incarnation, 0.0)
        await lab.sleep(20)

    in_lab(MemoryStore(), story)
    assert len(attempts) == 2
    assert attempts[1] - attempts[0] < 10
