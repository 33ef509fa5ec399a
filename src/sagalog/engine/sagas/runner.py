"""Drives one saga while this process owns it: what its decisions lead to is begun, and what comes of that decided on.

Nothing is begun before the decision that causes it is durable. The runner never waits: what it waits for puts it on the
list of `News`, whose pass calls `go_on`.
"""

import asyncio
import logging
from functools import partial

from sagalog.clock import Clock
from sagalog.engine.calls.call import NotBegun, NoThread, Stopped
from sagalog.engine.sagas.agenda import Attempted, agenda_of, only_action
from sagalog.engine.sagas.attempt import Asked, Attempts, AttemptUnderWay, Called
from sagalog.engine.sagas.decisions import Decisions
from sagalog.engine.sagas.owner import Left, Owner
from sagalog.engine.sagas.threadless import needs_thread
from sagalog.engine.sagas.unwritable import outcome_of
from sagalog.engine.writing.committer import Committer
from sagalog.errors import StoreError, WriteRefused
from sagalog.messages import Envelope
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Input
from sagalog.saga.react import Effect, RunCompensation, Wait, perhaps_begun
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST, OPEN

logger = logging.getLogger("sagalog.engine")


class SagaRunner:
    """Drives one saga, until it ends, is stuck, has to wait for long, or is taken over by another worker.

    Then its owner is told, once, that it has left.
    """

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
        self.decisions = Decisions(
            definition, saga_id, state, effects, owner, committer, clock, unrecorded, last_resort, self
        )
        self.has_news = False
        self.has_left = False
        self.lacks_thread = False
        # Whether it has nothing to do but to wait.
        self.sleeping = False
        # How many attempts are under way that have to be waited for, even at shutdown.
        self.held = 0
        # Those who wait for its end, if anybody does.
        self.awaited: tuple[asyncio.Future[None], ...] = ()
        self._owner = owner
        self._attempts = attempts
        self._clock = clock
        # The steps that may have been begun: here, or by an owner before.
        self._in_doubt = dict.fromkeys(perhaps_begun(definition, state, self.decisions.effects))
        self._running: dict[tuple[type, str], AttemptUnderWay] = {}
        # One attempt is under way and nothing else goes on: no message is taken before it has ended.
        self._is_alone = False
        self._alarm: asyncio.TimerHandle | None = None
        self._patience_is_over = False
        # An attempt was not begun, for the lease had run out.
        self._is_late = False

    @property
    def state(self) -> SagaState:
        """Return the state of the saga after its last decision that is durable."""
        return self.decisions.state

    @property
    def at_rest(self) -> bool:
        """Tell whether the saga has ended or is stuck."""
        return self.state.status in AT_REST

    def deliver(self, envelope: Envelope) -> bool:
        """Queue a message for the saga, in the order of arrival; return False if it has it already."""
        is_new = self.decisions.deliver(envelope)
        if is_new:
            self.wake()
        return is_new

    def wake(self) -> None:
        """Check again what is to be done."""
        self._patience_is_over = False
        self._owner.news.add(self)

    def go_on(self) -> None:
        """Decide on what has happened, and begin what follows, until something has to be waited for."""
        self._no_alarm()
        decisions = self.decisions
        while decisions.writing is None and not (self._is_alone or self.has_left):
            try:
                if not self._turn(decisions):
                    return
            except Exception as problem:
                decisions.has_failed(problem)

    def _turn(self, decisions: Decisions) -> bool:
        """Do the next thing; return False if nothing more can be done now."""
        if decisions.is_lost or decisions.problem is not None:
            # The outcomes of attempts under way are waited for, so that none is lost.
            return not self._running and self._leave(unfinished=decisions.problem is not None)
        if decisions.decide_next(bool(self._running)):
            return True
        if decisions.parted or (decisions.rests and not self._running):
            # No worker owns the saga now; the next one that claims it gets its other messages.
            return self._leave(unfinished=False)
        return self._begin(decisions)

    def _begin(self, decisions: Decisions) -> bool:
        """Begin what is due; return False if there is nothing to do but to wait."""
        is_free = not (self._running or self._is_late or self._owner.stopping or self.lacks_thread)
        action = only_action(decisions.effects, self._clock) if is_free else None
        if action is not None:
            self._attempt(action, is_alone=True)
            return True
        self._is_late = False
        self.lacks_thread = self.lacks_thread and any(needs_thread(self.definition, one) for one in decisions.effects)
        agenda = agenda_of(decisions.effects, self._clock, self._running, self._in_doubt)
        ready = [] if self._owner.stopping else agenda.ready
        if self.lacks_thread:
            ready = [one for one in ready if not needs_thread(self.definition, one)]
        if ready:
            return self._attempt_all(ready)
        if agenda.known is not None:
            decisions.has_happened(agenda.known)
            return True
        return self._wait(decisions, agenda.wake_at)

    def _ours(self) -> bool:
        return self._owner.holds_as(self.decisions.worker_id)

    def _attempt_all(self, ready: list[Attempted]) -> bool:
        """Begin attempts; return False if the lease has to be waited for."""
        if not self._ours():
            if self.decisions.worker_id == self._owner.worker_id:
                self._owner.wake_when_leased(self)
                return False
            self.decisions.is_lost = True
            return True
        is_alone = len(ready) == 1 and not self._running
        for effect in ready:
            self._attempt(effect, is_alone)
        return True

    def _attempt(self, effect: Attempted, is_alone: bool) -> None:
        """Begin an attempt, if the lease has not run out and a thread is free for it."""
        # A compensation must not be interrupted, and the thread of a plain function cannot be.
        held = isinstance(effect, RunCompensation) or not self.definition.steps[effect.step].is_async
        is_new = effect.step not in self._in_doubt
        self._in_doubt[effect.step] = None
        try:
            begun = self._attempts.begin(self.definition, self.saga_id, self.state, effect, self._ours)
        except Exception as problem:
            self._has_no_outcome(effect, is_new, problem)
            return
        if isinstance(begun, (Called, Asked)):
            begun.when_ended(partial(self._has_ended, effect, held, is_new))
            self._is_alone = is_alone
            self._running[type(effect), effect.step] = begun
            self.held += held
        else:
            self.decisions.has_happened(begun)

    def _has_ended(
        self, effect: Attempted, held: bool, is_new: bool, outcome: Input | None, problem: BaseException | None
    ) -> None:
        """Take note of the end of an attempt that took its time."""
        self.held -= held
        self._is_alone = False
        del self._running[type(effect), effect.step]
        if outcome is not None:
            self.decisions.has_happened(outcome)
        elif problem is not None:
            self._has_no_outcome(effect, is_new, problem)
        self._owner.news.add(self)

    def _has_no_outcome(self, effect: Attempted, is_new: bool, problem: BaseException) -> None:
        if isinstance(problem, Stopped):
            # Its effect is begun again: by the next owner, if this process ends.
            return
        if isinstance(problem, NotBegun):
            self.lacks_thread = isinstance(problem, NoThread)
            self._is_late = not self.lacks_thread
            if is_new:
                self._in_doubt.pop(effect.step, None)
            return
        outcome = outcome_of(effect, problem)
        if outcome is None or (isinstance(problem, StoreError) and not isinstance(problem, WriteRefused)):
            self.decisions.has_failed(problem)
            return
        text = "step %s of saga %s could not be attempted"
        logger.error(text, effect.step, self.saga_id, exc_info=problem)
        self.decisions.has_happened(outcome)

    def _wait(self, decisions: Decisions, wake_at: int | None) -> bool:
        """Wait for attempts, or sleep until `wake_at` or a message; leave if that takes too long. Returns False."""
        pause = None if wake_at is None else wake_at - self._clock.now()
        if self._running:
            if pause is not None:
                self._wake_in(pause, gives_up=False)
            return False
        if not decisions.effects or self.lacks_thread:
            return self._leave(self.state.status in OPEN)
        if decisions.worker_id != self._owner.worker_id:
            self.decisions.is_lost = True
            return True
        # A saga that waits for a message is kept for a while: the answer is likely to come soon.
        expects_mail = any(isinstance(effect, Wait) for effect in decisions.effects)
        patience = self._owner.patience(expects_mail)
        is_long = pause is None or pause > patience
        if self._owner.stopping or self._patience_is_over or (is_long and not expects_mail):
            return self._leave(self.state.status in OPEN)
        self.sleeping = True
        self._wake_in(patience if pause is None else min(pause, patience), gives_up=is_long)
        return False

    def _wake_in(self, pause: int, gives_up: bool) -> None:
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(max(0, pause) / 1e6, self._alarm_rings, gives_up)

    def _no_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self.sleeping = False

    def _alarm_rings(self, gives_up: bool) -> None:
        self._patience_is_over = gives_up
        self._owner.news.add(self)

    def end(self) -> None:
        """Cancel what can be cancelled; without attempts, leave at once with what is not recorded."""
        for call in self._running.values():
            call.end()
        if not self._running and not self.has_left:
            # No write is under way for such a saga, so it need not wait for the others that still run here.
            self._leave(unfinished=not self.decisions.unrecorded and not self.decisions.refused)

    def _leave(self, unfinished: bool) -> bool:
        """Leave the saga; it is to be given back if it is `unfinished`. Returns False."""
        self.has_left = True
        self._no_alarm()
        decisions = self.decisions
        decisions.leave()
        self._owner.left(self, Left(unfinished, decisions.is_lost, decisions.problem, decisions.unrecorded))
        for waiting in self.awaited:
            if not waiting.done():
                waiting.set_result(None)
        return False
