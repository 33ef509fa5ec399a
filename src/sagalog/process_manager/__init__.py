"""The composition root: `ProcessManager` brings definitions, services, a store and the engine together.

It is the one place where the rings meet; what a saga does is decided in `sagalog.saga`, how it is run in
`sagalog.engine`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar, cast

from sagalog.clock import Clock, SystemClock
from sagalog.engine.asking import as_asked
from sagalog.engine.blocking import Blocking, Threads
from sagalog.engine.bus.bus import Bus
from sagalog.engine.bus.handling import Handling
from sagalog.engine.calls.call import LoopWatch
from sagalog.engine.calls.failures import Failures, check_redact
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns
from sagalog.engine.following.translation import FollowContext
from sagalog.engine.sagas.attempt import Attempts
from sagalog.engine.sagas.inbox import Mail
from sagalog.engine.sagas.start import Started, Starting
from sagalog.engine.sagas.wait import AT_REST, LAST_LOOK_SECONDS, NoLongerThan, Waiting, end_of, not_known, still_going
from sagalog.engine.sagas.worker import Drive, Worker
from sagalog.engine.transports.transports import Transports, check_transports
from sagalog.engine.writing.committer import Committer
from sagalog.errors import AlreadyRunning, InvalidAction, StoreUnavailable, UnknownSaga, WaitTimeout
from sagalog.process_manager import given
from sagalog.process_manager.declared import Declared, by_digest
from sagalog.process_manager.following import Followers, Following
from sagalog.process_manager.inspection import Inspection, check_named
from sagalog.process_manager.lifecycle import Ends, Lifecycle, StoreUse
from sagalog.process_manager.messaging import Messaging
from sagalog.process_manager.run import first_signal, opened_unless
from sagalog.process_manager.unloaded import report_unloaded
from sagalog.readmodel.result import SagaResult, result_of
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.definition import Definition
from sagalog.saga.durations import Duration
from sagalog.saga.failure import Redact
from sagalog.saga.messages.participants import Participant
from sagalog.saga.options import flag, several
from sagalog.saga.state import SagaState
from sagalog.settings import Settings, settings_of
from sagalog.store import StatusRow, Store
from sagalog.stores import store_for
from sagalog.transport import Transport

InputT = TypeVar("InputT")

__all__ = ["FollowContext", "ProcessManager", "SagaResult", "SagaRun"]

# A stuck saga may still be told what has become of a step, at the moment at which a person lets it go on.
TRIES_TO_RESUME = 5


class SagaRun:
    """One run of a saga. `created` is False when the key had been used and this is the saga that was there."""

    def __init__(
        self,
        owner: "ProcessManager",
        saga: str,
        started: Started,
        result: Callable[[float | None], Awaitable[SagaResult]],
    ) -> None:
        self._owner = owner
        self._result = result
        self.id = started.saga_id
        self.saga = saga
        self.key = started.key
        self.created = started.created

    def __repr__(self) -> str:
        return f"<SagaRun {self.saga} {self.key} {self.id}>"

    async def result(self, timeout: Duration | None = None) -> SagaResult:
        """Wait until the saga has completed, failed or is stuck, at most `timeout`, and return its result.

        Raises `WaitTimeout` when the time (seconds or a timedelta) is over; the saga goes on.
        """
        return await self._result(given.patience(timeout))

    async def status(self) -> StatusRow:
        """Return the saga's row of `saga_status` as it is now."""
        return await self._owner.status(self.id)


