"""The worker: it holds together what claims, drives and gives back the sagas of this process."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.consumer_release import ConsumerRelease
from sagalog.engine.cycle import Decision, state_of
from sagalog.engine.ending import end, end_patiently
from sagalog.engine.hint import Hint
from sagalog.engine.loops import Loop
from sagalog.engine.reentry import context_inside
from sagalog.engine.sagas.attempt import Attempts
from sagalog.engine.sagas.beginnings import Beginnings
from sagalog.engine.sagas.claiming import Claiming
from sagalog.engine.sagas.driven import Drive, Driven
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.giving_back import GivingBack
from sagalog.engine.sagas.inbox import Inbox
from sagalog.engine.sagas.late_outcomes import Conflict, LateOutcomes, Undriven
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.recording import Recording
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.sagas.threadless import Threadless
from sagalog.engine.sagas.unwritable import fault_of
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Then, Written
from sagalog.errors import SagalogError
from sagalog.messages import Envelope
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Faulted, Input
from sagalog.saga.react import Effect
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST
from sagalog.store import StatusRow, StoredEvent

logger = logging.getLogger("sagalog.engine")

# Seconds between two looks at the sagas that are to end.
LAST_ROUND = 1.0
# Most answers to a message come within this time, in microseconds.
SOON = 1_000_000
# How often a saga that cannot be driven here is tried before it is made stuck.
TRIES = 3


class Worker:
    """Runs the sagas that are claimed from the store or begun in this process."""

    def __init__(
        self,
        surroundings: Surroundings,
        definitions: dict[str, Definition],
        committer: Committer,
        resources: CallResources,
        finished: Callable[[str], None],
        hint: Hint,
        inbox: Inbox,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._longest_wait = surroundings.limits.longest_wait
        self._definitions = definitions
        self._committer = committer
        self._turns = resources.turns
        self._finished = finished
        self._hint = hint
        self.inbox = inbox
        self.stopping = False
        self._loop = asyncio.get_running_loop()
        self._inside = context_inside(surroundings.blocking)
        self._loops: list[Loop] = []
        lease = self._lease = WorkerLease(surroundings)
        driven = self._driven = Driven(surroundings.limits.most_running)
        self.consumer_release = ConsumerRelease(surroundings, lambda: lease.worker_id)
        self.beginnings = Beginnings(surroundings, committer, self)
        self._attempts = Attempts(resources, self._clock, definitions, self.beginnings.begin_child)
        giving_back = self._giving_back = GivingBack(surroundings, lease, driven)
        recording = Recording(surroundings, committer, lease, driven, giving_back)
        news, poll = committer.recovery, surroundings.limits.poll
        self._late = LateOutcomes(self.take, recording.record, recording.record_at_last, poll, news.recovered)
        given_up = self._given_up = GivenUp(self._loop.time)
        threadless = self._threadless = Threadless(resources.turns, definitions, self._clock, self._loop.time)
        self._claiming = Claiming(
            surroundings, lease, driven, inbox, threadless, giving_back, given_up, news, hint, self._own_claimed
        )
        news.add(self._late.hurry)
        resources.turns.add(self._threads_are_free)

    @property
    def worker_id(self) -> str:
        """Return the name under which this worker owns sagas now; it takes a new one after losing its lease."""
        return self._lease.worker_id

    @property
    def holds(self) -> bool:
        """Tell whether the lease has not run out, so that this worker still owns its sagas."""
        return self._lease.holds

    def has_room_for(self, definition: Definition) -> bool:
        """Tell whether the worker may own one more saga."""
        return self._lease.holds and not self.stopping and self._driven.room > 0 and self._threadless.takes(definition)

    def drives(self, saga_id: str) -> bool:
        """Tell whether the saga is driven here."""
        return saga_id in self._driven

    def patience(self, expects_mail: bool) -> int:
        """Return for how many microseconds a saga that only waits may stay.

        Once this process owns half of its maximum, waiting sagas could keep out others that could run. Then one that
        waits only for time is given back at once, and one that `expects_mail` if no message comes soon.
        """
        longest, driven = self._longest_wait, self._driven
        if 2 * len(driven.tasks) <= driven.most:
            return longest
        return min(longest, SOON) if expects_mail else 0

    async def start(self) -> None:
        """Begin the lease and the loops that claim and renew."""
        await self._lease.begin()
        self._loops = [
            Loop(self._claiming.run, "sagalog-claim", self._claiming.doubt),
            Loop(self._giving_back.run, "sagalog-give-back", partial(self._giving_back.add, ())),
            Loop(self._lease.keep, "sagalog-renew", self._lease.renew_soon),
        ]

    def hint(self) -> None:
        """Look for due sagas now instead of at the next poll."""
        self._hint.give()

    def _threads_are_free(self) -> None:
        """Look for sagas that were left to others because no thread was free."""
        self._threadless.hurry()
        self.hint()

    async def ready(self, worker_id: str) -> bool:
        """Wait until the lease holds; return False if `worker_id` lost it, or this worker stops."""
        return await self._lease.wait(worker_id)

    def holds_as(self, worker_id: str) -> bool:
        """Tell whether `worker_id` has the lease and it holds; callable from any thread."""
        return self._lease.held_by(worker_id)

    def own(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        unrecorded: list[Input] | None = None,
        effects: list[Effect] | None = None,
        last_resort: Input | None = None,
    ) -> Drive:
        """Drive a saga that we own; the task ends when it is at rest or has left this process."""
        runner = SagaRunner(
            definition,
            saga_id,
            state,
            self,
            self._committer,
            self._attempts,
            self._clock,
            unrecorded,
            effects,
            last_resort,
        )
        self._giving_back.keep(saga_id)
        task = self._loop.create_task(self._drive(runner), context=self._inside.copy())
        self._driven.add(runner, task)
        task.add_done_callback(partial(self._was_driven, runner), context=self._inside)
        return task

    def expect(self, start: Decision) -> Then:
        """Record that a saga's start is being written for this worker; return the function to call with its outcome."""
        worker_id = self.worker_id
        self._driven.expected.add(start.saga_id)

        def then(written: Written) -> None:
            self._driven.expected.discard(start.saga_id)
            if written is None:
                # The start may have been written, and then this worker owns the saga and has to give it back.
                self._claiming.doubt()
            # A worker that has another name by now lost its lease, and the saga with it.
            if written and worker_id == self.worker_id and not self.stopping:
                self.own(start.definition, start.saga_id, start.after, None, start.effects)

        return then

    def drive_of(self, saga_id: str) -> Drive | None:
        """Return the task that drives this saga, if it runs here."""
        return self._driven.tasks.get(saga_id)

    def deliver(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message from the inbox to its saga, if it runs here; return False if the message has to be fetched."""
        runner = self._driven.runners.get(saga_id)
        if runner is None or not self.inbox.is_read(saga_id):
            self.inbox.missed(saga_id)
            return False
        runner.deliver(envelope)
        return True

    async def _drive(self, runner: SagaRunner) -> SagaState | None:
        saga_id = runner.saga_id
        unfinished = False
        try:
            unfinished = await runner.run()
            self._given_up.forget(saga_id)
            self._threadless.driven(saga_id, runner.state, runner.lacks_thread)
        except Conflict as conflict:
            self._given_up.forget(saga_id)
            self._late.keep(runner.definition, saga_id, conflict.unrecorded)
            # If it was not lost to another worker after all, it has to be given back.
            self._claiming.doubt()
        except Undriven as undriven:
            self._give_up(saga_id, undriven.__cause__ or undriven)
            self._late.keep(runner.definition, saga_id, undriven.unrecorded)
            unfinished = True
        finally:
            self._driven.remove(runner)
        self._late.keep_refused(runner.definition, saga_id, runner.refused)
        if runner.has_mail:
            # The messages are still in the inbox, and the next worker that claims the saga gets them.
            self.hint()
        at_rest = runner.state.status in AT_REST
        if at_rest:
            self._finished(saga_id)
            unfinished = not runner.wrote
        if unfinished:
            self._giving_back.add([saga_id])
        return runner.state if at_rest else None

    def _was_driven(self, runner: SagaRunner, task: Drive) -> None:
        """Keep the outcomes of a saga whose task was cancelled by any code, perhaps before it had begun."""
        if not task.cancelled():
            return
        self._driven.remove(runner)
        self._late.keep(runner.definition, runner.saga_id, runner.unrecorded)
        self._late.keep_refused(runner.definition, runner.saga_id, runner.refused)
        if self.stopping and not runner.unrecorded and not runner.refused:
            # No write is under way for this saga, so it need not wait for the others that still run here.
            self._giving_back.add([runner.saga_id])
        # In the store this worker still owns the saga.
        self._claiming.doubt()

    def _give_up(self, saga_id: str, problem: BaseException) -> None:
        """Leave a saga that cannot be driven here to other workers for a while, and log it."""
        if self.stopping:
            # While the process stops, a failed write is not the saga's fault; it is given back with all others.
            return
        pause = self._given_up.add(saga_id, problem)
        trace = None if isinstance(problem, SagalogError) else problem
        text = "saga %s cannot be driven here and is left to others for %g s: %s"
        logger.error(text, saga_id, pause, described(problem), exc_info=trace)

    async def take(self, definition: Definition, saga_id: str, unrecorded: list[Input] | None = None) -> bool:
        """Claim one saga, due or not, to record its kept outcomes; return False if another worker runs it."""
        async with self._driven.turn:
            return await self._take(definition, saga_id, unrecorded)

    async def _take(self, definition: Definition, saga_id: str, unrecorded: list[Input] | None) -> bool:
        busy = saga_id in self._driven or saga_id in self._giving_back or saga_id in self._given_up
        if busy or self.stopping or not self._lease.holds:
            return False
        worker_id = self.worker_id
        try:
            if not await self._blocking.write(self._store.claim_one, worker_id, saga_id, self._clock.now()):
                return False
            stored = await self._blocking.read(self._store.read, saga_id)
            if worker_id != self.worker_id or self.stopping:
                return False
            state = state_of(stored)
        except BaseException:
            # This worker may own the saga although the answer was lost.
            self._claiming.doubt()
            raise
        self._own_with_all(definition, saga_id, state, unrecorded)
        return True

    def _own_with_all(
        self, definition: Definition, saga_id: str, state: SagaState, unrecorded: list[Input] | None = None
    ) -> None:
        """Drive a saga with its kept outcomes; if they cannot be recorded, record that it is stuck."""
        known = [*self._late.pop(saga_id), *(unrecorded or ())]
        self.own(definition, saga_id, state, known, last_resort=self._end_of_patience(saga_id))

    def _end_of_patience(self, saga_id: str) -> Input | None:
        """Return the input that makes a saga stuck after it could not be driven too often."""
        problem = self._given_up.problem(saga_id)
        return None if problem is None or self._given_up.number(saga_id) < TRIES else Faulted(fault_of(problem))

    def _own_claimed(self, row: StatusRow, stored: Sequence[StoredEvent]) -> None:
        """Drive a saga that has just been claimed, with its kept outcomes."""
        try:
            state = state_of(stored)
            if state.version != row.version:
                raise SagalogError(f"its status row is at version {row.version}, its events at {state.version}")
        except Exception as problem:
            # Nothing may be appended to events that cannot be read, so the saga is left as it is.
            self._give_up(row.saga_id, problem)
            self._giving_back.add([row.saga_id])
        else:
            self._own_with_all(self._definitions[row.definition], row.saga_id, state)

    async def stop(self, grace: float) -> None:
        """Stop claiming; async actions get `grace` seconds to end, compensations and threads all their time."""
        self.stopping = True
        # Calls that wait for a thread have not begun, and no thread may ever become free.
        self._turns.stop()
        for loop in self._loops[:1]:  # none has begun if the lease could not be had
            loop.end()
        self._lease.end()
        for saga_id, runner in list(self._driven.runners.items()):
            if runner.sleeping:
                end(self._driven.tasks[saga_id])
        until = self._loop.time() + grace
        await self._wait_for_runners(grace)
        while self._driven.tasks:
            for saga_id, runner in list(self._driven.runners.items()):
                if not runner.held:
                    end_patiently(self._driven.tasks[saga_id])
            await self._wait_for_runners(LAST_ROUND)
            # Handlers may still run for long; outcomes of other sagas are recorded without waiting for them.
            await self._late.try_at_last(LAST_ROUND)
        await self._late.stop(max(LAST_ROUND, until - self._loop.time()))
        await asyncio.gather(*(loop.stop() for loop in self._loops[:1]))

    async def release(self) -> None:
        """Give back every saga and the lease; call it when nothing is left to be written.

        Until then the lease is renewed, so that no other process begins a message handler that still runs here.
        """
        await asyncio.gather(self.consumer_release.stop(), *(loop.stop() for loop in self._loops))
        try:
            await self._blocking.write(self._store.release, self.worker_id)
        except Exception as problem:
            logger.info("the sagas of this worker are left to others, with its lease: %s", described(problem))
            await self._end_lease()

    async def _end_lease(self) -> None:
        """End the lease now; if not everything could be given back, others take it over one by one."""
        try:
            await self._blocking.renew(self._store.renew, self.worker_id, self._clock.now())
        except Exception as problem:
            logger.warning("the sagas of this worker wait for the end of its lease: %s", described(problem))

    async def _wait_for_runners(self, seconds: float | None) -> None:
        if self._driven.tasks:
            await asyncio.wait(list(self._driven.tasks.values()), timeout=seconds)
