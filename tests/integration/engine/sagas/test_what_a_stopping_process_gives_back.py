"""A process that stops and waits for a plain function keeps nothing else from the others meanwhile."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

from databases.held import Hold, held
from databases.stores import store_of
from followed.bookshop import HANDLERS, bookshop
from followed.following import Target, numbers, position
from lab.inside import engine_of
from sagas.greeting import run

from sagalog import Event, Participant, Saga
from sagalog.engine.sagas.worker import Worker
from sagalog.errors import StoreUnavailable
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.broker import MemoryBroker

HASTY = Settings(lease=60, poll=0.01, grace=0, follow_poll=0.02)


class Asked(Event):
    name: str


class Come(Event):
    name: str


class Heard(Event):
    name: str


class Scene:
    """What one process runs: `one` is a saga with a plain step that lasts until `go` is set, one waits for an event."""

    def __init__(self) -> None:
        self.working, self.go = threading.Event(), threading.Event()
        self.began: list[str] = []
        self.long = Saga("long", input=str, key=lambda given: given)
        self.patient = Saga("patient", input=str, key=lambda given: given)
        self.slow, self.quick = Participant("slow"), Participant("quick")

        @self.long.step(compensation=None)
        def busy(given: str) -> int:
            self.last(given)
            return 1

        self.patient.wait_for(Come, key=lambda event: event.name, timeout=600)

        @self.slow.on
        def hear_slowly(asked: Asked) -> Heard:
            self.last(asked.name)
            return Heard(name=asked.name)

        @self.quick.on
        async def hear(asked: Asked) -> None:
            self.began.append(f"quick {asked.name}")

        assert (busy.name, hear_slowly.__name__, hear.__name__) == ("busy", "hear_slowly", "hear")

    def last(self, name: str) -> None:
        """Last until `go` is set, if this is the one that lasts."""
        self.began.append(name)
        if name == "long":
            self.working.set()
            assert self.go.wait(15)

    def manager(self, database: str | Store) -> ProcessManager:
        """Return one of several processes."""
        return ProcessManager(
            database, sagas=[self.long, self.patient], participants=[self.slow, self.quick], settings=HASTY
        )


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


async def beside(
    scene: Scene,
    first: ProcessManager,
    second: ProcessManager,
    begin: Callable[[], Awaitable[object]],
    story: Callable[[], Awaitable[None]],
) -> None:
    """Tell a story to the second of two processes while the first is closing and waits for what lasts."""
    async with first:
        await begin()
        await until(scene.working.is_set)
        async with second:
            worker = engine_of(first).worker
            closing = asyncio.ensure_future(first.__aexit__())
            await until(lambda: worker.stopping)
            try:
                await story()
                assert not closing.done()
            finally:
                scene.go.set()
            await closing


def test_a_step_that_is_waited_for_keeps_no_message_from_being_routed_and_handled_elsewhere(
    each_database: str | Store,
) -> None:
    scene, other = Scene(), Scene()
    first, second = scene.manager(each_database), other.manager(each_database)

    async def begin() -> None:
        await first.start(scene.long, "long")

    async def story() -> None:
        await second.start(other.patient, "p")
        await second.publish(Come(name="p"))
        assert (await second.result("p", 10)).status == "completed"
        await second.publish(Asked(name="ada"))
        await until(lambda: sorted(other.began) == ["ada", "quick ada"])

    run(beside(scene, first, second, begin, story))
    assert scene.began == ["long"]


def test_a_handler_that_is_waited_for_keeps_its_own_participant_and_no_other(each_database: str | Store) -> None:
    """Invariant 7: what is being handled is not begun elsewhere, and its answer is not lost."""
    scene, other = Scene(), Scene()
    first, second = scene.manager(each_database), other.manager(each_database)

    async def begin() -> None:
        await first.publish(Asked(name="long"))

    async def story() -> None:
        await second.start(other.patient, "p")
        await second.publish(Come(name="p"))
        assert (await second.result("p", 10)).status == "completed"
        await second.publish(Asked(name="ada"))
        await until(lambda: "quick ada" in other.began)
        owners = {row.consumer: row.owner for row in first.store.consumers()}
        mine = next(row.owner for row in first.store.consumers() if row.consumer == "participant:slow")
        assert [name for name, owner in owners.items() if owner == mine] == ["participant:slow"]

    async def test() -> None:
        await beside(scene, first, second, begin, story)
        async with second:
            await until(lambda: "ada" in other.began)
            heard = [one.data for _, one in second.store.read_messages(0, 100) if one.name == "Heard"]
            assert [bytes(one) for one in heard][:1] == [b'{"name":"long"}']

    run(test())
    assert sorted(scene.began) == ["long", "quick long"]
    assert sorted(other.began) == ["ada", "quick ada"]


def test_sagas_for_which_nothing_runs_go_on_elsewhere_while_a_step_is_waited_for(each_database: str | Store) -> None:
    """One that waits, and one whose step is made again, for it is cancelled at the end of the grace."""
    scene, other = Scene(), Scene()
    first, second = scene.manager(each_database), other.manager(each_database)

    async def begin() -> None:
        await first.start(scene.patient, "p")
        await first.start(scene.long, "long")

    async def story() -> None:
        assert (await first_owner()) is not None
        await second.publish(Come(name="p"))
        assert (await second.result("p", 10)).status == "completed"

    async def first_owner() -> str | None:
        return (await second.status("long")).owner

    run(beside(scene, first, second, begin, story))


def test_a_saga_goes_on_elsewhere_whose_outcome_was_being_written_when_its_process_stopped(
    each_database: str | Store,
) -> None:
    """It is ended before it is told that the outcome is durable; nobody waits for that until all else has ended."""
    scene, other = Scene(), Scene()
    ring = asyncio.Event()
    calls: list[str] = []

    def bell() -> Saga[str]:
        saga = Saga("bell", input=str, key=lambda given: given)

        @saga.step(compensation=None)
        async def pull(given: str) -> None:
            calls.append(given)
            await ring.wait()

        @saga.step(compensation=None)
        async def listen(_: str) -> None: ...

        assert (pull.name, listen.name) == ("pull", "listen")
        return saga

    store, one = held(store_of(each_database))
    rung = bell()
    first = ProcessManager(store, sagas=[scene.long, rung], settings=HASTY)
    second = ProcessManager(each_database, sagas=[other.long, bell()], settings=HASTY)
    held_up: list[Hold] = []
    workers: list[Worker] = []

    async def begin() -> None:
        workers.append(engine_of(first).worker)
        await first.start(scene.long, "long")
        await first.start(rung, "b")
        await until(lambda: bool(calls))
        held_up.append(Hold(one, "append", after=True))
        ring.set()
        await until(held_up[0].is_reached)

    async def story() -> None:
        saga_id = (await second.status("b")).saga_id
        await until(lambda: not workers[0].drives(saga_id))
        held_up[0].let_go()
        assert (await second.result("b", 10)).status == "completed"

    run(beside(scene, first, second, begin, story))
    assert calls == ["b"]


def test_a_store_that_raises_anything_keeps_nobody_from_closing() -> None:
    """What is left is taken over when the lease is over, and that is now."""
    saga = Scene().patient
    store = MemoryStore()

    def broken(worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        raise MemoryError(worker_id, saga_ids)

    async def test() -> None:
        async with ProcessManager(store, sagas=[saga], settings=HASTY) as manager:
            await manager.start(saga, "p")
            store.release = broken  # type: ignore[method-assign]
        del store.release
        async with ProcessManager(store, sagas=[Scene().patient], settings=HASTY) as other:
            # Long before the lease would have been over by itself.
            await other.publish(Come(name="p"))
            assert (await other.result("p", 10)).status == "completed"

    run(test())


def test_what_is_followed_is_followed_elsewhere_while_a_step_is_waited_for(each_target: Target) -> None:
    scene, other = Scene(), Scene()
    first, second = scene.manager(each_target.database), other.manager(each_target.store())

    async def begin() -> None:
        shop.place(1)
        await until(lambda: position(each_target.eye) == 1)
        await first.start(scene.long, "long")

    async def story() -> None:
        shop.place(2)
        await until(lambda: numbers(each_target.eye) == [1, 2])

    with bookshop("popo") as shop:
        for one in (first, second):
            one.follow(shop, HANDLERS)
        run(beside(scene, first, second, begin, story))


def test_what_goes_out_goes_out_elsewhere_while_a_step_is_waited_for(each_database: str | Store) -> None:
    scene, other, broker = Scene(), Scene(), MemoryBroker()
    first, second = (
        ProcessManager(
            each_database,
            sagas=[one.long],
            transports=[broker.transport("here", sends=[Come])],
            settings=HASTY,
        )
        for one in (scene, other)
    )

    async def begin() -> None:
        await first.publish(Come(name="ada"))
        await until(lambda: len(broker.kept) == 1)
        await first.start(scene.long, "long")

    async def story() -> None:
        await second.publish(Come(name="bob"))
        await until(lambda: len(broker.kept) == 2)

    run(beside(scene, first, second, begin, story))


def test_what_cannot_be_given_back_at_first_is_given_back_soon(each_target: Target) -> None:
    """The store may be in trouble for a moment just then."""
    scene, other = Scene(), Scene()
    store = each_target.store()
    first, second = scene.manager(store), other.manager(each_target.store())
    release, tries = store.release_consumers, [0]

    def in_trouble(worker_id: str, names: Sequence[str]) -> None:
        tries[0] += 1
        if tries[0] < 3:
            raise StoreUnavailable("the network is down")
        release(worker_id, names)

    async def begin() -> None:
        await first.start(scene.long, "long")

    async def story() -> None:
        await second.publish(Asked(name="ada"))
        await until(lambda: sorted(other.began) == ["ada", "quick ada"])

    store.release_consumers = in_trouble  # type: ignore[method-assign]
    run(beside(scene, first, second, begin, story))
