"""Inputs from outside: the start of a saga, with its input checked and its key; `actions` has what people ask."""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from sagalog.clock import new_id
from sagalog.engine.asking import asked
from sagalog.engine.carrying import carrying
from sagalog.engine.cycle import append_of, decision_of, state_of
from sagalog.engine.sagas.beginnings import log_written
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.one_at_a_time import OneAtATime
from sagalog.errors import (
    InvalidIdentifier,
    InvalidInput,
    MissingKey,
    StoreUnavailable,
)
from sagalog.saga.attributes import Recorded, checked
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition
from sagalog.saga.failure import Carried, Redact, described, uncarried
from sagalog.saga.identifiers import check_identifier, check_recorded
from sagalog.saga.inputs import Input, Start, StartAgain
from sagalog.saga.state import SagaState

TRIES = 20


class Started(Struct, frozen=True):
    """The saga that a start led to, and its runner, if it is driven here."""

    saga_id: str
    key: str
    created: bool
    runner: SagaRunner | None = None


class OutsideInputs:
    """Starts sagas, and records starts that were refused."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        worker: Worker,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._worker = worker
        self._beginnings = worker.beginnings
        # Queued inputs for sagas without an owner, by saga id.
        self._inputs = OneAtATime(committer)

    async def start(
        self,
        definition: Definition,
        value: Any,
        key: str | None,
        correlation_id: str | None,
        causation_id: str | None,
    ) -> Started:
        """Start a saga, or find the one that has the key."""
        if correlation_id is not None:
            correlation_id = check_identifier(correlation_id, "the correlation id")
        if causation_id is not None:
            causation_id = check_identifier(causation_id, "the causation id")
        try:
            data = definition.input.write(value, f"the input of saga {definition.name}")
        except TypeError as problem:
            raise InvalidInput(str(problem)) from None
        key = _key(definition, value, key)
        attributes = _attributes(definition, value)
        key = await self._known_or_new(definition, key)
        run = 1
        for _ in range(TRIES):
            saga_id = new_id(self._clock)
            start = Start(key, data, run, correlation_id or saga_id, causation_id, attributes=attributes)
            if await self._beginnings.begin(definition, saga_id, start) == "written":
                return Started(saga_id, key, True, self._worker.runner_of(saga_id))
            row = await asked(self._blocking, self._store.latest_run, definition.name, key)
            if row is None:
                continue
            if row.status in ("completed", "failed"):
                if definition.reruns:
                    run = row.run + 1
                    continue
                await self._refuse(definition, row.saga_id, StartAgain(correlation_id or row.saga_id, causation_id))
            return Started(row.saga_id, key, False)
        raise StoreUnavailable(
            f"saga {definition.name} {key} is started and ended by others all the time; start it again later"
        )

    async def _known_or_new(self, definition: Definition, key: str) -> str:
        """Return a key that is valid today, or that an older version recorded; the same key is the same saga."""
        what = f"the key of saga {definition.name}"
        try:
            return check_identifier(key, what)
        except InvalidIdentifier:
            key = check_recorded(key, what)
            if await asked(self._blocking, self._store.latest_run, definition.name, key) is None:
                raise
            return key

    async def _refuse(self, definition: Definition, saga_id: str, again: StartAgain) -> None:
        for _ in range(TRIES):
            state = state_of(await asked(self._blocking, self._store.read, saga_id))
            if await self._tell(definition, saga_id, state, again):
                return
        raise StoreUnavailable(f"saga {saga_id} is changed by others all the time; start it again later")

    async def _tell(self, definition: Definition, saga_id: str, state: SagaState, input: Input) -> bool:
        """Decide on an input for a saga without an owner; return False if another write came first."""
        if (other := self._inputs.other(saga_id)) is not None:
            await other
            return False
        decision = decision_of(definition, saga_id, state, (input,), self._clock.now())
        if decision is None:
            return True
        append = append_of(decision, None, None)
        return await self._inputs.submit(saga_id, append, partial(log_written, decision)) == "written"


def _key(definition: Definition, value: Any, key: str | None) -> str:
    if key is None and definition.key is not None:
        key = _asked(definition.key, value, f"key= of saga {definition.name}", definition.redact)
    if key is None:
        raise MissingKey(
            f"saga {definition.name} was started without a key, so a repeated start could not be recognised; "
            "pass key=..., or declare Saga(key=lambda input: ...)"
        )
    return key


def _attributes(definition: Definition, value: Any) -> Recorded:
    """Return the attributes that an input brings; raises `InvalidInput`, so that the start is refused."""
    if definition.attributes is None:
        return {}
    what = f"attributes= of saga {definition.name}"
    try:
        given = _asked(definition.attributes, value, what, definition.redact)
    except InvalidInput:
        raise
    except Exception as problem:
        raise InvalidInput(f"{what} raised {described(problem, definition.redact)}") from problem
    try:
        return checked(given)
    except InvalidInput as problem:
        raise InvalidInput(f"{what}: {problem}") from None


def _asked(function: Callable[[Any], Any], value: Any, what: str, redact: Redact | None) -> Any:
    """Return what a function of the user returns for a value; what it raises is passed on.

    Raises `InvalidInput`, which names the function, in place of what would end the caller's own coroutine, loop or
    task: `StopIteration`, a cancellation, whatever is no `Exception`.
    """
    try:
        return plain_answer(carrying(function, value), what)
    except (Carried, StopAsyncIteration) as problem:
        raise InvalidInput(f"{what} raised {described(uncarried(problem), redact)}") from uncarried(problem)
