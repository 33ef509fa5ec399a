"""Leases of workers that died while their clocks were ahead: told by how long they stand still."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lab.at_once import AtOnce
from lab.lab import Lab, Process, in_lab

from sagalog import Saga
from sagalog.engine.limits import Limits
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.lease_watch import LeaseWatch
from sagalog.engine.surroundings import Surroundings
from sagalog.store import HeldLease, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.clock import FakeClock

HOUR = 3600.0


async def begun_and_killed_ahead(lab: Lab, saga: Saga[str]) -> tuple[Process, str]:
    """Let a worker renew its lease while its clock is an hour ahead, and die; return who looks on, and its saga."""
    looking = await lab.begin([saga])
    ahead = await lab.begin([saga])
    saga_id = await ahead.start(saga, "ada")
    await lab.sleep(1.0)
    row = await looking.do(looking.manager.status(saga_id))
    assert row.owner is not None
    # Its last words: at any other moment its clock would have it take its own lease for one that is over.
    ahead.kill()
    assert looking.manager.store.renew(row.owner, lab.world.now() + int((HOUR + 3.0) * 1e6))
    return looking, saga_id


def blocked_once(attempts: list[str]) -> Saga[str]:
    saga = Saga("blocked", input=str, key=lambda name: name)

    @saga.step(compensation=None, timeout=None)
    async def write(name: str) -> str:
        attempts.append(name)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return name

    assert write.name == "write"
    return saga


def test_a_worker_that_dies_while_its_clock_is_ahead_holds_up_its_sagas_no_longer_than_a_lease(
    each_database: str | Store,
) -> None:
    attempts: list[str] = []

    async def story(lab: Lab) -> None:
        looking, saga_id = await begun_and_killed_ahead(lab, blocked_once(attempts))
        assert attempts == ["ada"]
        began = lab.now()
        assert (await looking.result(saga_id)).status == "completed"
        # Two looks, a third of a lease apart, are what it takes more than the lease of three seconds.
        assert lab.now() - began < 3 + 2 * 1 + 2 * 0.5

    in_lab(each_database, story)
    assert attempts == ["ada", "ada"]


def test_a_worker_that_lives_keeps_its_sagas_however_far_ahead_its_clock_seems(each_database: str | Store) -> None:
    attempts: list[str] = []

    async def story(lab: Lab) -> None:
        saga = blocked_once(attempts)
        looking = await lab.begin([saga])
        lab.world.set_clock(looking.incarnation, -HOUR)
        working = await lab.begin([saga])
        saga_id = await working.start(saga, "ada")
        owner = (await looking.do(looking.manager.status(saga_id))).owner
        await lab.sleep(120.0)
        assert (await looking.do(looking.manager.status(saga_id))).owner == owner

    in_lab(each_database, story)
    assert attempts == ["ada"]


def test_each_renewal_can_be_seen_although_the_clock_stands_still() -> None:
    seen: list[int] = []

    class Seeing(MemoryStore):
        def renew(self, worker_id: str, until: int) -> bool:
            seen.append(until)
            return super().renew(worker_id, until)

    async def story(lab: Lab) -> None:
        lease = WorkerLease(Surroundings(Seeing(), AtOnce(), FakeClock(), Limits(lease=9 * SECOND)))
        await lease.begin()
        keeping = asyncio.ensure_future(lease.keep())
        await lab.sleep(20.0)
        keeping.cancel()
        assert len(seen) > 4
        assert all(one != other for one, other in pairwise(seen))

    in_lab(MemoryStore(), story)


class Leases(MemoryStore):
    """A store whose leases are what a test says; those that were ended are remembered."""

    def __init__(self, *held: HeldLease) -> None:
        super().__init__()
        self.held = list(held)
        self.ended: list[str] = []

    def leases(self) -> list[HeldLease]:
        return list(self.held)

    def end_lease(self, lease: HeldLease) -> None:
        self.ended.append(lease.worker_id)


def watched(story: Callable[[Lab, LeaseWatch], Any], store: Leases) -> None:
    async def begun(lab: Lab) -> None:
        surroundings = Surroundings(store, AtOnce(), FakeClock(), Limits(lease=9 * SECOND))
        await story(lab, LeaseWatch(surroundings, lambda: "own"))

    in_lab(MemoryStore(), begun)


async def look_for(lab: Lab, watch: LeaseWatch, seconds: int) -> None:
    for _ in range(seconds):
        await watch.look()
        await lab.sleep(1.0)


SECOND = 1_000_000


def test_only_what_has_not_changed_for_longer_than_its_own_length_is_over() -> None:
    store = Leases(
        HeldLease("short", 10**18, 5 * SECOND),
        HeldLease("long", 10**18, 600 * SECOND),
        HeldLease("own", 10**18, 5 * SECOND),
        HeldLease("older", 10**18, None),
    )

    async def story(lab: Lab, watch: LeaseWatch) -> None:
        await look_for(lab, watch, 5)
        assert store.ended == []
        await look_for(lab, watch, 6)
        assert set(store.ended) == {"short"}

    watched(story, store)


def test_whoever_was_stopped_begins_the_watch_anew() -> None:
    store = Leases(HeldLease("slow", 10**18, 5 * SECOND))

    async def story(lab: Lab, watch: LeaseWatch) -> None:
        await look_for(lab, watch, 4)
        await lab.sleep(3600)
        await look_for(lab, watch, 5)
        assert store.ended == []
        await look_for(lab, watch, 6)
        assert store.ended[:1] == ["slow"]

    watched(story, store)


def test_a_lease_that_is_renewed_late_is_not_over() -> None:
    store = Leases(HeldLease("slow", 10**18, 5 * SECOND))

    async def story(lab: Lab, watch: LeaseWatch) -> None:
        for renewal in range(1, 11):
            await look_for(lab, watch, 4)
            store.held = [HeldLease("slow", 10**18 + renewal, 5 * SECOND)]
        assert store.ended == []

    watched(story, store)