class ProcessManager(Inspection, Messaging, Following):
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
        is_store = not given.lacking(database, given.STORE)
        self.store: Store = cast(Any, database)
        if not is_store:
            self.store = store_for(cast(str, database), self.settings.store_options())
        sagas, choreographies = several(sagas, Saga, "sagas"), several(choreographies, Choreography, "choreographies")
        self.definitions = by_digest([*sagas, *choreographies], redact)
        self._services = given.instances(services)
        desks = several(participants, Participant, "participants")
        self._declared = Declared(list(self.definitions.values()), [one.definition for one in desks])
        self._vocabulary = self._declared.vocabulary
        self._given_transports: list[Transport] = given.ports(transports, given.TRANSPORT, "transports")
        check_transports(self._given_transports)
        self._source = self.settings.source
        self._is_worker = flag(worker, "worker", "the process manager")
        if worker:
            self._declared.check_services(self._services)
        self._sagas = {(saga.name, saga.version): saga for saga in sagas}
        self._clock = given.port(clock, given.CLOCK, "clock") or SystemClock()
        self._given_blocking: Blocking | None = given.port(blocking, given.BLOCKING, "blocking")
        check_redact(redact)
        self._failures = Failures(redact)
        self._own_tasks = OwnTasks(LoopWatch(self.settings.longest_block).held_up)
        self._lifecycle = Lifecycle()
        self._runs = False
        self._followers = Followers()
        self._followers.redact = redact

    async def __aenter__(self) -> Self:
        """Open the store, report what cannot be run, and begin to work.

        Raises `AlreadyRunning` if it is open. What was begun is ended if something raises.
        """
        self._lifecycle.begin()
        ends = self._ends = Ends(self._lifecycle.ended)
        with as_asked():
            await ends.begin(self._open(ends))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Shut down gracefully: running steps end, what is unfinished is given back; also if nobody waits for it."""
        self._lifecycle.check_begun()
        await self._ends.reach()

    async def _open(self, ends: Ends) -> None:
        """Begin everything, each after what it needs, and say how it ends."""
        settings, limits = self.settings, self.settings.limits()
        loop = asyncio.get_running_loop()

        def hint() -> None:
            loop.call_soon_threadsafe(self._hinted)

        threads = self._given_blocking or Threads(settings.readers, settings.handler_threads)
        blocking = self._threads = self._lifecycle.threads = threads
        ends.add(blocking.close)
        use = StoreUse(self.store)
        ends.add(blocking.write, use.close)
        await use.begin(blocking)
        missing = await blocking.read(self.store.unloaded, list(self.definitions))
        report_unloaded(missing, self.definitions.values(), self._is_worker)
        self._committer = Committer(self.store, blocking, settings.write_timeout, self._posted)
        self._waiting = Waiting(self.store, blocking, limits.poll)
        turns = self._turns = Turns(blocking)
        ends.add(turns.close)
        attempts = Attempts(self._services, self._clock, turns, self._failures, self._own_tasks, self.definitions)
        mail = Mail(self.store, blocking) if self._declared.has_mail else None
        worker = self._worker = Worker(
            self.store, self.definitions, self._committer, attempts, blocking, self._clock, limits, self._finished, mail
        )
        self._bus = self._make_bus()
        self._transports = self._make_transports()
        self._starting = Starting(
            self.store, self._committer, blocking, self._clock, worker if self._is_worker else None
        )
        if self._is_worker:
            ends.add(worker.release)
        ends.add(self._committer.close)
        self._committer.start()
        if self._is_worker:
            ends.add(self._stop)
            await worker.start()
            self._bus.start()
            self._followers.start(self.store, blocking, self._clock, worker, limits, self._posted)
        ends.add(self._waiting.close)
        ends.add(self.store.watch(hint))
        ends.add(self._lifecycle.ending)
        self._lifecycle.opened()
        if self._is_worker:
            # Ended first, while what is being received can still be written.
            ends.add(self._transports.stop)
            await self._transports.start()

    async def _stop(self) -> None:
        """Let what runs end; each is waited for, also if another one raises."""
        grace = self._ends.left(self.settings.grace)
        ended = await asyncio.gather(
            self._followers.stop(grace), self._bus.stop(grace), self._worker.stop(grace), return_exceptions=True
        )
        for problem in ended:
            if problem is not None:
                raise problem

    @property
    def _blocking(self) -> Blocking:
        """What is asked from outside: refused unless this is open, and its event loop is the one that asks."""
        self._lifecycle.check_open()
        return self._threads

    def _make_bus(self) -> Bus:
        handlings = [
            Handling(one, self._services, self._clock, self._turns, self._failures, self._own_tasks)
            for one in self._declared.participants
        ]
        return Bus(
            self.store,
            self._threads,
            self._clock,
            self._committer,
            self._worker,
            self._vocabulary,
            self._declared.routes(self.store, self._threads, self._clock),
            handlings,
            self.settings.limits(),
        )

    def _make_transports(self) -> Transports:
        return Transports(
            self._given_transports,
            self.store,
            self._threads,
            self._clock,
            self._committer,
            self._worker,
            self.settings.limits(),
            self.handle,
            self._park,
        )

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
        if self._runs:
            raise AlreadyRunning("run() waits for a signal already; call it once")
        with first_signal() as stop:
            self._runs = True
            try:
                if self._lifecycle.state == "open":
                    await stop.wait()
                else:
                    async with opened_unless(stop, self):
                        await stop.wait()
            finally:
                self._runs = False

    async def start(
        self,
        saga: Saga[InputT],
        input: InputT,
        *,
        key: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> SagaRun:
        """Start a saga and return once its start is durable. The same key is the same saga, never a second one.

        Raises `MissingKey`, `InvalidInput`, `PayloadTooLarge`, `InvalidIdentifier` for what is wrong with the input,
        `UnknownSaga` for a saga this was not built with, and `StoreUnavailable` when nobody knows whether the start was
        written (starting again with the same key is safe).
        """
        self._check_running()
        given.check_start(saga, input)
        started = await self._starting.start(self._definition_of(saga), input, key, correlation_id, causation_id)
        return SagaRun(self, saga.name, started, partial(self._result, started.saga_id, started.drive))

    async def execute(
        self, saga: Saga[InputT], input: InputT, *, key: str | None = None, timeout: Duration | None = None
    ) -> SagaResult:
        """Start a saga and wait for its result, at most `timeout` (then `WaitTimeout`; the saga goes on)."""
        seconds = given.patience(timeout)
        run: SagaRun | None = None
        ends = None if seconds is None else asyncio.get_running_loop().time() + seconds
        async with NoLongerThan(None if seconds is None else max(seconds, LAST_LOOK_SECONDS)):
            run = await self.start(saga, input, key=key)
        if run is None:
            raise WaitTimeout(not_known(f"saga {saga.name} was started", seconds))
        async with NoLongerThan(None if ends is None else max(0.0, ends - asyncio.get_running_loop().time())):
            return await run.result()
        return self._result_of(await self._last_look(run.id, seconds))

    async def result(self, id_or_key: str, timeout: Duration | None = None) -> SagaResult:
        """Wait until a saga has completed, failed or is stuck, and return its result; see `SagaRun.result`."""
        return await self._result(check_named(id_or_key), None, given.patience(timeout))

    async def _result(self, saga_id: str, drive: Drive | None, timeout: float | None) -> SagaResult:
        """Wait for a result; `drive` is the task that drives the saga here: with it, nothing has to be read."""
        self._check_running()
        drive = drive or self._worker.drive_of(saga_id)
        async with NoLongerThan(timeout):
            return self._result_of(await self._at_rest(saga_id, drive))
        return self._result_of(await self._last_look(saga_id, timeout))

    async def _last_look(self, saga_id: str, seconds: float | None) -> SagaState:
        """Look once more whether it has ended, as the time may have been too short to see it: but not for long."""
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                row = await self.status(saga_id)
                if row.status in AT_REST:
                    return await self.state(row.saga_id)
        except (TimeoutError, StoreUnavailable):
            raise WaitTimeout(not_known(f"saga {saga_id} has ended", seconds)) from None
        raise WaitTimeout(still_going(row, seconds))

    def _result_of(self, state: SagaState) -> SagaResult:
        return result_of(self.definitions.get(state.digest), state)

    async def _at_rest(self, saga_id: str, drive: Drive | None) -> SagaState:
        if drive is not None and (state := await end_of(drive)) is not None:
            return state
        row = await self.status(saga_id)
        if row.status not in AT_REST:
            await self._waiting.wait(row.saga_id)
        return await self.state(row.saga_id)

    async def resume(self, id_or_key: str, saga: given.SagaNamed | None = None, *, actor: str, reason: str) -> None:
        """Let a stuck saga go on where it stopped; what was done or undone is not repeated. Recorded with the actor.

        The saga is the one with this id, or else the newest one with this key (of `saga`, a name or the saga itself).
        Raises `InvalidAction` if it is not stuck, `SagaNotFound` and `UnknownSaga`.
        """
        self._check_running()
        saga_id = (await self.status(id_or_key, saga)).saga_id
        for _ in range(TRIES_TO_RESUME):
            state = await self.state(saga_id)
            definition = self.definitions.get(state.digest)
            if definition is None:
                raise UnknownSaga(f"saga {state.saga} version {state.definition_version} is not loaded in this process")
            if await self._starting.resume(definition, saga_id, state, actor, reason):
                return
        raise InvalidAction(f"saga {saga_id} is changed by others again and again; look at it, and resume it then")

    def _definition_of(self, saga: Saga[Any]) -> Definition:
        found = self._sagas.get((saga.name, saga.version))
        if found is None or found.definition is not saga.definition:
            known = ", ".join(f"{name} version {version}" for name, version in self._sagas) or "none"
            raise UnknownSaga(
                f"expected a saga that this process manager was built with ({known}), found {saga.name} "
                f"version {saga.version}; add it to sagas=[...]"
            )
        return self.definitions[saga.definition.digest]

    def _check_running(self) -> None:
        self._lifecycle.check_open()

    def _check_here(self) -> None:
        self._lifecycle.check_here()

    def _finished(self, saga_id: str, state: SagaState) -> None:
        self._waiting.finished(saga_id)

    def _hinted(self) -> None:
        self._waiting.hint()
        self._worker.hint()
        self._bus.hint()
        self._transports.hint()

    def _posted(self) -> None:
        self._bus.posted()
        self._transports.hint()
