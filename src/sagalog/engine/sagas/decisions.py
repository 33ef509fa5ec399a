"""The decisions of one saga: what has happened to it is decided in order, and written one after the other.

A decision counts once it is written. Until then the saga's state is the one before, nothing else is decided on, and
what the decision was about is still known, for whoever drives the saga next.
"""

import logging

from sagalog.clock import Clock
from sagalog.engine.cycle import Decision, append_of, decision_of
from sagalog.engine.sagas.agenda import idle_until
from sagalog.engine.sagas.news import Driver
from sagalog.engine.sagas.owner import Owner
from sagalog.engine.sagas.refusals import Refusals
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import LINGER, Committer
from sagalog.engine.writing.pieces import Outcome
from sagalog.errors import WriteRefused
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Input, Receive
from sagalog.saga.react import Effect, react
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN
from sagalog.store import Append, Posting

logger = logging.getLogger("sagalog.engine")

# A saga with nothing to do for this long, in microseconds, need not have its decision written at once.
LONG_ENOUGH = 10 * int(LINGER * 1e6)


class Decisions:
    """The state of one saga, the inputs that are not recorded yet, and the messages that it has not taken yet.

    Its `driver` has news when something was written, or will not be.
    """

    def __init__(
        self,
        definition: Definition,
        saga_id: str,
        state: SagaState,
        effects: list[Effect] | None,
        owner: Owner,
        committer: Committer,
        clock: Clock,
        unrecorded: list[Input] | None,
        last_resort: Input | None,
        driver: Driver,
    ) -> None:
        self.definition = definition
        self.saga_id = saga_id
        self.state = state
        # What ought to be going on in this state.
        self.effects = react(definition, state) if effects is None else effects
        self.worker_id = owner.worker_id
        self.wrote = False
        # The saga was given back with its last decision, since it has nothing to do for long.
        self.parted = False
        # The saga has come to rest by a message, so no worker owns it any more.
        self.rests = False
        # Somebody else has changed the saga.
        self.is_lost = False
        # Why the saga cannot be driven here.
        self.problem: BaseException | None = None
        # Inputs that have happened and are not recorded yet.
        self.inputs: tuple[Input, ...] = tuple(unrecorded or ())
        # Messages by id, in the order of arrival. They stay in the inbox until they are recorded.
        self.mail: dict[str, Envelope] = {}
        # The message that is being written.
        self._taking: str | None = None
        # What is being written: the input, the decision on it, whether that gives the saga back, and how many commits
        # there were before.
        self.writing: tuple[Input, Decision | None, bool, int] | None = None
        self._refusals: Refusals | None = None
        # The input that makes the saga stuck; used if those from before cannot be recorded, or if there are none.
        self._last_resort = last_resort
        self._is_resorting = False
        self._owner = owner
        self._committer = committer
        self._clock = clock
        self._driver: Driver | None = driver
        if last_resort is not None and not self.inputs:
            self._resort()

    @property
    def unrecorded(self) -> tuple[Input, ...]:
        """Return the inputs that are not recorded."""
        return self.inputs[self._is_resorting :]

    @property
    def refused(self) -> list[Input]:
        """Return the successes that could not be written and are still of use."""
        return [] if self._refusals is None else self._refusals.successes(self.state)

    def has_happened(self, input: Input) -> None:
        """Queue an input, such as the outcome of an attempt."""
        self.inputs = (*self.inputs, input)

    def deliver(self, envelope: Envelope) -> bool:
        """Queue a message, in the order of arrival; return False if it is there already."""
        if envelope.id in self.mail:
            return False
        self.mail[envelope.id] = envelope
        self._owner.inbox.holds(self.saga_id, len(self.mail))
        return True

    def decide_next(self, is_busy: bool) -> bool:
        """Decide on the next input, or else on the next message; return False if there is none.

        `is_busy` tells whether something goes on that is to be waited for.
        """
        if self.inputs:
            self._decide(self.inputs[0], is_busy)
        elif self.mail and not self.rests and not self.parted:
            self._take(next(iter(self.mail.values())), is_busy)
        else:
            return False
        return True

    def _take(self, message: Envelope, is_busy: bool) -> None:
        self._taking = message.id
        if isinstance(message, Unreadable):
            self.writing = (Receive(message), None, False, 0)
            self._refused().park(message, message.problem, self._is_parked)
        else:
            self._decide(Receive(message), is_busy)

    def _decide(self, input: Input, is_busy: bool) -> None:
        """Decide on an input, and queue the decision for the writer."""
        now = self._clock.now()
        decision = decision_of(self.definition, self.saga_id, self.state, (input,), now)
        commits = self._committer.commits
        if decision is not None:
            append, parts, is_hurried = self._append_of(decision, input, now, is_busy)
            self.writing = (input, decision, parts, commits)
            self._committer.submit_then(append, self._is_written, is_hurried)
        elif isinstance(input, Receive):
            # The message was recorded before; only its row in the inbox is left to remove.
            self.writing = (input, None, False, commits)
            self._committer.post_then(self._taken_again(input), self._is_written)
        else:
            self._is_recorded()

    def _append_of(self, decision: Decision, input: Input, now: int, is_busy: bool) -> tuple[Append, bool, bool]:
        """Return what is to be written; whether the write gives the saga back; and whether it is written at once."""
        until = 0 if is_busy or self.mail or len(self.inputs) > 1 else idle_until(decision.effects)
        # Giving the saga back costs nothing if the decision's own write does it.
        parts = until > now + self._owner.patience(expects_mail=False)
        taken = (input.message.id,) if isinstance(input, Receive) else ()
        append = append_of(decision, self.worker_id, None if parts else self.worker_id, taken)
        is_hurried = until <= now + LONG_ENOUGH or bool(append.messages) or bool(append.notes)
        return append, parts, is_hurried

    def _taken_again(self, input: Receive) -> Posting:
        return Posting(taken=(self.saga_id, input.message.id))

    def _is_written(self, outcome: Outcome) -> None:
        """Take note of what has become of a write."""
        assert self.writing is not None
        told, decision, parts, commits = self.writing
        if isinstance(outcome, WriteRefused):
            self._refused().insist(self, told, outcome, commits)
            return
        self.writing = None
        if isinstance(outcome, Exception):
            self.has_failed(outcome)
        elif decision is None:
            self._is_recorded()
        elif outcome == "written":
            self._apply(decision, parts)
            self._is_recorded()
        else:
            self.is_lost = True
        self._tell_news()

    def _is_parked(self, outcome: Outcome) -> None:
        """Take note that a message that cannot be read is parked."""
        self.has_insisted(outcome if isinstance(outcome, Exception) else True)

    def has_insisted(self, outcome: bool | BaseException) -> None:
        """Take note of what has become of a refused write: it is told, or lost to others, or nothing can be told."""
        self.writing = None
        if isinstance(outcome, BaseException):
            self.has_failed(outcome)
        elif outcome:
            self._is_recorded()
        else:
            self.is_lost = True
        self._tell_news()

    def _tell_news(self) -> None:
        if self._driver is not None:
            self._owner.news.add(self._driver)

    def _apply(self, decision: Decision, parts: bool) -> None:
        self.parted = parts
        self.state = decision.after
        self.effects = decision.effects
        self.wrote = True
        log_transitions(decision)

    def _is_recorded(self) -> None:
        """Go on to the next input or message."""
        if self._taking is not None:
            self._owner.inbox.took(self.saga_id, self._taking)
            del self.mail[self._taking]
            self._owner.inbox.holds(self.saga_id, len(self.mail))
            self._taking = None
            self.rests = self.state.status not in OPEN
            return
        self.inputs = self.inputs[1:]
        self._is_resorting = False
        if not self.inputs:
            self._last_resort = None

    def has_failed(self, problem: BaseException) -> None:
        """Take note that the saga cannot be driven here; it is made stuck if that has been so for long."""
        self._taking = None
        if self._last_resort is not None:
            logger.warning("saga %s is made stuck: %s", self.saga_id, described(problem))
            self._resort()
        else:
            self.problem = self.problem or problem

    def _resort(self) -> None:
        assert self._last_resort is not None
        self.inputs = (self._last_resort, *self.inputs)
        self._last_resort = None
        self._is_resorting = True

    def _refused(self) -> Refusals:
        if self._refusals is None:
            self._refusals = Refusals(self.definition, self.saga_id, self._owner, self._committer, self._clock)
        return self._refusals

    async def record(self, input: Input) -> bool:
        """Decide on an input and make the decision durable; return False on a conflict.

        Raises `WriteRefused` if the database refuses it. It is for `Refusals`, while an input is being written.
        """
        now = self._clock.now()
        decision = decision_of(self.definition, self.saga_id, self.state, (input,), now)
        if decision is None:
            if isinstance(input, Receive):
                await self._committer.post(self._taken_again(input))
            return True
        append, parts, _ = self._append_of(decision, input, now, is_busy=True)
        if await self._committer.submit(append) != "written":
            return False
        self._apply(decision, parts)
        return True

    def leave(self) -> None:
        """Tell of no more news, and insist on nothing; what is being written may still be written."""
        self._driver = None
        self._owner.inbox.holds(self.saga_id, 0)
        if self._refusals is not None:
            self._refusals.end()
