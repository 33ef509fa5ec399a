"""What a process manager does with sagas: start them, wait for their results. It decides nothing.

A result is taken from the saga's runner if the saga runs in this process; otherwise its row is polled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sagalog.engine.sagas.outside_inputs import Started
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.sagas.waiters import LAST_LOOK_SECONDS, NoLongerThan, end_of, not_known, still_going
from sagalog.errors import StoreUnavailable, UnknownSaga, WaitTimeout
from sagalog.process_manager.arguments import check_named, check_start, patience
from sagalog.process_manager.inspection import Inspection
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.readmodel.result import SagaResult, result_of
from sagalog.saga.declare import Saga
from sagalog.saga.definition import Definition
from sagalog.saga.durations import Duration
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST
from sagalog.store import StatusRow, Store

InputT = TypeVar("InputT")


class SagaRun:
    """One run of a saga: its id, saga name and key.

    `created` is False if a saga with this key existed already and no new run was started.
    """

    def __init__(
        self,
        owner: Inspection,
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
        """Wait until the saga has completed, failed or is stuck, and return its result.

        `timeout` is in seconds or a timedelta; None waits for as long as it takes. Raises `WaitTimeout` when it is
        over; the saga goes on. Raises `InvalidQuery` for an invalid timeout.
        """
        return await self._result(patience(timeout))

    async def status(self) -> StatusRow:
        """Return the saga's present row of `saga_status`."""
        return await self._owner.status(self.id)


class Execution(Inspection):
    """The part of `ProcessManager` that starts sagas and waits for them.

    `sagas` can be started; `definitions`, by digest, are used to read results.
    """

    def __init__(
        self, lifecycle: Lifecycle, store: Store, sagas: Sequence[Saga[Any]], definitions: Mapping[str, Definition]
    ) -> None:
        Inspection.__init__(self, lifecycle, store)
        self.definitions = definitions
        self._sagas = {(saga.name, saga.version): saga for saga in sagas}

    async def start(
        self,
        saga: Saga[InputT],
        input: InputT,
        *,
        key: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> SagaRun:
        """Start a saga and return its run once the start is durable.

        If a saga with this key exists, that one is returned and no second one is started. Only a saga declared with
        `after_end="rerun"` starts a new run once the last one has ended.

        Raises `MissingKey`, `InvalidInput`, `PayloadTooLarge` or `InvalidIdentifier` for a mistake in the arguments,
        and `UnknownSaga` for a saga that the process manager was not built with. Raises `StoreUnavailable` if it is
        unknown whether the start was written; starting again with the same key is safe.
        """
        started = await self._started(saga, input, key, correlation_id, causation_id)
        return SagaRun(self, saga.name, started, partial(self._result, started.saga_id, started.runner))

    def _started(
        self,
        saga: Saga[InputT],
        input: InputT,
        key: str | None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> Coroutine[Any, Any, Started]:
        engine = self._lifecycle.engine()
        check_start(saga, input)
        return engine.outside_inputs.start(self._definition_of(saga), input, key, correlation_id, causation_id)

    async def execute(
        self, saga: Saga[InputT], input: InputT, *, key: str | None = None, timeout: Duration | None = None
    ) -> SagaResult:
        """Start a saga and return its result; raises what `start` and `SagaRun.result` raise.

        `timeout` covers both. If `WaitTimeout` is raised before the start is known to be written, its text says so;
        starting again with the same key is safe.
        """
        seconds = patience(timeout)
        if seconds is None:
            started = await self._started(saga, input, key)
            return self._result_of(await self._at_rest(started.saga_id, started.runner))
        run: SagaRun | None = None
        ends = asyncio.get_running_loop().time() + seconds
        async with NoLongerThan(max(seconds, LAST_LOOK_SECONDS)):
            run = await self.start(saga, input, key=key)
        if run is None:
            raise WaitTimeout(not_known(f"saga {saga.name} was started", seconds))
        async with NoLongerThan(max(0.0, ends - asyncio.get_running_loop().time())):
            return await run.result()
        return self._result_of(await self._last_look(run.id, seconds))

    async def result(self, id_or_key: str, timeout: Duration | None = None) -> SagaResult:
        """Wait until a saga, given by id or key, has completed, failed or is stuck, and return its result.

        Raises `SagaNotFound` if there is none, and what `SagaRun.result` raises.
        """
        return await self._result(check_named(id_or_key), None, patience(timeout))

    async def _result(self, saga_id: str, runner: SagaRunner | None, timeout: float | None) -> SagaResult:
        """Wait for a result; `runner` is that of the saga in this process, if any."""
        engine = self._lifecycle.engine()
        runner = runner or engine.worker.runner_of(saga_id)
        async with NoLongerThan(timeout):
            return self._result_of(await self._at_rest(saga_id, runner))
        return self._result_of(await self._last_look(saga_id, timeout))

    async def _at_rest(self, saga_id: str, runner: SagaRunner | None) -> SagaState:
        """Wait until a saga has ended or is stuck, and return its state."""
        if runner is not None and (state := await end_of(runner)) is not None:
            return state
        row = await self.status(saga_id)
        if row.status not in AT_REST:
            await self._lifecycle.engine().waiters.wait(row.saga_id)
        return await self.state(row.saga_id)

    async def _last_look(self, saga_id: str, seconds: float | None) -> SagaState:
        """Return the saga's state if it has ended or is stuck; otherwise raise `WaitTimeout`.

        This is called when the time is over, because the time may have been too short for the first read.
        """
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

    def _definition_of(self, saga: Saga[Any]) -> Definition:
        """Return a saga's definition; raises `UnknownSaga` if the process manager was not built with this saga."""
        found = self._sagas.get((saga.name, saga.version))
        if found is None or found.definition is not saga.definition:
            known = ", ".join(f"{name} version {version}" for name, version in self._sagas) or "none"
            raise UnknownSaga(
                f"expected a saga that this process manager was built with ({known}), found {saga.name} "
                f"version {saga.version}; add it to sagas=[...]"
            )
        return self.definitions[saga.definition.digest]
