"""The sagas that this process owns: claiming them, driving them, giving them back."""

import asyncio
import logging
from collections.abc import Callable

from sagalog.clock import Clock
from sagalog.codec import CODEC
from sagalog.engine.attempt import Attempts, BeginChild
from sagalog.engine.blocking import Blocking
from sagalog.engine.committer import Committer
from sagalog.engine.lease import WorkerLease
from sagalog.engine.limits import Limits
from sagalog.engine.mail import Mail
from sagalog.engine.runner import Conflict, SagaRunner
from sagalog.errors import SagalogError, StoreError
from sagalog.messages import Envelope
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import fold
from sagalog.saga.inputs import Input
from sagalog.saga.react import Effect
from sagalog.saga.state import SagaState
from sagalog.store import StatusRow, Store

logger = logging.getLogger("sagalog.engine")

Finished = Callable[[str, SagaState], None]
# Ends with the state of a saga that came to rest here; with None if the saga left this process before.
Drive = asyncio.Task[SagaState | None]


# How often those that are to end are looked at again, in seconds.
LAST_ROUND = 1.0
# How long the answer to a message mostly takes at most, in microseconds.
SOON = 1_000_000


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
        self._mail = mail
        # What one saga tells another waits in an inbox, most often for this very worker.
        committer.noted = self.hint
        self._loop = asyncio.get_running_loop()
        self._runners: dict[str, SagaRunner] = {}
        self._tasks: dict[str, Drive] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._hint = asyncio.Event()
        self._lease = WorkerLease(store, blocking, clock, limits.lease)
        # Sagas that could not be given back yet, and those that this process keeps without being able to run them.
        self._unwanted: set[str] = set()
        self._left_alone: set[str] = set()
        # Sagas whose start is being written for this worker: nobody runs them yet, and they are no strays.
        self._expected: set[str] = set()
        self._claimed_in_doubt = False
        # Sagas whose runners have ended since the last claim was asked for: what it says of them may be old.
        self._just_ended: set[str] = set()
        self.stopping = False

    @property
    def worker_id(self) -> str:
        """Return the name under which this worker owns sagas now; a worker that loses its lease takes another."""
        return self._lease.worker_id

    @property
    def holds(self) -> bool:
        """Tell whether the lease has not run out, so that what this worker has is its own."""
        return self._lease.holds

    @property
    def has_room(self) -> bool:
        """Tell whether one more saga may be owned."""
        return self._lease.holds and not self.stopping and len(self._tasks) < self._limits.most_running

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
            self._loop.create_task(self._claim_loop(), name="sagalog-claim"),
            self._loop.create_task(self._lease.keep(), name="sagalog-renew"),
        ]

    def hint(self) -> None:
        """Look for due sagas now instead of at the next poll."""
        self._hint.set()

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
    ) -> Drive:
        """Drive a saga that the store says is ours; the task ends when it is at rest or has left this process."""
        runner = SagaRunner(
            definition,
            saga_id,
            state,
            self,
            self._committer,
            self._attempts,
            self._clock,
            untold,
            effects,
        )
        if state.parent is not None and self._mail is None:
            # This process knows no saga that takes messages, but this one is a step of one that others know.
            self._mail = Mail(self._store, self._blocking)
        self._unwanted.discard(saga_id)
        self._runners[saga_id] = runner
        task = self._tasks[saga_id] = self._loop.create_task(self._drive(runner))
        return task

    def begin_children_by(self, begin: BeginChild) -> None:
        """Say how sagas are started that are steps of those that run here."""
        self._attempts.begin_child = begin

    def expect(
        self, definition: Definition, saga_id: str, state: SagaState, effects: list[Effect]
    ) -> Callable[[bool], None]:
        """Say that the start of a saga is being written for this worker; returns whom to tell what became of it."""
        worker_id = self.worker_id
        self._expected.add(saga_id)

        def settled(written: bool) -> None:
            self._expected.discard(saga_id)
            # A worker that has another name by now lost its lease, and the saga with it.
            if written and worker_id == self.worker_id and not self.stopping:
                self.own(definition, saga_id, state, None, effects)

        return settled

    def drive_of(self, saga_id: str) -> Drive | None:
        """Return the task that drives this saga, if it runs here."""
        return self._tasks.get(saga_id)

    def took(self, saga_id: str, message_id: str) -> None:
        """Take note that a message has left the inbox of a saga."""
        if self._mail is not None:
            self._mail.took(saga_id, message_id)

    def deliver(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message that is in the inbox now to its saga, if that runs here; False if it has to be fetched."""
        runner = self._runners.get(saga_id)
        if self._mail is None or runner is None or not self._mail.is_read(saga_id):
            if self._mail is not None:
                self._mail.missed(saga_id)
            return False
        runner.deliver(envelope)
        return True

    def _deliver(self, saga_id: str, envelope: Envelope) -> bool:
        runner = self._runners.get(saga_id)
        return runner is not None and runner.deliver(envelope)

    async def _drive(self, runner: SagaRunner) -> SagaState | None:
        saga_id = runner.saga_id
        unfinished = False
        try:
            unfinished = await runner.run()
        except Conflict as conflict:
            self._keep_late(runner.definition, saga_id, conflict.untold)
            # If it was not lost to another worker after all, it has to be given back.
            self._claimed_in_doubt = True
        except SagalogError as problem:
            self._left_alone.add(saga_id)
            logger.error("saga %s is left alone until this process ends: %s", saga_id, problem)
        except Exception:
            self._left_alone.add(saga_id)
            logger.exception("saga %s is left alone until this process ends", saga_id)
        finally:
            if self._runners.get(saga_id) is runner:
                del self._runners[saga_id]
                del self._tasks[saga_id]
                self._just_ended.add(saga_id)
        if runner.has_mail:
            # It is in the inbox still, and whoever claims the saga gets it.
            self.hint()
        at_rest = runner.state.status in ("completed", "failed", "stuck")
        if at_rest:
            self._finished(saga_id, runner.state)
            unfinished = not runner.wrote
        if unfinished:
            await self._give_back([saga_id])
        return runner.state if at_rest else None

    async def _give_back(self, saga_ids: list[str]) -> None:
        self._unwanted.update(saga_ids)
        unwanted = list(self._unwanted)
        try:
            await self._blocking.write(self._store.release, self.worker_id, unwanted)
        except StoreError as problem:
            logger.warning("%d sagas could not be given back yet: %s", len(unwanted), problem)
        else:
            self._unwanted.difference_update(unwanted)

    def _keep_late(self, definition: Definition, saga_id: str, untold: list[Input]) -> None:
        """Remember outcomes that could not be recorded, until the saga can be had again."""
        if not untold:
            return
        task = self._loop.create_task(self._tell_late(definition, saga_id, untold))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _tell_late(self, definition: Definition, saga_id: str, untold: list[Input]) -> None:
        """Record what another owner could not know: an outcome that came after the saga had been taken over."""
        while not self.stopping:
            if saga_id not in self._tasks:
                try:
                    if await self.take(definition, saga_id, untold):
                        return
                except StoreError as problem:
                    logger.warning("an outcome of saga %s is not recorded yet: %s", saga_id, problem)
                except SagalogError as problem:
                    logger.error("an outcome of saga %s cannot be recorded: %s", saga_id, problem)
                    return
            await asyncio.sleep(self._limits.poll / 1e6)

    async def take(self, definition: Definition, saga_id: str, untold: list[Input]) -> bool:
        """Own one saga, due or not, and tell it something; False if it cannot be told now, since somebody runs it."""
        if not self._lease.holds:
            return False
        if not await self._blocking.write(self._store.claim_one, self.worker_id, saga_id, self._clock.now()):
            return False
        stored = await self._blocking.read(self._store.read, saga_id)
        if saga_id in self._tasks:
            # Claimed in the ordinary way meanwhile: two runners in one process would disturb each other.
            return False
        state = fold(CODEC.decode_all((event.topic, event.state) for event in stored))
        self.own(definition, saga_id, state, untold)
        return True

    async def _claim_loop(self) -> None:
        while True:
            # Before the round: what comes while it looks may be what it has not seen.
            self._hint.clear()
            try:
                found = await self._claim()
            except StoreError as problem:
                logger.warning("no sagas could be claimed: %s", problem)
                self._claimed_in_doubt = True
                found = 0
            except Exception:
                # Whatever it is, the other sagas of this worker have to go on being looked after.
                logger.exception("no sagas could be claimed")
                self._claimed_in_doubt = True
                found = 0
            if found == 0:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._limits.poll / 1e6):
                await self._hint.wait()
        except TimeoutError:
            # Nobody called: the poll is the backstop.
            return

    async def _claim(self) -> int:
        if not self._lease.holds:
            return 0
        if self._claimed_in_doubt:
            await self._give_back_strays()
        if self._unwanted:
            await self._give_back([])
        rows: list[StatusRow] = []
        worker_id = self.worker_id
        self._just_ended.clear()
        room = min(self._limits.claim_batch, self._limits.most_running - len(self._tasks))
        if room > 0:
            loaded = list(self._definitions)
            rows = await self._blocking.write(self._store.claim, worker_id, loaded, self._clock.now(), room)
        if self._mail is None and not rows:
            return 0
        streams = await self._blocking.read(self._store.read_many, [row.saga_id for row in rows]) if rows else {}
        if any(len(streams[row.saga_id]) != row.version for row in rows):
            # We stood still for longer than the lease, and these have been taken over and written to since.
            owned = set(await self._blocking.read(self._store.owned, worker_id))
            rows = [row for row in rows if row.saga_id in owned]
        mail = [] if self._mail is None else await self._mail.read(self.worker_id)
        # A runner from before the lease was lost may still wait for the end of an attempt. One that has just come to
        # rest may be claimed for its mail before it knows, and go on with what it has got of that.
        known = self._tasks.keys() | self._just_ended
        busy = [row.saga_id for row in rows if row.saga_id in known]
        for row in rows:
            if row.saga_id not in known:
                self._own_claimed(row, [(event.topic, event.state) for event in streams[row.saga_id]])
        # Before any of those just claimed has run: one that is at rest would be given back without its mail.
        news = 0 if self._mail is None else self._mail.hand_over(mail, self._deliver)
        for saga_id in busy:
            if saga_id in self._runners:
                self._runners[saga_id].wake()
        if busy:
            await self._give_back(busy)
        return len(rows) - len(busy) + news

    async def _give_back_strays(self) -> None:
        """Give back what a claim without an answer may have made ours: nobody here runs it."""
        owned = await self._blocking.read(self._store.owned, self.worker_id)
        kept = self._tasks.keys() | self._left_alone | self._expected
        strays = [saga_id for saga_id in owned if saga_id not in kept]
        self._claimed_in_doubt = False
        if strays:
            await self._give_back(strays)

    def _own_claimed(self, row: StatusRow, stored: list[tuple[str, bytes]]) -> None:
        try:
            state = fold(CODEC.decode_all(stored))
            if state.version != row.version:
                raise SagalogError(f"its status row is at version {row.version}, its events at {state.version}")
            self.own(self._definitions[row.definition], row.saga_id, state)
        except SagalogError as problem:
            # Kept, not given back: nobody should append to a history that cannot be read, and every worker would try.
            self._left_alone.add(row.saga_id)
            logger.error("saga %s cannot be run and is left as it is: %s", row.saga_id, problem)

    async def stop(self, grace: float) -> None:
        """Claim no more; let async actions end within `grace` seconds, compensations and threads in their own time."""
        self.stopping = True
        for loop in self._loops[:1]:
            loop.cancel()
        self._lease.end()
        for saga_id, runner in list(self._runners.items()):
            if runner.sleeping:
                self._tasks[saga_id].cancel()
        await self._wait_for_runners(grace)
        while self._tasks:
            for saga_id, runner in list(self._runners.items()):
                if not runner.held:
                    self._tasks[saga_id].cancel()
            await self._wait_for_runners(LAST_ROUND)
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._loops[:1], *self._late, return_exceptions=True)

    async def release(self) -> None:
        """Give back every saga and the lease; call it when nothing is left to be written.

        Until then the lease is renewed: a handler of a message may take its time, and nobody else is to begin it anew.
        """
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        try:
            await self._blocking.write(self._store.release, self.worker_id)
        except StoreError as problem:
            logger.warning("the sagas of this worker wait for the end of its lease: %s", problem)

    async def _wait_for_runners(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
