"""The worker: it holds together what claims, drives and gives back the sagas of this process."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.consumer_release import ConsumerRelease
from sagalog.engine.cycle import Decision, state_of
from sagalog.engine.hint import Hint
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.attempt import Attempts
from sagalog.engine.sagas.beginnings import Beginnings
from sagalog.engine.sagas.claiming import Claiming
from sagalog.engine.sagas.driven import Driven
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.giving_back import GivingBack
from sagalog.engine.sagas.inbox import Inbox
from sagalog.engine.sagas.late_outcomes import LateOutcomes
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.news import Driver, News
from sagalog.engine.sagas.owner import Left
from sagalog.engine.sagas.recording import Recording
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.sagas.threadless import Threadless
from sagalog.engine.sagas.unwritable import fault_of
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Outcome, Then
from sagalog.errors import SagalogError
from sagalog.messages import Envelope
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Faulted, Input
from sagalog.saga.react import Effect
from sagalog.saga.state import SagaState
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
        news: News,
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
        self.news = news
        self.inbox = inbox
        self.stopping = False
        self._loop = asyncio.get_running_loop()
        self._loops: list[Loop] = []
        # Sagas that wait for the lease, to begin an attempt.
        self._unleased: list[Driver] = []
        lease = self._lease = WorkerLease(surroundings, self._lease_has_news)
        driven = self._driven = Driven(surroundings.limits.most_running)
        self.consumer_release = ConsumerRelease(surroundings, lambda: lease.worker_id)
        self.beginnings = Beginnings(surroundings, committer, self)
        self._attempts = Attempts(resources, self._clock, definitions, self.beginnings.begin_child)
        giving_back = self._giving_back = GivingBack(surroundings, lease, driven)
        recording = Recording(surroundings, committer, lease, driven, giving_back)
        recovery, poll = committer.recovery, surroundings.limits.poll
        self._late = LateOutcomes(self.take, recording.record, recording.record_at_last, poll, recovery.recovered)
        given_up = self._given_up = GivenUp(self._loop.time)
        threadless = self._threadless = Threadless(resources.turns, definitions, self._clock, self._loop.time)
        self._claiming = Claiming(
            surroundings, lease, driven, inbox, threadless, giving_back, given_up, recovery, hint, self._own_claimed
        )
        recovery.add(self._late.hurry)
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
        if 2 * len(driven.runners) <= driven.most:
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
    ) -> SagaRunner:
        """Drive a saga that we own, until it is at rest or has left this process."""
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
        self._driven.add(runner)
        self.news.add(runner)
        return runner

    def expect(self, start: Decision) -> Then:
        """Record that a saga's start is being written for this worker; return the function to call with its outcome."""
        self._driven.expected.add(start.saga_id)
        return partial(self._has_begun, start, self.worker_id)

    def _has_begun(self, start: Decision, worker_id: str, outcome: Outcome) -> None:
        self._driven.expected.discard(start.saga_id)
        if isinstance(outcome, Exception):
            # The start may have been written, and then this worker owns the saga and has to give it back.
            self._claiming.doubt()
        elif outcome == "written":
            log_transitions(start)
            # A worker that has another name by now lost its lease, and the saga with it.
            if worker_id == self.worker_id and not self.stopping:
                self.own(start.definition, start.saga_id, start.after, None, start.effects)

    def runner_of(self, saga_id: str) -> SagaRunner | None:
        """Return the runner that drives this saga, if it runs here."""
        return self._driven.runners.get(saga_id)

    def deliver(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message from the inbox to its saga, if it runs here; return False if the message has to be fetched."""
        runner = self._driven.runners.get(saga_id)
        if runner is None or not self.inbox.is_read(saga_id):
            self.inbox.missed(saga_id)
            return False
        runner.deliver(envelope)
        return True

    def left(self, runner: SagaRunner, why: Left) -> None:
        """Take note that a runner has left its saga: its outcomes are kept, and the saga is given back."""
        saga_id = runner.saga_id
        unfinished = why.unfinished
        self._driven.remove(runner)
        if why.problem is not None:
            self._give_up(saga_id, why.problem)
        else:
            self._given_up.forget(saga_id)
            self._threadless.driven(saga_id, runner.state, runner.lacks_thread)
        if why.is_lost:
            # If it was not lost to another worker after all, it has to be given back.
            self._claiming.doubt()
        self._late.keep(runner.definition, saga_id, why.unrecorded)
        self._late.keep_refused(runner.definition, saga_id, runner.decisions.refused)
        if runner.decisions.mail:
            # The messages are still in the inbox, and the next worker that claims the saga gets them.
            self.hint()
        if runner.at_rest:
            self._finished(saga_id)
            unfinished = not runner.decisions.wrote
        if unfinished:
            self._giving_back.add([saga_id])

    def wake_when_leased(self, driver: Driver) -> None:
        """Put a saga on the list of news once the lease holds again, or is known to be lost."""
        self._unleased.append(driver)

    def _lease_has_news(self, is_anew: bool) -> None:
        """Wake the runners that wait for the lease; once it has another name, all, since they have lost their sagas."""
        waiting, self._unleased = self._unleased, []
        for driver in waiting:
            self.news.add(driver)
        if is_anew:
            self._driven.wake_all()

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
        for runner in self._driven.runners.values():
            if runner.sleeping:
                runner.wake()
        until = self._loop.time() + grace
        await self._driven.empty_within(grace)
        while self._driven.runners:
            for runner in list(self._driven.runners.values()):
                if not runner.held:
                    runner.end()
            await self._driven.empty_within(LAST_ROUND)
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
