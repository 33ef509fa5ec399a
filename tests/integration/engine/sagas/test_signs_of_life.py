"""Workers whose signs of life are gone: the dead are followed at once, and the living lose nothing by it."""

import asyncio
from collections.abc import Sequence

import pytest
from lab.lab import SETTINGS, Lab, Process, in_lab
from sagas.pinging import Ping, pinged

from sagalog import Participant, Saga
from sagalog.errors import StoreUnavailable
from sagalog.store import HeldLease
from sagalog.stores.memory.store import MemoryStore

# Nothing here may come of a lease that ends.
LONG = SETTINGS.model_copy(update={"lease": 3000.0, "poll": 0.1})
A_SECOND = 1.0


class CutOff(MemoryStore):
    """A store in which workers lose their sign of life, and get no other one while they are cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.cut: set[str] = set()
        self.ended: list[str] = []

    def cut_off(self, worker_id: str) -> None:
        """Let a worker lose its sign, and renew no lease."""
        self.cut.add(worker_id)
        self.silence(worker_id)

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease."""
        if worker_id in self.cut:
            raise StoreUnavailable("it is cut off")
        return super().renew(worker_id, until)

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease."""
        self.ended.append(lease.worker_id)
        super().end_lease(lease)


@pytest.fixture
def store() -> CutOff:
    return CutOff()


class Handlers:
    """What was begun, by which process, and which handlers may end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()

    def saga(self, name: str) -> Saga[str]:
        """A saga of two steps, of which the first ends when it may."""
        saga = Saga("two-steps", input=str, key=lambda key: key)

        @saga.step(compensation=None, timeout=None)
        async def first(key: str) -> str:
            self.begun.append(f"first in {name}")
            await self.may_end.wait()
            return key

        @saga.step(compensation=None, timeout=None)
        async def second(first: str) -> str:
            self.begun.append(f"second in {name}")
            return first

        assert (first.name, second.name) == ("first", "second")
        return saga

    def participant(self, name: str) -> Participant:
        """A participant whose handler never ends."""
        participant = Participant("echo")

        @participant.on
        async def hear(ping: Ping) -> None:
            self.begun.append(f"{ping.number} in {name}")
            await asyncio.Event().wait()

        assert hear.__name__ == "hear"
        return participant


async def begun_in_a(lab: Lab, handlers: Handlers) -> tuple[Process, Process, str, str]:
    """Begin a saga in one of two processes; return both, the saga, and the name of its worker."""
    saga = handlers.saga("a")
    a = await lab.begin([saga], settings=LONG)
    saga_id = await a.start(saga, "key")
    await lab.until(lambda: handlers.begun == ["first in a"])
    b = await lab.begin([handlers.saga("b")], settings=LONG)
    row = await b.do(b.manager.status(saga_id))
    assert row.owner is not None
    return a, b, saga_id, row.owner


def types(store: MemoryStore, saga_id: str) -> Sequence[str]:
    return [event.topic.split(".")[1] for event in store.read(saga_id)]


WELL = ["SagaStarted", "StepSucceeded", "StepSucceeded", "SagaCompleted"]


def test_what_a_dead_worker_did_goes_on_within_a_second(store: CutOff) -> None:
    async def story(lab: Lab) -> None:
        handlers = Handlers()
        a, b, saga_id, owner = await begun_in_a(lab, handlers)
        a.kill()
        store.silence(owner)
        handlers.may_end.set()
        died = lab.now()
        assert (await b.result(saga_id)).status == "completed"
        assert lab.now() - died < A_SECOND
        assert handlers.begun == ["first in a", "first in b", "second in b"]
        assert store.ended == [owner]

    in_lab(store, story)


def test_a_worker_that_gets_another_sign_soon_keeps_all_and_makes_nothing_twice(store: CutOff) -> None:
    """Each restart of a server ends every session at once."""

    async def story(lab: Lab) -> None:
        handlers = Handlers()
        _, b, saga_id, owner = await begun_in_a(lab, handlers)
        for _ in range(10):
            store.silence(owner)
            await lab.sleep(0.37)
        handlers.may_end.set()
        assert (await b.result(saga_id)).status == "completed"
        assert handlers.begun == ["first in a", "second in a"]
        assert store.ended == []

    in_lab(store, story)


def test_a_worker_without_its_sign_begins_nothing_and_goes_on_under_its_name_when_it_has_one_again(
    store: CutOff,
) -> None:
    async def story(lab: Lab) -> None:
        handlers = Handlers()
        saga = handlers.saga("a")
        a = await lab.begin([saga], settings=LONG)
        saga_id = await a.start(saga, "key")
        await lab.until(lambda: handlers.begun == ["first in a"])
        owner = (await a.do(a.manager.status(saga_id))).owner
        assert owner is not None
        store.cut_off(owner)
        handlers.may_end.set()
        other = await a.start(saga, "other")
        await lab.sleep(60.0)
        # What has come of the attempt is recorded: the worker still owns the saga, and nobody else could.
        assert list(types(store, saga_id)) == WELL[:2]
        assert handlers.begun == ["first in a"]
        store.cut.clear()
        assert [(await a.result(one)).status for one in (saga_id, other)] == ["completed"] * 2
        assert {row.worker_id for row in store.leases()} == {owner}

    in_lab(store, story)


def test_a_living_worker_that_is_taken_for_dead_decides_nothing_more_and_loses_no_outcome(store: CutOff) -> None:
    """Invariants 5, 20 and 35."""

    async def story(lab: Lab) -> None:
        handlers = Handlers()
        _, b, saga_id, owner = await begun_in_a(lab, handlers)
        store.cut_off(owner)
        await lab.until(lambda: handlers.begun == ["first in a", "first in b"], A_SECOND)
        # It has got no further, and what it knows by now is told as soon as the saga can be had.
        handlers.may_end.set()
        assert (await b.result(saga_id)).status == "completed"
        store.cut.clear()
        await lab.sleep(30.0)
        assert list(types(store, saga_id)) == WELL
        assert handlers.begun == ["first in a", "first in b", "second in b"]
        assert owner not in {row.worker_id for row in store.leases()}
        # It is a worker again, under another name.
        assert len(store.leases()) == 2

    in_lab(store, story)


def test_consumers_of_a_dead_worker_are_taken_at_once_too(store: CutOff) -> None:
    async def story(lab: Lab) -> None:
        handlers = Handlers()
        a = await lab.begin(participants=[handlers.participant("a")], settings=LONG)
        await pinged(a, 1)
        await lab.until(lambda: handlers.begun == ["1 in a"])
        await lab.begin(participants=[handlers.participant("b")], settings=LONG)
        [consumer] = store.consumers()
        assert consumer.owner is not None
        # Not at a moment at which it would look anyway.
        await lab.sleep(1.05)
        a.kill()
        store.silence(consumer.owner)
        died = lab.now()
        await lab.until(lambda: "1 in b" in handlers.begun)
        assert lab.now() - died < A_SECOND

    in_lab(store, story)


def test_an_action_on_a_saga_of_a_dead_worker_is_taken_before_anybody_gives_up(store: CutOff) -> None:
    async def story(lab: Lab) -> None:
        handlers = Handlers()
        a, b, saga_id, owner = await begun_in_a(lab, handlers)
        a.kill()
        store.silence(owner)
        died = lab.now()
        await b.do(b.manager.cancel(saga_id, actor="ada", reason="it is not wanted"))
        handlers.may_end.set()
        assert (await b.result(saga_id)).status == "failed"
        assert lab.now() - died < 2 * A_SECOND

    in_lab(store, story)
