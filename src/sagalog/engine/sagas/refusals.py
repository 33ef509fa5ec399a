"""What a saga's runner does when the database refuses a decision: it tries again, or records a fault in its place.

A refusal is believed if other writes pass meanwhile. If none does, the whole database may be in trouble, whatever the
error says, so nothing is concluded about this write. Successes are kept, to be recorded later.
"""

import asyncio
from functools import partial
from typing import Protocol

from sagalog.clock import Clock
from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.ending import end
from sagalog.engine.message_log import log_parked
from sagalog.engine.sagas.owner import Owner
from sagalog.engine.sagas.unwritable import instead_of, is_news, is_success
from sagalog.engine.unmatched import parked_row
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.failed_writes import is_believed
from sagalog.engine.writing.pieces import Outcome, Then, resolve
from sagalog.errors import WriteRefused
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Input, Receive
from sagalog.saga.state import UNTOUCHED, SagaState
from sagalog.saga.transitions import OPEN
from sagalog.store import Posting

# Pauses between two tries of a refused input.
PAUSES = Pauses(1.0, 60.0)


class Recorder(Protocol):
    """The saga, and the function that records an input for it."""

    state: SagaState

    async def record(self, input: Input) -> bool:
        """Decide on an input and make the decision durable; return False on a conflict."""
        ...

    def has_insisted(self, outcome: bool | BaseException) -> None:
        """Take note of what has become of a refused input; False: the saga is lost to others."""
        ...


class Refusals:
    """Handles the refused decisions of one saga, in a task of its own: it may have to wait."""

    def __init__(
        self,
        definition: Definition,
        saga_id: str,
        owner: Owner,
        committer: Committer,
        clock: Clock,
    ) -> None:
        self._definition = definition
        self._saga_id = saga_id
        self._owner = owner
        self._committer = committer
        self._clock = clock
        # Those that a fault was recorded in place of.
        self._successes: list[Input] = []
        self._task: asyncio.Task[bool] | None = None

    def successes(self, state: SagaState) -> list[Input]:
        """Return the successes that could not be written and are still of use."""
        return [success for success in self._successes if is_news(state, success)]

    def insist(self, saga: Recorder, input: Input, problem: WriteRefused, commits: int) -> None:
        """Try a refused input again, or record a fault in its place; `saga.has_insisted` is called with the outcome."""
        self._task = asyncio.get_running_loop().create_task(self._tell(saga, input, problem, commits))
        self._task.add_done_callback(partial(self._is_told, saga))

    def end(self) -> None:
        """Try no more."""
        if self._task is not None:
            end(self._task)

    def _is_told(self, saga: Recorder, told: "asyncio.Task[bool]") -> None:
        self._task = None
        problem = None if told.cancelled() else told.exception()
        # If other code has cancelled it, nobody knows what was written.
        saga.has_insisted(not told.cancelled() and told.result() if problem is None else problem)

    async def _tell(self, saga: Recorder, input: Input, problem: WriteRefused, commits: int) -> bool:
        """Try a refused input until the refusal is believed, then record a fault instead; return False on a conflict.

        `commits` is how many the committer had made before. Raises `WriteRefused` if nothing can be told.
        """
        loop = asyncio.get_running_loop()
        began, backoff = loop.time(), Backoff(PAUSES)
        while True:
            if is_believed(self._committer.commits != commits, loop.time() - began):
                try:
                    return await self._tell_instead(saga, input, problem)
                except WriteRefused as another:
                    # While no write passes at all, the saga waits for the database.
                    if another is problem or self._committer.commits != commits:
                        raise
            if self._owner.stopping:
                raise problem
            await asyncio.sleep(backoff.pause())
            commits = self._committer.commits
            try:
                return await saga.record(input)
            except WriteRefused as again:
                problem = again

    async def _tell_instead(self, saga: Recorder, input: Input, problem: WriteRefused) -> bool:
        """Record that an input cannot be written; raise `problem` if there is nothing to record."""
        if isinstance(input, Receive) and input.message.kind != "note":
            parked = asyncio.get_running_loop().create_future()
            self.park(input.message, problem, partial(resolve, parked))
            await parked
            return True
        if is_success(input) and saga.state.status not in OPEN:
            # The fault is recorded already.
            self._successes.append(input)
            return True
        instead = instead_of(input, saga.state.steps.get(getattr(input, "step", ""), UNTOUCHED), problem)
        if instead is None:
            raise problem
        if not await saga.record(instead):
            return False
        if is_success(input):
            self._successes.append(input)
        return True

    def park(self, message: Envelope, problem: WriteRefused | str, then: Then) -> None:
        """Park a message that is unreadable, or whose recording the database refuses; other messages go on."""
        kind = "choreography" if isinstance(self._definition, ChoreographyDefinition) else "saga"
        reason = f"saga {self._saga_id} could not take it: {problem}"
        position = message.position if isinstance(message, Unreadable) else None
        row = parked_row(self._clock, f"{kind}:{self._definition.name}", message, position, reason)

        def is_parked(outcome: Outcome) -> None:
            if outcome == "written":
                log_parked(row)
            then(outcome)

        self._committer.post_then(Posting(taken=(self._saga_id, message.id), parked=row), is_parked)
