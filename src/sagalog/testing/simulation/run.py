"""Deterministic simulation of the real engine: workers that crash, pause and race on one memory store in virtual time.

After FoundationDB's and TigerBeetle's simulators. It checks nothing itself: see `sagalog.testing.simulation.verdict`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from sagalog.errors import InvalidAction, SagalogError
from sagalog.messages import Event
from sagalog.process_manager import ProcessManager, SagaRun
from sagalog.saga.declare import Saga
from sagalog.saga.events import Verb
from sagalog.saga.messages.participants import Participant
from sagalog.saga.transitions import AT_REST
from sagalog.settings import Settings
from sagalog.testing.simulation.families import waiting_for_a_person
from sagalog.testing.simulation.faults import Faults
from sagalog.testing.simulation.network import Network
from sagalog.testing.simulation.virtual_loop import Incarnation, outside
from sagalog.testing.simulation.world import SimulatedBlocking, World

ResultT = TypeVar("ResultT")
SETTINGS = Settings(lease=3.0, poll=1.0, longest_wait=2.0, grace=2.0, write_timeout=4.0)


class Request(Struct, frozen=True, kw_only=True):
    """A client that starts a saga, repeats that `repeats` times, and does not give up until it is acknowledged."""

    saga: Saga[Any]
    input: Any
    key: str
    repeats: int = 0
    after: float = 0.0


class Notice(Struct, frozen=True, kw_only=True):
    """A client that publishes an event, repeats that `repeats` times under one message id, until it is durable."""

    event: Event
    id: str
    correlation_id: str | None = None
    repeats: int = 0
    after: float = 0.0


class Operation(Struct, frozen=True, kw_only=True):
    """A person who acts on the saga with a key, once it has `version` events and `after` seconds have passed.

    `what` are the arguments of the method `verb` of a process manager. The person asks again under one `id` until told
    that it was done or refused; `then` is what the same person does afterwards.
    """

    verb: Verb
    key: str
    id: str
    version: int = 1
    after: float = 0.0
    what: Mapping[str, Any] = {}
    then: "Operation | None" = None


class Simulation:
    """A run of requests on some workers, until every saga has come to rest and stays there.

    `services` returns the service instances for a process. A dead worker stays away for up to `restart` seconds.
    `participants` handle messages in each process; `network` leads to a service elsewhere. `resumes` is how often a
    person resumes each stuck saga; `mend` is called before the first time.
    """

    def __init__(
        self,
        seed: int,
        sagas: Sequence[Saga[Any]],
        services: Callable[[World], Mapping[type, Any]],
        *,
        participants: Sequence[Participant] = (),
        network: Callable[[World], Network] | None = None,
        faults: Callable[[World], Faults] | None = None,
        workers: int = 1,
        restart: float = 5.0,
        resumes: int = 0,
        mend: Callable[[], None] = lambda: None,
        shutdowns: bool = False,
        settings: Settings = SETTINGS,
        most_seconds: float = 600.0,
    ) -> None:
        self.world = World(seed)
        if faults is not None:
            self.world.faults = faults(self.world)
        self.sagas = sagas
        self.services = services(self.world)
        self.participants = participants
        self.network = None if network is None else network(self.world)
        self.published: set[str] = set()
        self.acknowledged: dict[tuple[str, str], set[str]] = {}
        # What the people were told, by the ids of their actions: "done", or why not.
        self.told: dict[str, str] = {}
        self.came_to_rest = False
        self._workers = workers
        self._restart = restart
        self._resumes = resumes
        self._mend = mend
        self._shutdowns = shutdowns
        self._settings = settings
        self._most_seconds = most_seconds
        self._running: dict[Incarnation, ProcessManager] = {}
        self._alive: set[Incarnation] = set()
        self._clients: list[asyncio.Task[None]] = []
        self._resumed: dict[str, int] = {}

    def run(self, requests: Sequence[Request | Notice | Operation]) -> None:
        """Serve all requests; afterwards `world.store` and `world.trace` hold what happened."""
        loop = self.world.loop
        loudness = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            loop.run_until_complete(loop.create_task(self._serve(requests), context=outside()))
        finally:
            logging.disable(loudness)
            self._close()

    async def _serve(self, requests: Sequence[Request | Notice | Operation]) -> None:
        create = self.world.loop.create_task
        supervisors = [create(self._supervise(number)) for number in range(self._workers)]
        self._clients = [create(self._client(request)) for request in requests]
        self.came_to_rest = await self._rest()
        for task in (*supervisors, *self._clients):
            task.cancel()

    async def _supervise(self, number: int) -> None:
        """Keep a worker running: start a new incarnation some time after the last one ended."""
        seeded = self.world.seeded
        for life in range(1_000):
            incarnation = Incarnation(self.world.loop, f"worker {number}, life {life}")
            self._alive.add(incarnation)
            task = incarnation.spawn(self._live(incarnation))
            waiting: set[asyncio.Future[Any]] = {task, incarnation.ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            incarnation.kill()
            self._alive.discard(incarnation)
            self._running.pop(incarnation, None)
            await asyncio.sleep(seeded.random() * self._restart)

    async def _live(self, incarnation: Incarnation) -> None:
        manager = ProcessManager(
            self.world.store,
            sagas=self.sagas,
            participants=self.participants,
            transports=[] if self.network is None else [self.network.transport()],
            services=self.services,
            settings=self._settings,
            clock=self.world,
            blocking=SimulatedBlocking(self.world, incarnation),
        )
        with contextlib.suppress(SagalogError):
            # Not `async with`, because a killed process must not shut down gracefully when its coroutine is discarded.
            await manager.__aenter__()
            self._running[incarnation] = manager
            if not self._shutdowns or self.world.chance() < 0.5:
                await self.world.loop.create_future()
            await asyncio.sleep(self.world.chance() * 3)
            self._running.pop(incarnation, None)
            await manager.__aexit__(None, None, None)

    async def _client(self, request: Request | Notice | Operation) -> None:
        if isinstance(request, Operation):
            await self._operate(request)
            return
        await asyncio.sleep(request.after)
        if isinstance(request, Notice):
            await self._tell(request)
            return
        for _ in range(request.repeats + 1):
            while (run := await self._ask(request)) is None:  # noqa: ASYNC110 - clients do ask again and again
                await asyncio.sleep(self.world.chance())
            self.acknowledged.setdefault((request.saga.name, request.key), set()).add(run.id)

    async def _tell(self, notice: Notice) -> None:
        for _ in range(notice.repeats + 1):
            while not await self._from_some_worker(  # noqa: ASYNC110 - clients do ask again and again
                lambda manager: manager.publish(notice.event, id=notice.id, correlation_id=notice.correlation_id)
            ):
                await asyncio.sleep(self.world.chance())
            self.published.add(notice.id)
            await asyncio.sleep(self.world.chance() * 3)

    async def _operate(self, operation: Operation) -> None:
        while (saga_id := self._at_version(operation)) is None:
            await self.world.store.written()
        await asyncio.sleep(operation.after)

        async def act(manager: ProcessManager) -> str:
            method = getattr(manager, operation.verb)
            try:
                await method(saga_id, actor="ada", reason="told to", action_id=operation.id, **operation.what)
            except InvalidAction as refused:
                return str(refused)
            return "done"

        while (told := await self._from_some_worker(act)) is None:  # noqa: ASYNC110 - people do ask again and again
            await asyncio.sleep(self.world.chance())
        self.told[operation.id] = told
        if operation.then is not None:
            await self._operate(operation.then)

    def _at_version(self, operation: Operation) -> str | None:
        """Return the id of the saga once it has the version; None until then, but for one that will not get there."""
        rows = self.world.store.rows()
        # Those that wait for a child that is stuck go on only when somebody acts.
        waiting = waiting_for_a_person(rows)
        reached = [
            row.saga_id
            for row in rows
            if row.saga_key == operation.key
            and (row.version >= operation.version or row.status in AT_REST or row.saga_id in waiting)
        ]
        return reached[0] if reached else None

    async def _ask(self, request: Request) -> SagaRun | None:
        """Ask some worker to start a saga; return None if it died, was away, or does not know the outcome."""
        return await self._from_some_worker(lambda manager: manager.start(request.saga, request.input, key=request.key))

    async def _from_some_worker(self, call: Callable[[ProcessManager], Coroutine[Any, Any, ResultT]]) -> ResultT | None:
        if not self._running:
            return None
        incarnation, manager = self.world.seeded.choice(list(self._running.items()))
        task = incarnation.spawn(call(manager))
        waiting: set[asyncio.Future[Any]] = {task, incarnation.ended}
        await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() and not task.cancelled() and task.exception() is None else None

    async def _rest(self) -> bool:
        """Wait until nothing changes for longer than any lease, pause or retry; return False if that never happens."""
        loop, store = self.world.loop, self.world.store
        quiet_since, length = 0.0, -1
        # Longer than a lease, and than a late outcome can wait to be reported; paused workers are waited for as well.
        window = self._settings.lease + 2 * self._settings.poll
        while loop.time() < self._most_seconds:
            await asyncio.sleep(1.0)
            now = len(store.read_log(0, 1_000_000))
            moving = now != length or not all(client.done() for client in self._clients)
            moving = moving or (self.network is not None and self.network.waiting > 0) or store.has_untaken_messages()
            paused = any(incarnation.paused for incarnation in self._alive)
            if moving or paused or not self._all_at_rest():
                quiet_since, length = loop.time(), now
            elif loop.time() - quiet_since >= window:
                if not await self._a_person_resumes():
                    return True
                quiet_since = loop.time()
        return False

    def _all_at_rest(self) -> bool:
        if all(status in AT_REST for _, status, _ in self.world.store.counts()):
            return True
        rows = self.world.store.rows()
        waiting = waiting_for_a_person(rows)
        return all(row.status in AT_REST or row.saga_id in waiting for row in rows)

    async def _a_person_resumes(self) -> bool:
        """Resume stuck sagas that have resumes left; return False if there were none."""
        found = False
        for row in self.world.store.rows():
            if row.status != "stuck" or self._resumed.get(row.saga_id, 0) >= self._resumes:
                continue
            self._mend()
            found = True
            self._resumed[row.saga_id] = self._resumed.get(row.saga_id, 0) + 1
            if self._running:
                incarnation, manager = next(iter(self._running.items()))
                task = incarnation.spawn(manager.resume(row.saga_id, actor="ada", reason="it is mended"))
                waiting: set[asyncio.Future[Any]] = {task, incarnation.ended}
                await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        return found

    def _close(self) -> None:
        """Close what killed incarnations left behind, before the garbage collector finds it."""
        for incarnation in self._alive:
            incarnation.kill()
        self.world.loop.abandon()
