"""Drives one saga while this process owns it: ask the kernel what to do, do it, record the outcome, and again.

Nothing is run before the decision that causes it is durable. The state is kept in memory between commits.
"""

import asyncio
import logging
from collections import deque
from functools import cached_property
from typing import Any, NoReturn

from sagalog.clock import Clock
from sagalog.engine.calls.call import NotBegun, NoThread
from sagalog.engine.cycle import append_of, decision_of
from sagalog.engine.ending import end_all, is_cancelled_by_others, is_told_to_end
from sagalog.engine.sagas.agenda import Attempted, agenda_of, idle_until, only_action
from sagalog.engine.sagas.attempt import Attempts
from sagalog.engine.sagas.late_outcomes import Conflict, Undriven
from sagalog.engine.sagas.owner import Owner
from sagalog.engine.sagas.refusals import Refusals
from sagalog.engine.sagas.threadless import needs_thread
from sagalog.engine.sagas.unwritable import is_news, outcome_of
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import LINGER, Committer
from sagalog.errors import StoreError, WriteRefused
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Input, Receive
from sagalog.saga.react import CallOff, Effect, RunCompensation, Wait, perhaps_begun, react
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN
from sagalog.store import Posting

logger = logging.getLogger("sagalog.engine")

# A saga with nothing to do for this long, in microseconds, need not have its decision written at once.
LONG_ENOUGH = 10 * int(LINGER * 1e6)


