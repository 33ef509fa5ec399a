"""What follows from an input: `decide(definition, state, input, now) -> events`, pure.

The rules, in the order in which they are applied:

1.  A success is recorded once, and a failure once for each attempt. A repeated one, or one of an attempt before the
    last recorded one, is no news.
2.  A success of a step that was given up or refused is recorded as late. Once the saga is rolled back, it is undone
    exactly once, even after the saga has ended.
3.  Refused is final: no retry, no compensation of that step. Anything else is unknown and may have had an effect.
4.  An unknown outcome is retried while the retry budget lasts and the deadline has not passed; then the step is
    given up.
5.  A fault (a mistake in a program) is neither retried nor compensated: the saga is stuck until it is mended.
6.  Before the pivot has succeeded, a step that is refused or given up rolls the saga back; after it, the saga is stuck.
7.  While rolling back no action is begun. What is under way is waited for, and its effect is undone as well.
8.  Undoing goes in reverse causal order: a stage is undone after every later one; steps of one stage side by side.
9.  A compensation can be refused, at fault, out of attempts, or unable to take an unknown result. Then nothing that
    lies before it is undone. When nothing else can go on, the saga is stuck and lists what is pending.
10. The deadline rolls back a saga that has not passed its pivot; it never stops a compensation and never ends a saga.
11. A resume gives what failed for good a fresh budget. It forgives a refusal only if the saga is stuck because of it.
    The rules for what else a person does are at the head of `actions.decide`.
12. An outcome of a step that cannot have begun is refused as malformed: nothing is recorded.
13. A step that is a saga succeeds when its child completes, and is refused when the child fails. A parent that rolls
    back asks the child to undo, once, and waits for its end. A child that is asked rolls back, even when completed.
14. Every message is recorded once, by its id, whether it changes anything or not.
15. A reply belongs to the command that caused it. If it names no cause, it belongs to the only command that it can
    answer. It ends the step's attempt, whichever attempt it answers: all attempts send the same command.
16. A command without a reply in time is an unknown outcome (rule 4). A success that comes later falls under rule 2; a
    later refusal is recorded and changes nothing.
17. A message that a step waits for ends that step; one that comes earlier is kept for it. A wait that ends without its
    message counts as refused: nobody was asked for anything, so there is nothing to undo.
18. A message that does not fit its declared type is a fault (rule 5).
19. A saga that its process cannot go on with, for whatever reason, is stuck and lists what is still to be undone.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sagalog.errors import InvalidAction
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions import decide as actions
from sagalog.saga.actions.notes import action_in, cancel_by
from sagalog.saga.attempts import Attempt, failure, next_attempt_at
from sagalog.saga.attributes import attributed
from sagalog.saga.children import decide as children
from sagalog.saga.choreography import decide as choreography
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.conditions import skipped
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.evolve import evolve
from sagalog.saga.for_each.decide import fan_out
from sagalog.saga.messages import decide as messages
from sagalog.saga.parts import names_begun
from sagalog.saga.progress import begun, deadline_counts, next_stage, to_be_undone
from sagalog.saga.rolling_back import follow_backward, give_up, roll_back, said, undo_late
from sagalog.saga.state import UNTOUCHED, SagaState, is_done, is_open, is_to_undo
from sagalog.saga.transitions import ENDED, FORWARD, OPEN
from sagalog.saga.undo_front import check_undo_begun

Events = list[e.SagaEvent]


def decide(definition: Definition, state: SagaState | None, input: i.Input, now: int) -> Events:
    """Return the events that follow from `input` at `now` (microseconds since the epoch); none if it is no news.

    Raises `InvalidAction` for an input that makes no sense in this state.
    """
    return advance(definition, state, input, now)[0]


def advance(
    definition: Definition, state: SagaState | None, input: i.Input, now: int
) -> tuple[Events, SagaState | None]:
    """Return the events as `decide` does, and the state after them, so that no event is applied twice."""
    if type(input) is i.Start:
        if state is not None:
            raise InvalidAction("expected no saga yet, found one; a saga is started once")
        started = _started(definition, input, now)
        if type(definition) is ChoreographyDefinition:
            return [started], evolve(None, started)
        first: e.SagaEvent | None = started
    elif state is None:
        raise InvalidAction(f"expected Start, found {type(input).__name__}: there is no saga yet")
    else:
        first = _recorded(definition, state, input, now)
    taken = first if type(first) is e.ActionTaken else None
    events: Events = []
    while first is not None:
        if definition.attributed or first is taken:
            first = attributed(definition, state, first)
        events.append(first)
        state = evolve(state, first)
        if taken is not None:
            following = actions.follow(definition, state, taken, first, now)
            if following is not None:
                first = following
                continue
            taken = None
        first = _follow(definition, state, first, now)
    return events, state


def advance_unloaded(state: SagaState, act: i.Act, now: int) -> tuple[Events, SagaState]:
    """Return what follows from an action that needs no definition, and the state after it, as `advance` does."""
    first = actions.acted(None, state, act, now)
    taken = first if type(first) is e.ActionTaken else None
    events: Events = []
    while first is not None:
        events.append(first)
        state = evolve(state, first)
        first = None if taken is None else actions.follow(None, state, taken, first, now)
    return events, state


# ------------------------------------------------------------------------------------ the event that records an input


def _started(definition: Definition, input: i.Start, now: int) -> e.SagaStarted:
    started = e.SagaStarted(
        time=now,
        saga=definition.name,
        version=definition.version,
        digest=definition.digest,
        key=input.key,
        run=input.run,
        input=input.input,
        correlation_id=input.correlation_id,
        causation_id=input.causation_id,
        message=input.message,
        deadline=None if definition.timeout is None else now + definition.timeout,
    )
    if definition.marked:
        started = replace(started, marked=True)
    if input.attributes or input.attributes_error is not None:
        started = replace(started, attributes=input.attributes, attributes_error=input.attributes_error)
    if input.fork is not None:
        started = replace(started, fork=input.fork)
    if input.called_off:
        started = replace(started, called_off=True)
    if input.parent is not None:
        return replace(
            started,
            parent=input.parent,
            parent_step=input.parent_step,
            parent_round=input.parent_round,
        )
    return replace(started, kind="choreography") if type(definition) is ChoreographyDefinition else started


def _recorded(definition: Definition, state: SagaState, input: i.Input, now: int) -> e.SagaEvent | None:
    """Return the one event that records `input`, or none if it is no news."""
    if type(definition) is ChoreographyDefinition:
        act = action_in(input)
        if act is not None:
            return actions.acted(definition, state, act, now)
        return choreography.recorded(definition.contract, state, input, now)
    record = _RECORDS.get(type(input))
    if record is None:
        raise InvalidAction(f"expected an input of the kernel, found {type(input).__name__}")
    return record(definition, state, input, now)


def _action_succeeded(
    definition: Definition, state: SagaState, input: i.ActionSucceeded, now: int
) -> e.SagaEvent | None:
    before = begun(definition, state, input.step)
    if not definition.plain and definition.step(input.step).kind != "call":
        raise InvalidAction(f"expected the outcome of a function, found one of {input.step}, which ends by a message")
    late = False
    if before is not UNTOUCHED:
        if is_done(before):
            return None
        late = not is_open(before.action)
    return e.StepSucceeded(
        time=now,
        step=input.step,
        attempt=input.attempt,
        began=input.began,
        result=input.result,
        late=late,
    )


def _action_failed(definition: Definition, state: SagaState, input: i.ActionFailed, now: int) -> e.SagaEvent | None:
    step = definition.step(input.step)
    before = begun(definition, state, input.step).action
    if step.kind in ("wait", "sleep"):
        raise InvalidAction(f"expected the outcome of a function, found one of {input.step}, which only waits")
    if not is_open(before) or before.waiting is not None or state.status in ENDED:
        return None
    if step.child is not None and state.rolling_back:
        # The attempt may have begun all the same; calling the child off finds out.
        return None
    # While rolling back, a wait for a retry may be given up; that next attempt has no number yet.
    given_up = state.rolling_back and input.error.kind == "lost"
    if input.attempt <= before.attempts and not given_up:
        return None
    attempt = Attempt("action", input.step, input.attempt, input.began)
    retry_at = next_attempt_at(definition, state, attempt, input.error, input, now)
    never_asked = step.kind == "request" and retry_at is None and messages.never_sent(state, before)
    return failure(attempt, input.error, now, outcome="refused" if never_asked else None, retry_at=retry_at)


def _undo_succeeded(definition: Definition, state: SagaState, input: i.UndoSucceeded, now: int) -> e.SagaEvent | None:
    before = state.steps.get(input.step, UNTOUCHED)
    if not is_to_undo(before) or input.epoch != before.epoch or before.undo.waiting is not None:
        return None
    check_undo_begun(definition, state, input.step)
    return e.StepCompensated(time=now, step=input.step, attempt=input.attempt, began=input.began)


def _undo_failed(definition: Definition, state: SagaState, input: i.UndoFailed, now: int) -> e.SagaEvent | None:
    has_none = definition.step(input.step).compensation is None
    before = state.steps.get(input.step, UNTOUCHED)
    undo = before.undo
    if has_none or not is_open(undo) or input.epoch != before.epoch or state.status in ENDED:
        return None
    if input.attempt <= undo.attempts or undo.waiting is not None:
        return None
    check_undo_begun(definition, state, input.step)
    attempt = Attempt("compensation", input.step, input.attempt, input.began)
    retry_at = next_attempt_at(definition, state, attempt, input.error, input, now)
    return failure(attempt, input.error, now, retry_at=retry_at)


def _request_made(definition: Definition, state: SagaState, input: i.RequestMade, now: int) -> e.SagaEvent | None:
    if input.direction == "action" and state.rolling_back:
        text = "the saga was rolled back before the command was sent"
        lost = e.error_from("lost", "NotSent", text)
        return _action_failed(definition, state, i.ActionFailed(input.step, input.attempt, None, lost), now)
    return messages.request_made(definition, state, input, now)


def _received(definition: Definition, state: SagaState, input: i.Receive, now: int) -> e.SagaEvent | None:
    act = action_in(input)
    if act is not None:
        return actions.acted(definition, state, act, now)
    message = input.message
    if message.id in state.received:
        return None
    if message.kind == "note":
        return children.noted(definition, state, message, now)
    if message.name in definition.cancels:
        return actions.acted(definition, state, cancel_by(message), now)
    return messages.received(definition, state, message, now)


def _deadline_reached(
    definition: Definition, state: SagaState, input: i.DeadlineReached, now: int
) -> e.SagaEvent | None:
    if state.deadline is None or now < state.deadline or not deadline_counts(definition, state):
        return None
    text = "the saga's time was over before it was done"
    return roll_back(definition, state, e.error_from("deadline", "DeadlineReached", text), now)


def _started_again(definition: Definition, state: SagaState, input: i.StartAgain, now: int) -> e.SagaEvent | None:
    if state.status not in ENDED:
        return None
    return e.StartRefused(time=now, correlation_id=input.correlation_id, causation_id=input.causation_id)


def _faulted(definition: Definition, state: SagaState, input: i.Faulted, now: int) -> e.SagaEvent | None:
    if state.status not in OPEN:
        return None
    reason = f"its process could not go on with it: {said(input.error)}; mend the cause, then resume"
    return e.SagaStuck(time=now, reason=reason, error=input.error, pending=to_be_undone(state))


_RECORDS: dict[type[i.Input], Callable[[Definition, SagaState, Any, int], e.SagaEvent | None]] = {
    i.ActionSucceeded: _action_succeeded,
    i.ActionFailed: _action_failed,
    i.UndoSucceeded: _undo_succeeded,
    i.UndoFailed: _undo_failed,
    i.RequestMade: _request_made,
    i.TimerFired: messages.timer_fired,
    i.Receive: _received,
    i.ChildBegun: children.child_begun,
    i.DeadlineReached: _deadline_reached,
    i.Act: actions.acted,
    i.StartAgain: _started_again,
    i.Faulted: _faulted,
}


# ----------------------------------------------------------------------------- the events that follow from the state


def _follow(definition: Definition, state: SagaState, last: e.SagaEvent, now: int) -> e.SagaEvent | None:
    """Return the event that follows from the state and its last event; None if nothing follows."""
    if type(definition) is ChoreographyDefinition:
        return choreography.follow(definition.contract, state, now)
    status = state.status
    if definition.has_children and type(last) is e.ChildStarted:
        ended = children.child_ended_before(state, last, now)
        if ended is not None:
            return ended
    if status in FORWARD:
        return _follow_forward(definition, state, last, now)
    if status == "compensating":
        return follow_backward(definition, state, last, now)
    if status == "failed" and type(last) is e.StepSucceeded:
        return undo_late(definition, state, (last.step,), now)
    if status == "completed" and type(last) is e.UndoAsked:
        return roll_back(definition, state, children.parents_wish(), now)
    return None


def _follow_forward(definition: Definition, state: SagaState, last: e.SagaEvent, now: int) -> e.SagaEvent | None:
    if state.undo_asked:
        nothing = children.called_off(last, now) if type(last) is e.SagaStarted else None
        return nothing or roll_back(definition, state, children.parents_wish(), now)
    if type(last) is e.StepFailed and last.retry_at is None:
        return give_up(definition, state, last.step, last.error, now)
    stage = next_stage(definition, state)
    if stage is None:
        return e.SagaCompleted(time=now)
    if type(last) is e.SagaResumed:
        for step in stage:
            for name in names_begun(state, step):
                # It was refused while the saga was stuck for another reason, so the refusal has had no consequence yet.
                before = state.steps.get(name, UNTOUCHED)
                if before.action.status == "refused" and before.action.error is not None:
                    return give_up(definition, state, name, before.action.error, now)
    if state.paused is not None:
        return None
    if definition.has_questions and type(last) is not e.StepFailed:
        for step in stage:
            found = _asked(definition, state, step, now)
            if found is not None:
                return found
    return None if definition.plain else messages.waits_begin(state, stage, now)


def _asked(definition: Definition, state: SagaState, step: StepDefinition, now: int) -> e.SagaEvent | None:
    """Return what the user's functions say of a step that is reached: skip it, or make it for these elements."""
    if step.name in state.steps or step.name in state.fans:
        return None
    found = skipped(definition, state, step, now)
    return fan_out(definition, step, step.fan, state.input, now) if found is None and step.fan is not None else found
