"""The first decision of a saga, written: one start at a time for each key. It checks no input, and drives no saga.

If the worker of this process has room for the saga, it owns it from the start, and drives it once it is written. Any
other saga is left to the worker that claims it.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sagalog.clock import new_id
from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.cycle import Decided, Decision, append_of, decision_of
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.one_at_a_time import OneAtATime
from sagalog.engine.writing.pieces import Outcome, Then, resolve, tell
from sagalog.errors import StoreError, WriteRefused
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Start
from sagalog.saga.transitions import OPEN
from sagalog.store import AppendOutcome

logger = logging.getLogger("sagalog.engine")

# Pauses between failed tries to start a child.
PAUSES = Pauses(0.05, 2.0)


class Host(Protocol):
    """What a start needs from the worker that may own the saga from the beginning."""

    @property
    def worker_id(self) -> str:
        """Return the name under which the worker owns sagas now."""
        ...

    def has_room_for(self, definition: Definition) -> bool:
        """Tell whether the worker may own one more saga."""
        ...

    def expect(self, start: Decision) -> Then:
        """Record that a start is being written for the worker; return the function to call with its outcome.

        It logs the start if it is written.
        """
        ...


class Beginnings:
    """Writes starts, for calls from outside and for child sagas."""

    def __init__(self, surroundings: Surroundings, committer: Committer, host: Host) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._host = host
        # By saga name and key.
        self._starts = OneAtATime(committer)

    def begin(
        self, definition: Definition, saga_id: str, start: Start, told: Then | None = None
    ) -> "asyncio.Future[AppendOutcome]":
        """Write a start; the outcome is "written", unless another start of its key was written, here or elsewhere.

        `told` is called with the outcome at once, so that whoever waits for it goes on in the same pass as the saga.

        The future raises the store's error if the outcome is unknown for too long, also that of an earlier start of the
        key.
        """
        purpose = definition.name, start.key
        if (other := self._starts.other(purpose)) is not None:
            return as_another(other)
        decision = decision_of(definition, saga_id, None, (start,), self._clock.now())
        assert decision is not None
        host = self._host
        # A child that is called off before it was begun has ended already.
        is_hosted = decision.after.status in OPEN and host.has_room_for(definition)
        append = append_of(decision, None, host.worker_id if is_hosted else None)
        # The start is logged and taken up even if its caller got an error meanwhile, or was cancelled.
        then = host.expect(decision) if is_hosted else partial(log_written, decision)
        return self._starts.submit(purpose, append, then if told is None else partial(in_order, then, told))

    async def begin_child(self, definition: Definition, start: Start, begun: Callable[[str], None]) -> str:
        """Start a saga that is a step of another one, or find the one that was, and return its id.

        If it is started here, `begun` is called with its id at once, so that its parent goes on in the same pass.

        It retries while the store is unavailable, until it is cancelled, and may be called again later. Raises
        `WriteRefused` if the database does not take the start.
        """
        backoff = Backoff(PAUSES)
        while True:
            try:
                found = await self._child(definition, start, begun)
            except WriteRefused:
                raise
            except StoreError as problem:
                logger.warning("child %s of saga %s is not started yet: %s", start.key, start.parent, problem)
                found = None
            if found is not None:
                return found
            await asyncio.sleep(backoff.pause())

    async def _child(self, definition: Definition, start: Start, begun: Callable[[str], None]) -> str | None:
        saga_id = new_id(self._clock)

        def told(outcome: Outcome) -> None:
            if outcome == "written":
                begun(saga_id)

        if await self.begin(definition, saga_id, start, told) == "written":
            return saga_id
        row = await self._blocking.read(self._store.latest_run, definition.name, start.key)
        return None if row is None else row.saga_id


def as_another(other: "asyncio.Future[AppendOutcome]") -> "asyncio.Future[AppendOutcome]":
    """Return a future that says "exists" once another start of the key has an outcome, whatever it is."""
    mine: asyncio.Future[AppendOutcome] = other.get_loop().create_future()

    def has_ended(other: "asyncio.Future[AppendOutcome]") -> None:
        problem = None if other.cancelled() else other.exception()
        resolve(mine, problem if isinstance(problem, Exception) else "exists")

    other.add_done_callback(has_ended)
    return mine


def in_order(first: Then, then: Then, outcome: Outcome) -> None:
    """Tell an outcome to two, one after the other."""
    tell(first, outcome)
    then(outcome)


def log_written(decision: Decided, outcome: Outcome) -> None:
    """Log a decision if it has become durable."""
    if outcome == "written":
        log_transitions(decision)
