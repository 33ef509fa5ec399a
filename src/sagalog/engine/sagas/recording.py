"""Recording outcomes of sagas that nobody drives. It makes no attempt.

It does not own a saga that is stuck or has ended, so that a person can resume the saga at any moment. An input for a
saga that has to go on is written under the name of the worker that owns it.
"""

from sagalog.engine.cycle import append_of, decision_of, state_of
from sagalog.engine.sagas.driven import Driven
from sagalog.engine.sagas.giving_back import GivingBack
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import Committer
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Input
from sagalog.saga.transitions import OPEN


class Recording:
    """Records outcomes that arrive after their saga came to rest or was given up."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        lease: WorkerLease,
        driven: Driven,
        giving_back: GivingBack,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._committer = committer
        self._clock = surroundings.clock
        self._lease = lease
        self._turn = driven.turn
        self._giving_back = giving_back

    async def record(self, definition: Definition, saga_id: str, input: Input, holder: str | None = None) -> bool:
        """Record an input of a saga at rest, or owned by `holder`; return False if it is neither, or has changed.

        Raises `WriteRefused` if the database does not take it, and what the store raises while it is read.
        """
        before = state_of(await self._blocking.read(self._store.read, saga_id))
        if before.status in OPEN and holder is None:
            return False
        decision = decision_of(definition, saga_id, before, (input,), self._clock.now())
        if decision is None:
            return True
        written = await self._committer.submit(append_of(decision, holder, holder)) == "written"
        if written:
            log_transitions(decision)
        return written

    async def record_at_last(self, definition: Definition, saga_id: str, input: Input) -> bool:
        """Record an input of a saga that is no longer driven here, and give it back; False if it cannot be claimed."""
        if not await self.record(definition, saga_id, input):
            worker_id = self._lease.worker_id
            async with self._turn:
                self._giving_back.keep(saga_id)
                if not await self._blocking.write(self._store.claim_one, worker_id, saga_id, self._clock.now()):
                    return False
            if not await self.record(definition, saga_id, input, worker_id):
                return False
        self._giving_back.add([saga_id])
        return True
