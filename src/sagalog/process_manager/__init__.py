"""The composition root: `ProcessManager` brings definitions, services, a store and the engine together.

Only here do all rooms meet. What a saga does is decided in `sagalog.saga`; how it is run, in `sagalog.engine`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from sagalog.clock import Clock
from sagalog.engine.asking import as_asked
from sagalog.engine.blocking import Blocking, Threads
from sagalog.engine.calls.call import LoopWatch
from sagalog.engine.calls.failures import Failures, check_redact
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.following.translation import FollowContext
from sagalog.process_manager.acting import Acted, Preview
from sagalog.process_manager.assembly import Equipment, assemble
from sagalog.process_manager.bulk import Bulk, Job
from sagalog.process_manager.declared import Declared, by_digest
from sagalog.process_manager.ends import Ends
from sagalog.process_manager.execution import Execution, SagaRun
from sagalog.process_manager.following import Following, Follows
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.process_manager.messaging import Messaging
from sagalog.process_manager.ports import blocking_of, clock_of, store_of, transports_of
from sagalog.process_manager.projected import Projected, projecting
from sagalog.process_manager.services import check_services, instances
from sagalog.process_manager.store_use import StoreUse
from sagalog.process_manager.unloaded import is_heard, report_unloaded
from sagalog.process_manager.until_signalled import UntilSignalled
from sagalog.projections.declare import Projection
from sagalog.readmodel.result import SagaResult
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.failure import Redact
from sagalog.saga.messages.participants import Participant
from sagalog.saga.options import flag, several
from sagalog.settings import Settings, settings_of
from sagalog.store import Store
from sagalog.transport import Transport

__all__ = ["Acted", "FollowContext", "Job", "Preview", "ProcessManager", "SagaResult", "SagaRun"]


class ProcessManager(Execution, Bulk, Messaging, Following, Projected):
    """A process manager that runs sagas on a database.

    `database` is an address (`sqlite:///shop.db`, `postgresql://...`, `memory://`) or a store. `participants` handle
    commands and events in this process, `choreographies` are tracked by their events, `transports` carry messages to
    other processes and back, and `projections` are tables of yours that follow the log. `services` maps each type that
    steps and handlers ask for to its instance. By default, `settings` come from the environment. With `worker=False` it
    starts sagas, publishes and answers queries, but other processes run the steps. `redact` takes the text of a
    handler's exception and returns what may be recorded and logged.

    Raises `DefinitionError`, `ServiceNotProvided` or `InvalidSettings` when it is built. While it is not open, or on
    another event loop, every method that works on the database raises `NotRunning`. If the database does not answer,
    it raises `StoreUnavailable`.
    """

    def __init__(
        self,
        database: str | Store,
        *,
        sagas: Sequence[Saga[Any]] = (),
        participants: Sequence[Participant] = (),
        choreographies: Sequence[Choreography] = (),
        transports: Sequence[Transport] = (),
        projections: Sequence[Projection] = (),
        services: Mapping[type, Any] | None = None,
        settings: Settings | None = None,
        worker: bool = True,
        clock: Clock | None = None,
        blocking: Blocking | None = None,
        redact: Redact | None = None,
    ) -> None:
        self.settings = settings_of(settings)
        store = store_of(database, self.settings.store_options())
        sagas, choreographies = several(sagas, Saga, "sagas"), several(choreographies, Choreography, "choreographies")
        definitions = by_digest([*sagas, *choreographies], redact)
        services = instances(services)
        participants = several(participants, Participant, "participants")
        declared = Declared(list(definitions.values()), [one.definition for one in participants])
        transports = transports_of(transports)
        if flag(worker, "worker", "the process manager"):
            check_services(services, declared.parameters)
        clock, self._given_blocking = clock_of(clock), blocking_of(blocking)
        check_redact(redact)
        follows = Follows(redact)
        self._equipment = Equipment(
            settings=self.settings,
            store=store,
            clock=clock,
            is_worker=worker,
            definitions=definitions,
            declared=declared,
            services=services,
            transports=transports,
            failures=Failures(redact),
            own_tasks=OwnTasks(LoopWatch(self.settings.longest_block).held_up),
            follows=follows,
            projections=projecting(projections, store, self.settings.store_options(), clock),
        )
        self._lifecycle = Lifecycle()
        self._until_signalled = UntilSignalled()
        Execution.__init__(self, self._lifecycle, store, sagas, definitions)
        Bulk.__init__(self, self._lifecycle, store, clock)
        Messaging.__init__(self, self._lifecycle, clock, self.settings.source, declared.vocabulary)
        Following.__init__(self, self._lifecycle, follows)
        Projected.__init__(self, self._lifecycle)

    async def __aenter__(self) -> Self:
        """Open the store, log which open sagas this process cannot run, and start to work.

        Raises `AlreadyRunning` if it is open. If anything raises, what was started is stopped again.
        """
        self._lifecycle.check_not_open()
        threads = self._given_blocking or Threads(self.settings.readers, self.settings.handler_threads)
        ends = self._lifecycle.begin(threads)
        with as_asked():
            await ends.begin(self._open(threads, ends))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Shut down gracefully: running steps get time to end, and unfinished sagas are left to other workers.

        The shutdown goes on even if the caller is cancelled.
        """
        await self._lifecycle.end()

    async def _open(self, threads: Blocking, ends: Ends) -> None:
        """Start every part after the parts it needs, and add to `ends` how each is stopped."""
        ends.add(threads.close)
        use = StoreUse(self.store)
        ends.add(threads.write, use.close)
        await use.begin(threads)
        is_worker = self._equipment.is_worker
        if is_heard(is_worker):
            missing = await threads.read(self.store.unloaded, list(self.definitions))
            report_unloaded(missing, self.definitions.values(), is_worker)
        engine = assemble(self._equipment, threads, self.handle)
        await engine.begin(ends)
        ends.add(self._lifecycle.ending)
        self._lifecycle.opened(engine)
        await engine.begin_transports(ends)

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncGenerator[None, None]:
        """Keep the process manager open while a web application runs: `FastAPI(lifespan=manager.lifespan)`."""
        async with self:
            yield

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then shut down gracefully; a second signal ends the process at once.

        It opens the process manager if needed, and closes it only then. Raises `NotRunning` outside of the main thread,
        `AlreadyRunning` if `run` is waiting already, and `InvalidAction` in one of its own handlers.
        """
        self._lifecycle.check_runs()
        await self._until_signalled.run(self, self._lifecycle.is_open)
