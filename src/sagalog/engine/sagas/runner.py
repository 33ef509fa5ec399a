"""One saga while this process owns it: ask the kernel what to do, do it, tell the kernel, commit, and again.

Nothing is run before the decision that causes it is durable, and the state is kept in memory between commits.
"""

import asyncio
import logging
from collections import deque
from functools import cached_property
from typing import Any, NoReturn

from sagalog.clock import Clock
from sagalog.engine.calls.call import NotBegun, NoThread
from sagalog.engine.cycle import append_of
from sagalog.engine.ending import end_all, is_cancelled_by_others, is_told_to_end
from sagalog.engine.sagas.attempt import Attempts
from sagalog.engine.sagas.late_outcomes import Conflict, Undriven
from sagalog.engine.sagas.owner import Owner
from sagalog.engine.sagas.refusals import Refusals
from sagalog.engine.sagas.threadless import needs_thread
from sagalog.engine.sagas.transition_log import log_transitions
from sagalog.engine.sagas.unwritable import is_news, outcome_of
from sagalog.engine.writing.committer import LINGER, Committer
from sagalog.errors import StoreError, WriteRefused
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.decide import advance
from sagalog.saga.definition import Definition
from sagalog.saga.events import error_from
from sagalog.saga.failure import described
from sagalog.saga.inputs import ActionFailed, DeadlineReached, Input, Receive, TimerFired
from sagalog.saga.react import AwaitEnd, CallOff, Effect, RunAction, RunCompensation, Wait, WatchDeadline, react
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN
from sagalog.store import Posting

logger = logging.getLogger("sagalog.engine")

# A saga that has nothing to do for so long, in microseconds, is in no hurry to have written why.
LONG_ENOUGH = 10 * int(LINGER * 1e6)
# Effects that take their time, and end with something to tell.
Attempted = RunAction | RunCompensation | CallOff


