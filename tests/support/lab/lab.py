"""The real engine on any store in virtual time: processes that can be killed, for tests that tell one story each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sagalog import Choreography, Participant, Saga
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedRow
from sagalog.stores import store_for
from sagalog.testing.simulation.faults import Faults
from sagalog.testing.simulation.virtual_loop import Incarnation, outside
from sagalog.testing.simulation.world import SimulatedBlocking, World
from sagalog.transport import Transport

Result = TypeVar("Result")
# In seconds of virtual time; far more than any pause that ends by itself.
LONGEST_WAIT = 600.0
SETTINGS = Settings(lease=3.0, poll=0.5, longest_wait=2.0, grace=2.0, write_timeout=4.0)


class Process:
    """One life of a process that runs a process manager."""

    def __init__(self, incarnation: Incarnation, manager: ProcessManager) -> None:
        self.incarnation = incarnation
        self.manager = manager

    async def do(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run something in this process and wait for it."""
        return await self.incarnation.spawn(coroutine)

    async def execute(self, saga: Saga[Any], given: Any, key: str = "key") -> SagaResult:
        """Start a saga here and wait for its result."""
        return await self.do(self.manager.execute(saga, given, key=key, timeout=100_000))

    async def start(self, saga: Saga[Any], given: Any, key: str = "key") -> str:
        """Start a saga here and return its id."""
        return (await self.do(self.manager.start(saga, given, key=key))).id

    async def result(self, saga_id: str) -> SagaResult:
        """Wait for a saga that may run anywhere."""
        return await self.do(self.manager.result(saga_id, 100_000))

    async def parked(self, number: int = 1) -> list[UnmatchedRow]:
        """Wait until so many messages are parked, and return them, the newest first."""
        while len(rows := await self.do(self.manager.unmatched())) < number:
            await asyncio.sleep(0.5)
        return rows

    def kill(self) -> None:
        """End it at this instant, as SIGKILL would."""
        self.incarnation.kill()

    async def failure(self, saga_id: str) -> tuple[str, str, str | None]:
        """Wait for a saga that does not complete; return its status, and the kind and step of its error."""
        result = await self.result(saga_id)
        assert result.error is not None
        return result.status, result.error.kind, result.error.step

    async def stop(self) -> None:
        """Shut it down gracefully."""
        await self.do(self.manager.__aexit__(None, None, None))
        self.kill()


class Lab:
    """A world with one database, and the processes that were begun in it."""

    def __init__(self, database: str | Store, faults: Faults | None) -> None:
        self.world = World(7, faults)
        self._database = database
        self.stores: list[Store] = []
        self.processes: list[Process] = []

    async def begin(
        self,
        sagas: Sequence[Saga[Any]] = (),
        services: Mapping[type, Any] | None = None,
        *,
        participants: Sequence[Participant] = (),
        choreographies: Sequence[Choreography] = (),
        transports: Sequence[Transport] = (),
        worker: bool = True,
        settings: Settings = SETTINGS,
        wrap: Callable[[Store], Store] = lambda store: store,
        blocking: type[SimulatedBlocking] = SimulatedBlocking,
    ) -> Process:
        """Begin a process on the database; `wrap` may put something between it and the store."""
        store = (
            store_for(self._database, settings.store_options()) if isinstance(self._database, str) else self._database
        )
        self.stores.append(store)
        if isinstance(self._database, str):
            # Hints come from threads, which know no virtual time; nothing may rest on them, so here there are none.
            store.watch = lambda hint: lambda: None  # type: ignore[method-assign]
        incarnation = Incarnation(self.world.loop, f"process {len(self.processes)}")
        manager = ProcessManager(
            wrap(store),
            sagas=sagas,
            participants=participants,
            choreographies=choreographies,
            transports=transports,
            services=services,
            settings=settings,
            worker=worker,
            clock=self.world,
            blocking=blocking(self.world, incarnation),
        )
        process = Process(incarnation, manager)
        self.processes.append(process)
        await process.do(manager.__aenter__())
        return process

    def now(self) -> float:
        """Return how many seconds of virtual time have passed."""
        return self.world.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def wait(self, futures: set["asyncio.Future[Any]"], seconds: float) -> None:
        """Wait for the first of these, at most so many seconds."""
        await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def until(self, condition: Callable[[], bool], seconds: float = LONGEST_WAIT) -> None:
        """Wait until something is so, looking often; it fails after so much virtual time, and never looks for ever."""
        until = self.world.loop.time() + seconds
        while not condition():
            assert self.world.loop.time() < until, f"still waiting for it after {seconds:g} s"
            await asyncio.sleep(0.01)


def in_lab(database: str | Store, story: Callable[[Lab], Awaitable[Result]], faults: Faults | None = None) -> Result:
    """Tell a story in a fresh lab, and leave nothing open."""
    lab = Lab(database, faults)
    loudness = logging.root.manager.disable
    logging.disable(logging.CRITICAL)

    async def told() -> Result:
        return await story(lab)

    try:
        task: asyncio.Task[Result] = lab.world.loop.create_task(told(), context=outside())
        return lab.world.loop.run_until_complete(task)
    finally:
        logging.disable(loudness)
        for process in lab.processes:
            process.kill()
        for store in lab.stores:
            store.close()
        lab.world.loop.abandon()
