"""The sagas that this process owns: claiming them, driving them, giving them back."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from sagalog.clock import Clock
from sagalog.codec import CODEC
from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.leaving import Leaving
from sagalog.engine.ending import end, end_patiently
from sagalog.engine.inside import inside
from sagalog.engine.limits import Limits
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.attempt import Attempts, BeginChild
from sagalog.engine.sagas.claiming import Claiming
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.giving_back import GivingBack
from sagalog.engine.sagas.inbox import Mail
from sagalog.engine.sagas.late_outcomes import Conflict, LateOutcomes, Undriven
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.recording import Recording
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.sagas.threadless import Threadless
from sagalog.engine.sagas.unwritable import fault_of
from sagalog.engine.writing.committer import Committer, Then, Written
from sagalog.errors import SagalogError
from sagalog.messages import Envelope
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import fold
from sagalog.saga.failure import described
from sagalog.saga.inputs import Faulted, Input
from sagalog.saga.react import Effect
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST
from sagalog.store import StatusRow, Store, StoredEvent

logger = logging.getLogger("sagalog.engine")

Finished = Callable[[str, SagaState], None]
# Ends with the state of a saga that came to rest here; with None if the saga left this process before.
Drive = asyncio.Task[SagaState | None]

# How often those that are to end are looked at again, in seconds.
LAST_ROUND = 1.0
# How long the answer to a message mostly takes at most, in microseconds.
SOON = 1_000_000
# How often a saga is tried that this process cannot go on with, before it is made stuck, with the reason.
TRIES = 3


class Worker:
    """Run the sagas that are claimed from the store or begun in this process."""

    def __init__(
        self,
        store: Store,
        definitions: dict[str, Definition],
        committer: Committer,
        attempts: Attempts,
        blocking: Blocking,
        clock: Clock,
        limits: Limits,
        finished: Finished,
        mail: Mail | None = None,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._committer = committer
        self._attempts = attempts
        self._blocking = blocking
        self._clock = clock
        self._limits = limits
        self._finished = finished
        # None: no saga of this process ever gets a message, so nobody looks for any.
        self.mail = mail
        # What one saga tells another waits in an inbox, most often for this very worker.
        committer.noted = self.hint
        self._loop = asyncio.get_running_loop()
        self._runners: dict[str, SagaRunner] = {}
        self._tasks: dict[str, Drive] = {}
        self._inside = inside(blocking)
        self._loops: list[Loop] = []
        self._lease = WorkerLease(store, blocking, clock, limits.lease)
        self._turn = asyncio.Lock()
        self._giving_back = GivingBack(store, blocking, lambda: self.worker_id, self._turn)
        self.leaving = Leaving(store, blocking, lambda: self.worker_id)
        recording = Recording(store, blocking, committer, clock, self._giving_back, lambda: self.worker_id, self._turn)
        news = committer.recovery
        self._late = LateOutcomes(self.take, recording.record, recording.record_at_last, limits.poll, news.recovered)
        self._given_up = GivenUp(self._loop.time)
        self._threadless = Threadless(attempts.turns, definitions, clock, self._loop.time)
        self._claiming = Claiming(
            store, blocking, clock, limits, self._threadless, self, self._giving_back, self._given_up, self._turn, news
        )
        self.recovery = news
        news.add(self._late.hurry)
        attempts.turns.add(self._threads_are_free)
        # Sagas whose start is being written for this worker: nobody runs them yet, and they are no strays.
        self._expected: set[str] = set()
        self.stopping = False

    @property
    def worker_id(self) -> str:
        """Return the name under which this worker owns sagas now; a worker that loses its lease takes another."""
        return self._lease.worker_id

    @property
    def holds(self) -> bool:
        """Tell whether the lease has not run out, so that what this worker has is its own."""
        return self._lease.holds

    def has_room_for(self, definition: Definition) -> bool:
        """Tell whether one more saga may be owned."""
        return self._lease.holds and not self.stopping and self.room > 0 and self._threadless.takes(definition)

    @property
    def room(self) -> int:
        """Return how many more sagas may be owned."""
        return self._limits.most_running - len(self._tasks) - len(self._expected)

    def drives(self, saga_id: str) -> bool:
        """Tell whether the saga is driven here."""
        return saga_id in self._tasks

    def expects(self, saga_id: str) -> bool:
        """Tell whether the start of the saga is being written for this worker."""
        return saga_id in self._expected

    def wake(self, saga_id: str) -> None:
        """Let the saga look again at what is to be done, if it is driven here."""
        if saga_id in self._runners:
            self._runners[saga_id].wake()

    def wake_all(self) -> None:
        """Let every saga that is driven here look again at what is to be done, and when."""
        for runner in self._runners.values():
            runner.wake()

    def patience(self, expects_mail: bool) -> int:
        """Return how long, in microseconds, a saga may stay that only waits.

        Once half of what this process may own is owned, those who wait would keep out those who could run: then one
        that waits for nothing but time goes at once, and one that `expects_mail` unless that comes soon.
        """
        longest = self._limits.longest_wait
        if 2 * len(self._tasks) <= self._limits.most_running:
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
        self._claiming.hint()

    def _threads_are_free(self) -> None:
        """Look for what was left to others for want of a thread."""
        self._threadless.hurry()
        self.hint()

    async def ready(self, worker_id: str) -> bool:
        """Wait until the lease holds; False if it is not `worker_id`'s any more, or this worker stops."""
        return await self._lease.wait(worker_id)

    def holds_as(self, worker_id: str) -> bool:
        """Tell whether the lease is `worker_id`'s and holds; any thread may ask."""
        return self._lease.held_by(worker_id)

    def own(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        untold: list[Input] | None = None,
        effects: list[Effect] | None = None,
        last_resort: Input | None = None,
    ) -> Drive:
        """Drive a saga that the store says is ours; the task ends when it is at rest or has left this process."""
        runner = SagaRunner(
            definition, saga_id, state, self, self._committer, self._attempts, self._clock, untold, effects, last_resort
        )
        if state.parent is not None and self.mail is None:
            # This process knows no saga that takes messages, but this one is a step of one that others know.
            self.mail = Mail(self._store, self._blocking)
        self._giving_back.keep(saga_id)
        self._runners[saga_id] = runner
        task = self._tasks[saga_id] = self._loop.create_task(self._drive(runner), context=self._inside.copy())
        task.add_done_callback(partial(self._was_driven, runner), context=self._inside)
        return task

    def begin_children_by(self, begin: BeginChild) -> None:
        """Say how sagas are started that are steps of those that run here."""
        self._attempts.begin_child = begin

    def expect(self, definition: Definition, saga_id: str, state: SagaState, effects: list[Effect]) -> Then:
        """Say that the start of a saga is being written for this worker; returns whom to tell what became of it."""
        worker_id = self.worker_id
        self._expected.add(saga_id)

        def settled(written: Written) -> None:
            self._expected.discard(saga_id)
            if written is None:
                # It may be there all the same, and ours: then it has to be given back.
                self._claiming.doubt()
            # A worker that has another name by now lost its lease, and the saga with it.
            if written and worker_id == self.worker_id and not self.stopping:
                self.own(definition, saga_id, state, None, effects)

        return settled

    def drive_of(self, saga_id: str) -> Drive | None:
        """Return the task that drives this saga, if it runs here."""
        return self._tasks.get(saga_id)

    def took(self, saga_id: str, message_id: str) -> None:
        """Take note that a message has left the inbox of a saga."""
        if self.mail is not None:
            self.mail.took(saga_id, message_id)

    def missed(self, saga_id: str) -> None:
        """Take note that a message may have come to the inbox of a saga, which nobody has given to the saga."""
        if self.mail is not None:
            self.mail.missed(saga_id)

    def deliver(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message that is in the inbox now to its saga, if that runs here; False if it has to be fetched."""
        runner = self._runners.get(saga_id)
        if self.mail is None or runner is None or not self.mail.is_read(saga_id):
            self.missed(saga_id)
            return False
        runner.deliver(envelope)
        return True

    def give_mail(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message from the inbox to its saga if that is driven here; False if it has it already."""
        runner = self._runners.get(saga_id)
        return runner is not None and runner.deliver(envelope)

    async def _drive(self, runner: SagaRunner) -> SagaState | None:
        saga_id = runner.saga_id
        unfinished = False
        try:
            unfinished = await runner.run()
            self._given_up.forget(saga_id)
            self._threadless.driven(saga_id, runner.state, runner.lacks_thread)
        except Conflict as conflict:
            self._given_up.forget(saga_id)
            self._late.keep(runner.definition, saga_id, conflict.untold)
            # If it was not lost to another worker after all, it has to be given back.
            self._claiming.doubt()
        except Undriven as undriven:
            self._give_up(saga_id, undriven.__cause__ or undriven)
            self._late.keep(runner.definition, saga_id, undriven.untold)
            unfinished = True
        finally:
            self._let_go(runner)
        self._late.keep_refused(runner.definition, saga_id, runner.refused)
        if runner.has_mail:
            # It is in the inbox still, and whoever claims the saga gets it.
            self.hint()
        at_rest = runner.state.status in AT_REST
        if at_rest:
            self._finished(saga_id, runner.state)
            unfinished = not runner.wrote
        if unfinished:
            self._giving_back.add([saga_id])
        return runner.state if at_rest else None

    def _let_go(self, runner: SagaRunner) -> None:
        if self._runners.get(runner.saga_id) is runner:
            del self._runners[runner.saga_id]
            del self._tasks[runner.saga_id]
            self._claiming.has_ended(runner.saga_id)

    def _was_driven(self, runner: SagaRunner, task: Drive) -> None:
        """Keep what is known of a saga whose task was cancelled, by whomever and perhaps before it had begun."""
        if not task.cancelled():
            return
        self._let_go(runner)
        self._late.keep(runner.definition, runner.saga_id, runner.untold)
        self._late.keep_refused(runner.definition, runner.saga_id, runner.refused)
        if self.stopping and not runner.untold and not runner.refused:
            # Nothing of it is being written, and nobody is to wait for it as long as for others that run here.
            self._giving_back.add([runner.saga_id])
        # It is ours as far as the store knows.
        self._claiming.doubt()

    def _give_up(self, saga_id: str, problem: BaseException) -> None:
        """Leave a saga that cannot be driven here to others for a while, and say so."""
        if self.stopping:
            # What cannot be written any more is not this saga's fault; it is given back with all others.
            return
        pause = self._given_up.add(saga_id, problem)
        trace = None if isinstance(problem, SagalogError) else problem
        text = "saga %s cannot be driven here and is left to others for %g s: %s"
        logger.error(text, saga_id, pause, described(problem), exc_info=trace)

    async def take(self, definition: Definition, saga_id: str, untold: list[Input] | None = None) -> bool:
        """Own one saga, due or not, and tell it something; False if it cannot be had now, since somebody runs it."""
        async with self._turn:
            return await self._take(definition, saga_id, untold)

    async def _take(self, definition: Definition, saga_id: str, untold: list[Input] | None) -> bool:
        busy = saga_id in self._tasks or saga_id in self._giving_back or saga_id in self._given_up
        if busy or self.stopping or not self._lease.holds:
            return False
        worker_id = self.worker_id
        try:
            if not await self._blocking.write(self._store.claim_one, worker_id, saga_id, self._clock.now()):
                return False
            stored = await self._blocking.read(self._store.read, saga_id)
            if worker_id != self.worker_id or self.stopping:
                return False
            state = fold(CODEC.decode_all((event.topic, event.state) for event in stored))
        except BaseException:
            # It may be ours by now, also if nobody has told us so.
            self._claiming.doubt()
            raise
        self._own_with_all(definition, saga_id, state, untold)
        return True

    def _own_with_all(
        self, definition: Definition, saga_id: str, state: SagaState, untold: list[Input] | None = None
    ) -> None:
        """Drive a saga, and tell it what is known of it here; if that cannot be told, that it is stuck."""
        told = [*self._late.pop(saga_id), *(untold or ())]
        self.own(definition, saga_id, state, told, last_resort=self._end_of_patience(saga_id))

    def _end_of_patience(self, saga_id: str) -> Input | None:
        """Return what is told to a saga that could not be driven often enough: that it is stuck."""
        problem = self._given_up.problem(saga_id)
        return None if problem is None or self._given_up.number(saga_id) < TRIES else Faulted(fault_of(problem))

    def own_claimed(self, row: StatusRow, stored: Sequence[StoredEvent]) -> None:
        """Drive a saga that has just been claimed, with all that is known of it here."""
        try:
            state = fold(CODEC.decode_all((event.topic, event.state) for event in stored))
            if state.version != row.version:
                raise SagalogError(f"its status row is at version {row.version}, its events at {state.version}")
        except Exception as problem:
            # Nobody may append to a history that cannot be read: it stays as it is until somebody can.
            self._give_up(row.saga_id, problem)
            self._giving_back.add([row.saga_id])
        else:
            self._own_with_all(self._definitions[row.definition], row.saga_id, state)

    async def stop(self, grace: float) -> None:
        """Claim no more; let async actions end within `grace` seconds, compensations and threads in their own time."""
        self.stopping = True
        # What waits for a thread has not begun, and whatever holds the threads may hold them for ever.
        self._attempts.turns.stop()
        for loop in self._loops[:1]:  # none has begun if the lease could not be had
            loop.end()
        self._lease.end()
        for saga_id, runner in list(self._runners.items()):
            if runner.sleeping:
                end(self._tasks[saga_id])
        until = self._loop.time() + grace
        await self._wait_for_runners(grace)
        while self._tasks:
            for saga_id, runner in list(self._runners.items()):
                if not runner.held:
                    end_patiently(self._tasks[saga_id])
            await self._wait_for_runners(LAST_ROUND)
            # What still runs may take as long as it likes: nobody waits for that to learn what others have come to.
            await self._late.try_at_last(LAST_ROUND)
        await self._late.stop(max(LAST_ROUND, until - self._loop.time()))
        await asyncio.gather(*(loop.stop() for loop in self._loops[:1]))

    async def release(self) -> None:
        """Give back every saga and the lease; call it when nothing is left to be written.

        Until then the lease is renewed: a handler of a message may take its time, and nobody else is to begin it anew.
        """
        await asyncio.gather(self.leaving.stop(), *(loop.stop() for loop in self._loops))
        try:
            await self._blocking.write(self._store.release, self.worker_id)
        except Exception as problem:
            logger.info("the sagas of this worker are left to others, with its lease: %s", described(problem))
            await self._end_lease()

    async def _end_lease(self) -> None:
        """Let the lease be over now: who cannot give back everything leaves it to others, who take over one by one."""
        try:
            await self._blocking.renew(self._store.renew, self.worker_id, self._clock.now())
        except Exception as problem:
            logger.warning("the sagas of this worker wait for the end of its lease: %s", described(problem))

    async def _wait_for_runners(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