class SagaRunner:
    """Drive one saga until it ends, is stuck, has to wait for long, or is taken away."""

    def __init__(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        owner: Owner,
        committer: Committer,
        attempts: Attempts,
        clock: Clock,
        untold: list[Input] | None = None,
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
        # Given back with the last decision, since nothing is to be done for long.
        self._parted = False
        self._owner = owner
        self._worker_id = owner.worker_id
        self._committer = committer
        self._attempts = attempts
        self._clock = clock
        # What is told next, or is being told: it happened, and is not recorded.
        self._untold = untold or []
        # Told if that cannot be told, or if there is nothing to be told: that the saga is stuck.
        self._last_resort = last_resort
        self._successes: list[Input] = []
        self._effects = react(definition, state) if effects is None else effects
        self._running: dict[tuple[type, str], asyncio.Task[Input | None]] = {}
        self._mail: deque[Envelope] = deque()
        self._alarm: asyncio.Future[None] | None = None

    def deliver(self, envelope: Envelope) -> bool:
        """Give the saga a message, to be told in the order of arrival; False if it has it already."""
        if any(waiting.id == envelope.id for waiting in self._mail):
            return False
        self._mail.append(envelope)
        self.wake()
        return True

    @property
    def untold(self) -> list[Input]:
        """Return what has happened and is not recorded, also what attempts have come to that nobody has asked yet."""
        ended = [task for task in self._running.values() if task.done() and not task.cancelled()]
        outcomes = [None if task.exception() is not None else task.result() for task in ended]
        return self._untold + [outcome for outcome in outcomes if outcome is not None]

    @property
    def refused(self) -> list[Input]:
        """Return what is known to be done, could not be written, and is still news."""
        return [told for told in self._successes if is_news(self.state, told)]

    @property
    def has_mail(self) -> bool:
        """Tell whether messages were given to it that it has not told the saga."""
        return bool(self._mail)

    def wake(self) -> None:
        """Look again at what is to be done, if the saga sleeps or waits."""
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def run(self) -> bool:
        """Drive the saga; returns True if it is to be given back unfinished.

        Raises `Conflict` if somebody else changed the saga, and `Undriven` if it cannot be driven, after waiting for
        the attempts under way: no outcome of theirs is lost.
        """
        try:
            await self._tell_what_is_known()
            while not self._parted:
                if self._mail and await self._open_mail():
                    # Nobody owns it any more; whoever claims it next takes what else has come for it.
                    return False
                action = self._only_action()
                if action is not None and (self._ours() or await self._owner.ready(self._worker_id)):
                    outcome = await self._attempt(action)
                    if outcome is not None:
                        await self._tell_all([outcome])
                    continue
                told, wake_at = await self._begin()
                if told is not None:
                    await self._tell_all([told])
                elif self._running:
                    await self._tell_all(await self._wait(wake_at))
                elif not self._effects or self.lacks_thread or not await self._sleep(wake_at):
                    return bool(self._effects)
            return False
        except Conflict:
            raise
        except asyncio.CancelledError:
            if is_told_to_end():
                await end_all(self._running.values())
                raise
            logger.error("saga %s was cancelled by code that is not sagalog's; it goes on anew", self.saga_id)
            await self._lose(self._untold)
        except Exception as problem:
            raise Undriven(self._untold + await self._ends_of_attempts()) from problem

    def _ours(self) -> bool:
        return self._owner.holds_as(self._worker_id)

    async def _sleep(self, wake_at: int | None) -> bool:
        """Sleep until `wake_at` or until there is mail; False if that is too long and the saga is to be given back."""
        # Then it is kept for a while: the answer is likely to come soon.
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
        """Tell the saga what has come for it, one message after the other; True if it has come to rest by that."""
        while self._mail:
            message = self._mail[0]
            if isinstance(message, Unreadable):
                await self._refusals.park(message, message.problem)
            elif not await self.record(Receive(message), insist=True):
                # Nothing is lost: what is not recorded is still in the inbox.
                await self._lose([])
            self._owner.took(self.saga_id, self._mail.popleft().id)
            if self.state.status not in OPEN:
                return True
        return False

    def _only_action(self) -> RunAction | None:
        """Return the action that is to be run now if, as nearly always, there is nothing else to be done."""
        effects = self._effects
        if not effects or self._running or self._owner.stopping or self.lacks_thread:
            return None
        first = effects[0]
        if type(first) is not RunAction or first.at:
            return None
        if len(effects) == 1:
            return first
        second = effects[1]
        only_watched = len(effects) == 2 and type(second) is WatchDeadline and self._clock.now() < second.at
        return first if only_watched else None

    async def _begin(self) -> tuple[Input | None, int | None]:
        """Begin what ought to be going on; return an input that is there already, or when to look again."""
        wake_at: int | None = None
        now, ready = self._clock.now(), list[Attempted]()
        self.lacks_thread = self.lacks_thread and any(needs_thread(self.definition, one) for one in self._effects)
        for effect in self._effects:
            if isinstance(effect, Attempted):
                if (type(effect), effect.step) in self._running or (RunAction, effect.step) in self._running:
                    continue
                if effect.at > now:
                    wake_at = effect.at if wake_at is None else min(wake_at, effect.at)
                elif not self._owner.stopping and not (self.lacks_thread and needs_thread(self.definition, effect)):
                    ready.append(effect)
            elif isinstance(effect, AwaitEnd):
                if (RunAction, effect.step) not in self._running:
                    text = "it was under way when its process ended, or was given up before its next attempt"
                    lost = error_from("lost", "AttemptLost", text)
                    return ActionFailed(effect.step, max(1, effect.attempt - 1), None, lost), None
            elif isinstance(effect, Wait):
                if effect.until is None:
                    continue
                if now >= effect.until:
                    return TimerFired(effect.step, effect.direction, effect.attempt, self._clock.chance()), None
                wake_at = effect.until if wake_at is None else min(wake_at, effect.until)
            elif now >= effect.at:
                return DeadlineReached(), None
            else:
                wake_at = effect.at if wake_at is None else min(wake_at, effect.at)
        return (await self._run(ready) if ready else None), wake_at

    async def _run(self, ready: list[Attempted]) -> Input | None:
        """Begin attempts: a single one is made here and now, and its outcome returned; others go on by themselves."""
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

    async def _lose(self, untold: list[Input]) -> NoReturn:
        """Give the saga up to whoever has it now, once the attempts under way have ended."""
        raise Conflict(untold + await self._ends_of_attempts())

    async def _ends_of_attempts(self) -> list[Input]:
        found: list[Input] = []
        while self._running:
            try:
                outcomes, _ = await self._ended(None)
            except asyncio.CancelledError:
                if is_told_to_end():
                    self._untold = [*self._untold, *found]
                    await end_all(self._running.values())
                    raise
                # By code that is not ours, once more: what the attempts come to is waited for all the same.
                continue
            found += outcomes
        return found

    async def _attempt(self, effect: Attempted) -> Input | None:
        """Make an attempt; None if the lease ran out before its turn came, so that it was not begun."""
        # A compensation must not be interrupted, and the thread of a plain function cannot be.
        held = isinstance(effect, RunCompensation) or not self.definition.steps[effect.step].is_async
        self.held += held
        try:
            if isinstance(effect, CallOff):
                return await self._attempts.call_off(self.definition, self.saga_id, self.state, effect)
            if isinstance(effect, RunCompensation):
                return await self._attempts.compensation(self.definition, self.saga_id, self.state, effect, self._ours)
            return await self._attempts.action(self.definition, self.saga_id, self.state, effect, self._ours)
        except NotBegun as problem:
            self.lacks_thread = isinstance(problem, NoThread)
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
            # Of what the others came to nothing may be lost because of one.
            self._untold = outcomes
            raise problems[0]
        return outcomes

    async def _ended(self, wake_at: int | None) -> tuple[list[Input], list[BaseException]]:
        """Wait likewise; return the outcomes, and what was raised by attempts that came to none."""
        timeout = None if wake_at is None else max(0.0, (wake_at - self._clock.now()) / 1e6)
        alarm = self._alarm = asyncio.get_running_loop().create_future()
        waited: set[asyncio.Future[Any]] = {alarm, *self._running.values()}
        try:
            done, _ = await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._alarm = None
        outcomes, problems = list[Input](), list[BaseException]()
        for task in [self._running.pop(key) for key, task in list(self._running.items()) if task in done]:
            # Cancelled by whoever, and not in its handler: what it began is begun again.
            problem = None if task.cancelled() else task.exception()
            if problem is not None:
                problems.append(problem)
            elif not task.cancelled() and (outcome := task.result()) is not None:
                outcomes.append(outcome)
        return outcomes, problems

    async def _tell_what_is_known(self) -> None:
        """Tell what happened before; that the saga is stuck only if that cannot be told, or if it was nothing."""
        known = len(self._untold)
        try:
            await self._tell_all(self._untold)
        except Exception as problem:
            if isinstance(problem, Conflict) or self._last_resort is None:
                raise
            logger.warning("saga %s is made stuck: %s", self.saga_id, described(problem))
        if self._last_resort is not None and (self._untold or not known):
            if not await self.record(self._last_resort, insist=True):
                await self._lose(self._untold)
            await self._tell_all(self._untold)

    async def _tell_all(self, told: list[Input]) -> None:
        self._untold = told
        while self._untold:
            if not await self.record(self._untold[0], last=len(self._untold) == 1, insist=True):
                await self._lose(self._untold)
            self._untold = self._untold[1:]

    def _idle_until(self, effects: list[Effect]) -> int:
        """Return until when nothing is to be done, if only time will bring it about; 0 if that is not so."""
        if not effects or self._running or self._mail:
            return 0
        idle = (RunAction, RunCompensation, WatchDeadline)
        return min(effect.at if isinstance(effect, idle) else 0 for effect in effects)

    @cached_property
    def _refusals(self) -> Refusals:
        return Refusals(self.definition, self.saga_id, self._owner, self._committer, self._clock, self._successes)

    async def record(self, told: Input, last: bool = True, insist: bool = False) -> bool:
        """Decide on an input and make the decision durable; False on a conflict. `last`: no other one is known yet.

        Raises `WriteRefused` if the database does not take it; if we `insist` it is tried again, and then a fault is
        recorded in its place.
        """
        if is_cancelled_by_others():
            # Whoever ends all tasks, and be it the end of the event loop, is not to be kept waiting.
            raise asyncio.CancelledError
        before, commits = self.state, self._committer.commits
        events, after = advance(self.definition, before, told, self._clock.now())
        try:
            if not events:
                # It had been recorded before, so all that is left to be done is to empty the inbox of it.
                if isinstance(told, Receive):
                    await self._committer.post(Posting(taken=(self.saga_id, told.message.id)))
                return True
            assert after is not None
            effects = react(self.definition, after)
            now = self._clock.now()
            idle_until = self._idle_until(effects) if last else 0
            # With the decision it costs nothing to give the saga back.
            parts = idle_until > now + self._owner.patience(expects_mail=False)
            owner = None if parts else self._worker_id
            taken = (told.message.id,) if isinstance(told, Receive) else ()
            append = append_of(
                self.definition, self.saga_id, before, after, events, effects, self._worker_id, owner, taken
            )
            unhurried = idle_until > now + LONG_ENOUGH and not append.messages and not append.notes
            submit = self._committer.submit_unhurried if unhurried else self._committer.submit
            if await submit(append) != "written":
                return False
        except WriteRefused as problem:
            if not insist:
                raise
            return await self._refusals.tell(self, told, last, problem, commits)
        self._parted = parts
        self.state = after
        self._effects = effects
        self.wrote = True
        log_transitions(self.saga_id, after, events)
        return True
