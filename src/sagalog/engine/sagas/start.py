"""How a saga begins: the input is checked at the door, the key decides, and the start is one append like any other."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from sagalog.clock import new_id
from sagalog.engine.asking import asked
from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.carrying import carrying
from sagalog.engine.cycle import Decision, append_of, decision_of, state_of
from sagalog.engine.sagas.worker import Drive, Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import Committer, Then, Written
from sagalog.engine.writing.one_at_a_time import OneAtATime
from sagalog.errors import (
    InvalidIdentifier,
    InvalidInput,
    MissingKey,
    StoreError,
    StoreUnavailable,
    WriteRefused,
)
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition
from sagalog.saga.failure import Carried, Redact, described, uncarried
from sagalog.saga.identifiers import check_identifier, check_reason, check_recorded
from sagalog.saga.inputs import Input, Resume, Start, StartAgain
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN

logger = logging.getLogger("sagalog.engine")

TRIES = 20
PAUSES = Pauses(0.05, 2.0)


class Started(Struct, frozen=True):
    """The saga that a start led to, and the task that drives it if that is here."""

    saga_id: str
    key: str
    created: bool
    drive: Drive | None = None


class Starting:
    """Begin sagas, and tell those that nobody runs something new."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        worker: Worker | None,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._worker = worker
        # Starts by saga name and key, and what sagas are told by their ids.
        self._begun = OneAtATime(committer)
        self._told = OneAtATime(committer)
        if worker is not None:
            worker.begin_children_by(self.start_child)

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
        key = await self._known_or_new(definition, _key(definition, value, key))
        run = 1
        for _ in range(TRIES):
            saga_id = new_id(self._clock)
            told = Start(key, data, run, correlation_id or saga_id, causation_id)
            if await self._begin(definition, saga_id, told):
                drive = None if self._worker is None else self._worker.drive_of(saga_id)
                return Started(saga_id, key, True, drive)
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
        """Return a key that is taken today, or that an older version took: the same key is the same saga."""
        what = f"the key of saga {definition.name}"
        try:
            return check_identifier(key, what)
        except InvalidIdentifier:
            key = check_recorded(key, what)
            if await asked(self._blocking, self._store.latest_run, definition.name, key) is None:
                raise
            return key

    async def start_child(self, definition: Definition, told: Start) -> str:
        """Start a saga that is a step of another one, or find the one that was, and return its id.

        It does not give up while the store is unavailable: whoever cancels it may ask again later. Raises
        `WriteRefused` if the database does not take the start.
        """
        backoff = Backoff(PAUSES)
        while True:
            try:
                found = await self._start_child(definition, told)
            except WriteRefused:
                raise
            except StoreError as problem:
                logger.warning("child %s of saga %s is not started yet: %s", told.key, told.parent, problem)
                found = None
            if found is not None:
                return found
            await asyncio.sleep(backoff.pause())

    async def _start_child(self, definition: Definition, told: Start) -> str | None:
        saga_id = new_id(self._clock)
        if await self._begin(definition, saga_id, told):
            return saga_id
        row = await self._blocking.read(self._store.latest_run, definition.name, told.key)
        return None if row is None else row.saga_id

    async def _begin(self, definition: Definition, saga_id: str, told: Start) -> bool:
        """Write a start; False if there may be a saga with its key, since another start was written, here or elsewhere.

        Raises the store's error if nobody knows for too long, also of a start with the same key that is queued already.
        """
        purpose = definition.name, told.key
        if await self._begun.other(purpose):
            return False
        decision = decision_of(definition, saga_id, None, (told,), self._clock.now())
        assert decision is not None
        # A child that is called off before it was begun has ended already.
        has_room = self._worker is not None and self._worker.has_room_for(definition) and decision.after.status in OPEN
        worker = self._worker if has_room else None
        append = append_of(decision, None, None if worker is None else worker.worker_id)
        # It is logged and taken up even if the caller has been told that nobody knows, or has gone.
        take_up = None if worker is None else worker.expect(decision)
        return await self._begun.submit(purpose, append, partial(_settled, decision, take_up)) == "written"

    async def _refuse(self, definition: Definition, saga_id: str, told: StartAgain) -> None:
        for _ in range(TRIES):
            state = state_of(await asked(self._blocking, self._store.read, saga_id))
            if await self._tell(definition, saga_id, state, told):
                return
        raise StoreUnavailable(f"saga {saga_id} is changed by others all the time; start it again later")

    async def resume(self, definition: Definition, saga_id: str, state: SagaState, actor: str, reason: str) -> bool:
        """Tell a stuck saga to go on, and any worker takes it up; False if it is in another state meanwhile."""
        told = Resume(check_identifier(actor, "the actor"), check_reason(reason, "the reason"))
        if not await self._tell(definition, saga_id, state, told):
            return False
        if self._worker is not None:
            self._worker.hint()
        return True

    async def _tell(self, definition: Definition, saga_id: str, state: SagaState, told: Input) -> bool:
        """Decide for a saga that nobody owns; False if somebody else was quicker, or was about to be."""
        if await self._told.other(saga_id):
            return False
        decision = decision_of(definition, saga_id, state, (told,), self._clock.now())
        if decision is None:
            return True
        append = append_of(decision, None, None)
        return await self._told.submit(saga_id, append, partial(_settled, decision, None)) == "written"


def _settled(decision: Decision, take_up: Then | None, written: Written) -> None:
    """Log what has become durable, and tell the worker that expects it; called once, whoever still waits."""
    if written:
        log_transitions(decision)
    if take_up is not None:
        take_up(written)


def _key(definition: Definition, value: Any, key: str | None) -> str:
    if key is None and definition.key is not None:
        key = _asked(definition.key, value, f"key= of saga {definition.name}", definition.redact)
    if key is None:
        raise MissingKey(
            f"saga {definition.name} was started without a key, so a repeated start could not be recognised; "
            "pass key=..., or declare Saga(key=lambda input: ...)"
        )
    return key


def _asked(function: Callable[[Any], Any], value: Any, what: str, redact: Redact | None) -> Any:
    """Return what a function of the user's says of a value; what it raises reaches whoever asked as it is.

    Raises `InvalidInput`, which names the function, in the place of what would end the caller's own coroutine, loop or
    task: `StopIteration`, a cancellation, whatever is no `Exception`.
    """
    try:
        return plain_answer(carrying(function, value), what)
    except (Carried, StopAsyncIteration) as problem:
        raise InvalidInput(f"{what} raised {described(uncarried(problem), redact)}") from uncarried(problem)
