"""The composition root: `ProcessManager` brings definitions, services, a store and the engine together.

It is the one place where all rooms meet; what a saga does is decided in `sagalog.saga`, how it is run in
`sagalog.engine`.
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
from sagalog.process_manager.assembly import Equipment, assemble
from sagalog.process_manager.declared import Declared, by_digest
from sagalog.process_manager.ends import Ends
from sagalog.process_manager.execution import Execution, SagaRun
from sagalog.process_manager.following import Following, Follows
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.process_manager.messaging import Messaging
from sagalog.process_manager.ports import blocking_of, clock_of, store_of, transports_of
from sagalog.process_manager.services import check_services, instances
from sagalog.process_manager.store_use import StoreUse
from sagalog.process_manager.unloaded import report_unloaded
from sagalog.process_manager.until_signalled import UntilSignalled
from sagalog.readmodel.result import SagaResult
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.failure import Redact
from sagalog.saga.messages.participants import Participant
from sagalog.saga.options import flag, several
from sagalog.settings import Settings, settings_of
from sagalog.store import Store
from sagalog.transport import Transport

__all__ = ["FollowContext", "ProcessManager", "SagaResult", "SagaRun"]


class ProcessManager(Execution, Messaging, Following):
    """Run sagas on a database.

    `database` is an address (`sqlite:///shop.db`, `postgresql://...`, `memory://`) or a store. `participants` handle
    commands and events in this process, `choreographies` are followed by their events, `transports` carry messages to
    other processes and back. `services` gives the instances that steps and handlers ask for by type. With
    `worker=False` it starts sagas, publishes and answers questions, and leaves the running to other processes. What
    handlers raise is recorded and logged as `redact` returns it, a function of the text. Raises `DefinitionError` and
    `ServiceNotProvided` when it is built.
    """

    def __init__(
        self,
        database: str | Store,
        *,
        sagas: Sequence[Saga[Any]] = (),
        participants: Sequence[Participant] = (),
        choreographies: Sequence[Choreography] = (),
        transports: Sequence[Transport] = (),
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
        clock = clock_of(clock)
        self._given_blocking = blocking_of(blocking)
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
        )
        self._lifecycle = Lifecycle()
        self._until_signalled = UntilSignalled()
        Execution.__init__(self, self._lifecycle, store, sagas, definitions)
        Messaging.__init__(self, self._lifecycle, clock, self.settings.source, declared.vocabulary)
        Following.__init__(self, self._lifecycle, follows)

    async def __aenter__(self) -> Self:
        """Open the store, report what cannot be run, and begin to work.

        Raises `AlreadyRunning` if it is open. What was begun is ended if something raises.
        """
        self._lifecycle.check_not_open()
        threads = self._given_blocking or Threads(self.settings.readers, self.settings.handler_threads)
        ends = self._lifecycle.begin(threads)
        with as_asked():
            await ends.begin(self._open(threads, ends))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Shut down gracefully: running steps end, what is unfinished is given back; also if nobody waits for it."""
        await self._lifecycle.end()

    async def _open(self, threads: Blocking, ends: Ends) -> None:
        """Begin everything, each after what it needs, and say how it ends."""
        ends.add(threads.close)
        use = StoreUse(self.store)
        ends.add(threads.write, use.close)
        await use.begin(threads)
        missing = await threads.read(self.store.unloaded, list(self.definitions))
        report_unloaded(missing, self.definitions.values(), self._equipment.is_worker)
        engine = assemble(self._equipment, threads, self.handle)
        await engine.begin(ends)
        ends.add(self._lifecycle.ending)
        self._lifecycle.opened(engine)
        await engine.begin_transports(ends)

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncGenerator[None, None]:
        """Run for as long as a web application does: `FastAPI(lifespan=manager.lifespan)`."""
        async with self:
            yield

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then shut down gracefully; a second signal ends the process at once.

        Raises `NotRunning` in any other than the main thread, and `AlreadyRunning` if it waits for signals already.
        """
        self._lifecycle.check_runs()
        await self._until_signalled.run(self, self._lifecycle.is_open)