class SagaRunner:
    """Drives one saga, until it ends, is stuck, has to wait for long, or is taken over by another worker."""

    def __init__(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        owner: Owner,
        committer: Committer,
        attempts: Attempts,
        clock: Clock,
        unrecorded: list[Input] | None = None,
        effects: list[Effect] | None = None,
        last_resort: Input | None = None,
    ) -> None:
        self.definition = definition
        self.saga_id = saga_id
        self.state = state
        self.sleeping = False
        # How many attempts are under way that have to be waited for, even at shutdown.
        self.held = 0
        self.wrote = False
        self.lacks_thread = False
        # The saga was given back with its last decision, since it has nothing to do for long.
        self._parted = False
        self._owner = owner
        self._worker_id = owner.worker_id
        self._committer = committer
        self._attempts = attempts
        self._clock = clock
        # Inputs that have happened and are not recorded yet.
        self._unrecorded = unrecorded or []
        # The input that makes the saga stuck; used if those cannot be recorded, or if there are none.
        self._last_resort = last_resort
        self._successes: list[Input] = []
        self._effects = react(definition, state) if effects is None else effects
        # The steps that may have been begun: here, or by an owner before.
        self._in_doubt = perhaps_begun(definition, state, self._effects)
        self._running: dict[tuple[type, str], asyncio.Task[Input | None]] = {}
        self._mail: deque[Envelope] = deque()
        self._alarm: asyncio.Future[None] | None = None

    def deliver(self, envelope: Envelope) -> bool:
        """Queue a message for the saga, in the order of arrival; return False if it has it already."""
        if any(waiting.id == envelope.id for waiting in self._mail):
            return False
        self._mail.append(envelope)
        self.wake()
        return True

    @property
    def unrecorded(self) -> list[Input]:
        """Return the inputs that are not recorded, including outcomes of attempts that have just ended."""
        ended = [task for task in self._running.values() if task.done() and not task.cancelled()]
        outcomes = [None if task.exception() is not None else task.result() for task in ended]
        return self._unrecorded + [outcome for outcome in outcomes if outcome is not None]

    @property
    def refused(self) -> list[Input]:
        """Return the successes that could not be written and are still of use."""
        return [success for success in self._successes if is_news(self.state, success)]

    @property
    def has_mail(self) -> bool:
        """Tell whether there are messages that the saga has not decided on."""
        return bool(self._mail)

    def wake(self) -> None:
        """Check again what is to be done, if the saga sleeps or waits."""
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def run(self) -> bool:
        """Drive the saga; return True if it is to be given back unfinished.

        Raises `Conflict` if somebody else changed the saga, and `Undriven` if it cannot be driven. Both come after the
        attempts under way have ended, so that none of their outcomes is lost.
        """
        try:
            await self._tell_what_is_known()
            while not self._parted:
                if self._mail and await self._open_mail() and not self._running:
                    # No worker owns the saga now; the next one that claims it gets its other messages.
                    return False
                is_free = not (self._running or self._owner.stopping or self.lacks_thread)
                action = only_action(self._effects, self._clock) if is_free else None
                if action is not None and (self._ours() or await self._owner.ready(self._worker_id)):
                    outcome = await self._attempt(action)
                    if outcome is not None:
                        await self._tell_all([outcome])
                    continue
                known, wake_at = await self._begin()
                if known is not None:
                    await self._tell_all([known])
                elif self._running:
                    await self._tell_all(await self._wait(wake_at))
                elif not self._effects or self.lacks_thread or not await self._sleep(wake_at):
                    return self.state.status in OPEN
            return False
        except Conflict:
            raise
        except asyncio.CancelledError:
            if is_told_to_end():
                await end_all(self._running.values())
                raise
            logger.error("saga %s was cancelled by code that is not sagalog's; it goes on anew", self.saga_id)
            await self._lose(self._unrecorded)
        except Exception as problem:
            raise Undriven(self._unrecorded + await self._ends_of_attempts()) from problem

    def _ours(self) -> bool:
        return self._owner.holds_as(self._worker_id)

    async def _sleep(self, wake_at: int | None) -> bool:
        """Sleep until `wake_at` or a message; return False if that takes too long and the saga is to be given back."""
        # A saga that waits for a message is kept for a while: the answer is likely to come soon.
        expects_mail = any(isinstance(effect, Wait) for effect in self._effects)
        patience = self._owner.patience(expects_mail)
        pause = patience if wake_at is None else wake_at - self._clock.now()
        if self._owner.stopping or ((pause > patience or wake_at is None) and not expects_mail):
            return False
        self.sleeping = True
        woken = await self._woken_within(min(pause, patience))
        self.sleeping = False
        if self._worker_id != self._owner.worker_id:
            raise Conflict([])
        return woken or (wake_at is not None and pause <= patience)

    async def _woken_within(self, pause: int) -> bool:
        alarm = self._alarm = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((alarm,), timeout=max(0, pause) / 1e6)
        finally:
            self._alarm = None
        return alarm.done()

    async def _open_mail(self) -> bool:
        """Decide on the queued messages one after the other; return True if the saga has come to rest."""
        while self._mail:
            message = self._mail[0]
            if isinstance(message, Unreadable):
                await self._refusals.park(message, message.problem)
            elif not await self.record(Receive(message), insist=True):
                # The message is still in the inbox, so it is not lost.
                await self._lose([])
            self._owner.inbox.took(self.saga_id, self._mail.popleft().id)
            if self.state.status not in OPEN:
                return True
        return False

    async def _begin(self) -> tuple[Input | None, int | None]:
        """Begin the effects that are due; return an input that is known already, or when to look again."""
        self.lacks_thread = self.lacks_thread and any(needs_thread(self.definition, one) for one in self._effects)
        agenda = agenda_of(self._effects, self._clock, self._running, self._in_doubt)
        ready = [] if self._owner.stopping else agenda.ready
        if self.lacks_thread:
            ready = [one for one in ready if not needs_thread(self.definition, one)]
        return (await self._run(ready) if ready else agenda.known), agenda.wake_at

    async def _run(self, ready: list[Attempted]) -> Input | None:
        """Begin attempts: a single one is awaited here and its outcome returned; several run in tasks of their own."""
        while await self._owner.ready(self._worker_id):
            if len(ready) > 1 or self._running:
                for effect in ready:
                    task = asyncio.get_running_loop().create_task(self._attempt(effect))
                    self._running[type(effect), effect.step] = task
                return None
            outcome = await self._attempt(ready[0])
            if outcome is not None or self.lacks_thread:
                return outcome
        if not self._owner.stopping:
            await self._lose([])
        return None

    async def _lose(self, unrecorded: list[Input]) -> NoReturn:
        """Leave the saga to its new owner, once the attempts under way have ended."""
        raise Conflict(unrecorded + await self._ends_of_attempts())

    async def _ends_of_attempts(self) -> list[Input]:
        found: list[Input] = []
        while self._running:
            try:
                outcomes, _ = await self._ended(None)
            except asyncio.CancelledError:
                if is_told_to_end():
                    self._unrecorded = [*self._unrecorded, *found]
                    await end_all(self._running.values())
                    raise
                # Other code cancelled this task once more: the outcomes are still waited for.
                continue
            found += outcomes
        return found

    async def _attempt(self, effect: Attempted) -> Input | None:
        """Make an attempt; return None if it was not begun, because the lease ran out or no thread was free."""
        # A compensation must not be interrupted, and the thread of a plain function cannot be.
        held = isinstance(effect, RunCompensation) or not self.definition.steps[effect.step].is_async
        self.held += held
        is_new = effect.step not in self._in_doubt
        self._in_doubt.add(effect.step)
        try:
            if isinstance(effect, CallOff):
                return await self._attempts.call_off(self.definition, self.saga_id, self.state, effect)
            if isinstance(effect, RunCompensation):
                return await self._attempts.compensation(self.definition, self.saga_id, self.state, effect, self._ours)
            return await self._attempts.action(self.definition, self.saga_id, self.state, effect, self._ours)
        except NotBegun as problem:
            self.lacks_thread = isinstance(problem, NoThread)
            if is_new:
                self._in_doubt.discard(effect.step)
            return None
        except Exception as problem:
            outcome = outcome_of(effect, problem)
            if outcome is None or (isinstance(problem, StoreError) and not isinstance(problem, WriteRefused)):
                raise
            logger.exception("step %s of saga %s could not be attempted", effect.step, self.saga_id)
            return outcome
        finally:
            self.held -= held

    async def _wait(self, wake_at: int | None) -> list[Input]:
        """Wait for attempts under way, or until `wake_at`; return the outcomes of those that ended."""
        outcomes, problems = await self._ended(wake_at)
        if problems:
            # One failed attempt must not lose the outcomes of the others.
            self._unrecorded = outcomes
            raise problems[0]
        return outcomes

    async def _ended(self, wake_at: int | None) -> tuple[list[Input], list[BaseException]]:
        """Wait as `_wait` does; return the outcomes, and the exceptions of attempts without one."""
        timeout = None if wake_at is None else max(0.0, (wake_at - self._clock.now()) / 1e6)
        alarm = self._alarm = asyncio.get_running_loop().create_future()
        waited: set[asyncio.Future[Any]] = {alarm, *self._running.values()}
        try:
            done, _ = await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._alarm = None
        outcomes, problems = list[Input](), list[BaseException]()
        for task in [self._running.pop(key) for key, task in list(self._running.items()) if task in done]:
            # Other code cancelled the task outside the handler; its effect is begun again.
            problem = None if task.cancelled() else task.exception()
            if problem is not None:
                problems.append(problem)
            elif not task.cancelled() and (outcome := task.result()) is not None:
                outcomes.append(outcome)
        return outcomes, problems

    async def _tell_what_is_known(self) -> None:
        """Record inputs from before; record that the saga is stuck only if they cannot be written or there are none."""
        known = len(self._unrecorded)
        try:
            await self._tell_all(self._unrecorded)
        except Exception as problem:
            if isinstance(problem, Conflict) or self._last_resort is None:
                raise
            logger.warning("saga %s is made stuck: %s", self.saga_id, described(problem))
        if self._last_resort is not None and (self._unrecorded or not known):
            if not await self.record(self._last_resort, insist=True):
                await self._lose(self._unrecorded)
            await self._tell_all(self._unrecorded)

    async def _tell_all(self, inputs: list[Input]) -> None:
        self._unrecorded = inputs
        while self._unrecorded:
            if not await self.record(self._unrecorded[0], last=len(self._unrecorded) == 1, insist=True):
                await self._lose(self._unrecorded)
            self._unrecorded = self._unrecorded[1:]

    @cached_property
    def _refusals(self) -> Refusals:
        return Refusals(self.definition, self.saga_id, self._owner, self._committer, self._clock, self._successes)

    async def record(self, input: Input, last: bool = True, insist: bool = False) -> bool:
        """Decide on an input and make the decision durable; return False on a conflict.

        `last`: no other input is known yet. Raises `WriteRefused` if the database refuses it; with `insist` it is tried
        again, and then a fault is recorded instead.
        """
        if is_cancelled_by_others():
            # Code that cancels all tasks, such as the end of the event loop, must not be kept waiting.
            raise asyncio.CancelledError
        commits, now = self._committer.commits, self._clock.now()
        decision = decision_of(self.definition, self.saga_id, self.state, (input,), now)
        try:
            if decision is None:
                # The input was recorded before; only its row in the inbox is left to remove.
                if isinstance(input, Receive):
                    await self._committer.post(Posting(taken=(self.saga_id, input.message.id)))
                return True
            until = idle_until(decision.effects) if last and not self._running and not self._mail else 0
            # Giving the saga back costs nothing if the decision's own write does it.
            parts = until > now + self._owner.patience(expects_mail=False)
            owner = None if parts else self._worker_id
            taken = (input.message.id,) if isinstance(input, Receive) else ()
            append = append_of(decision, self._worker_id, owner, taken)
            unhurried = until > now + LONG_ENOUGH and not append.messages and not append.notes
            submit = self._committer.submit_unhurried if unhurried else self._committer.submit
            if await submit(append) != "written":
                return False
        except WriteRefused as problem:
            if not insist:
                raise
            return await self._refusals.tell(self, input, last, problem, commits)
        self._parted = parts
        self.state = decision.after
        self._effects = decision.effects
        self.wrote = True
        log_transitions(decision)
        return True
