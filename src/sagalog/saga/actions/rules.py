"""Which action is allowed in which state, as the reason why one is not; the rules are at the head of `decide`. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, get_args

from msgspec.structs import replace

from sagalog.saga.actions.fork import hindrance
from sagalog.saga.actions.steps import (
    Timed,
    direction_to_settle,
    is_settled,
    may_be_under_way,
    names_of_stage,
    times_of,
    waits_for_retry,
)
from sagalog.saga.choreography.decide import awaited_of
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.events import Verb
from sagalog.saga.inputs import Act
from sagalog.saga.progress import pivot_is_reached, pivot_passed
from sagalog.saga.state import UNTOUCHED, SagaState, is_done, is_to_undo
from sagalog.saga.transitions import ENDED, FORWARD
from sagalog.saga.undo_front import undo_front

VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
# These need no definition, so a process that has not loaded the saga can decide on them.
UNLOADED: Final[frozenset[Verb]] = frozenset(("pause", "abandon", "reschedule"))
# These are whole without a result or an input, so whoever asks need not know the types of the saga.
WITHOUT_VALUES: Final[frozenset[Verb]] = frozenset(("cancel", "retry", "resume", "unpause", "undo"))
# A choreography is run by nobody.
OF_CHOREOGRAPHIES: Final[frozenset[Verb]] = frozenset(("abandon", "reschedule"))
# How many steps are named for one action in a list of what may be done.
MOST_NAMED = 5

Rule = Callable[[Definition, SagaState, Act, int], str | None]


def refusal(definition: Definition | None, state: SagaState, act: Act, now: int) -> str | None:
    """Return why an action is not allowed in this state; None if it is."""
    if state.status in ENDED and act.verb not in ("undo", "fork"):
        return f"it has ended, and is {state.status}"
    if state.kind == "choreography" and act.verb not in OF_CHOREOGRAPHIES:
        return _nobody_runs_it(definition, state, act.verb)
    if act.verb in UNLOADED:
        return _RULES_UNLOADED[act.verb](state, act)
    if definition is None:
        return f"saga {state.saga} version {state.definition_version} is not loaded in this process"
    return _RULES[act.verb](definition, state, act, now)


def what_may_be_done(definition: Definition | None, state: SagaState, now: int) -> tuple[str, ...]:
    """Return the actions that are allowed in this state, each as it is written on the command line."""
    return tuple(text for verb in VERBS for text in _allowed(definition, state, verb, now))


def _allowed(definition: Definition | None, state: SagaState, verb: Verb, now: int) -> Iterator[str]:
    act = Act(action_id="", verb=verb, actor="", reason="")
    if verb in ("skip", "resolve", "fork"):
        found = 0
        for name in _names_for(definition, state, verb):
            if refusal(definition, state, replace(act, step=name, happened=True), now) is None:
                yield f"{verb} {name}"
                found += 1
            if found == MOST_NAMED:
                return
    elif refusal(definition, state, act, now) is None:
        yield verb


def _names_for(definition: Definition | None, state: SagaState, verb: Verb) -> Iterator[str]:
    if definition is None or state.kind == "choreography":
        return
    if verb == "fork":
        yield from definition.steps
        return
    if state.status in ENDED:
        return
    if state.rolling_back:
        yield from (name for name, step in state.steps.items() if is_to_undo(step))
    else:
        yield from names_of_stage(definition, state)


def _nobody_runs_it(definition: Definition | None, state: SagaState, verb: Verb) -> str:
    what = f"nobody runs a choreography, so nobody can {verb} it"
    if not isinstance(definition, ChoreographyDefinition) or state.status in ENDED:
        return what
    contract = definition.contract
    if verb == "cancel" and not state.rolling_back:
        outside = [name for name in contract.failing if name in contract.from_outside]
        names = outside or contract.fails
        return f"{what}; see to it that somebody publishes {' or '.join(names)}"
    awaited = ", ".join(awaited_of(contract, state))
    return f"{what}; it goes on by itself once somebody publishes what it waits for: {awaited}"


def _cancel(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    if state.rolling_back:
        assert state.cause is not None
        return f"it goes back already, because of {state.cause.type}: {state.cause.message}"
    if pivot_passed(definition, state):
        return f"its pivot {definition.pivot} has succeeded, and after that nothing is undone"
    if pivot_is_reached(definition, state):
        return f"its pivot {definition.pivot} may be under way, and decides whether the saga can still go back"
    return None


def _retry(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    if state.status == "stuck" or any(waits_for_retry(state, step, now) for step in state.steps.values()):
        return None
    return "nothing of it has failed and waits for its next attempt"


def _resume(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    return None if state.status == "stuck" else f"it is {state.status}, and only a stuck saga can be resumed"


def _skip(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    name = act.step or ""
    step, here = definition.find(name), state.steps.get(name, UNTOUCHED)
    if step is None:
        return f"it has no step {name!r}"
    if state.rolling_back:
        return (
            f"it goes back, and does no more steps; if {name} was undone by hand, resolve its compensation as happened"
        )
    if is_done(here):
        return f"step {name} has {here.action.status} already"
    if step.fan is not None and name == step.name and name in state.fans:
        return f"step {name} is made for each of its elements; name one of its parts, such as {name}[0]"
    if name not in names_of_stage(definition, state):
        return f"step {name} has not been reached"
    if here.child is not None:
        return f"step {name} is the saga {here.child}; act on that one"
    if may_be_under_way(state, name, now):
        return _under_way(name)
    return None


def _under_way(name: str) -> str:
    return f"an attempt of {name} may be under way; wait until it has ended, or until it waits for its retry"


def _resolve(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    name = act.step or ""
    step, here = definition.find(name), state.steps.get(name, UNTOUCHED)
    if step is None:
        return f"it has no step {name!r}"
    if here.child is not None:
        return f"step {name} is the saga {here.child}; act on that one"
    if (act.direction or direction_to_settle(state, name)) == "compensation":
        return _resolve_undoing(definition, state, act, now)
    if step.kind in ("wait", "sleep"):
        return f"step {name} only waits, so it has no outcome that nobody knows; skip it"
    if is_settled(here):
        return f"the outcome of {name} is known: it is {here.action.status}"
    if not state.rolling_back and name not in names_of_stage(definition, state):
        return f"step {name} has not been reached"
    if may_be_under_way(state, name, now):
        return _under_way(name)
    if here.undo.status == "compensated" and not act.happened:
        return f"step {name} has been undone, whether it had happened or not"
    return None if name in state.steps else f"step {name} has not been tried"


def _resolve_undoing(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    name = act.step or ""
    undo = state.steps.get(name, UNTOUCHED).undo
    if not is_to_undo(state.steps.get(name, UNTOUCHED)):
        return f"the compensation of {name} is {undo.status}, so there is nothing to settle"
    if undo.status == "failed" or (undo.waiting is not None and act.happened):
        return None
    if undo.status == "retrying" and (undo.retry_at or 0) > now and act.happened:
        return None
    if state.status == "stuck" and name in undo_front(definition, state).blocked:
        # It could not be begun, because nobody knows what there is to undo; but it may have been undone by hand.
        unknown = f"the compensation of {name} was not tried, because the outcome of {name} is unknown; resolve that"
        return None if act.happened else unknown
    return f"the compensation of {name} has not failed for good: it may be under way, or is tried again by itself"


def _amend(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    if act.step is None:
        return None
    step, here = definition.find(act.step), state.steps.get(act.step, UNTOUCHED)
    if step is None:
        return f"it has no step {act.step!r}"
    if step.fan is not None and act.step == step.name:
        return f"step {act.step} is made for each of its elements; name one of its parts, such as {act.step}[0]"
    if here.result is None:
        return f"step {act.step} has no result that could be amended"
    return f"step {act.step} has been undone" if here.undo.status == "compensated" else None


def _reschedule(state: SagaState, act: Act) -> str | None:
    if state.status == "stuck":
        return "it is stuck, and waits for a person and no time"
    found = time_to_move(state, act)
    if isinstance(found, Timed):
        return None
    times = tuple(times_of(state))
    if act.step is not None:
        return f"step {act.step} waits for no time"
    if act.of_deadline or not times:
        return "it has no deadline that counts" if act.of_deadline else "it waits for no time, and has no deadline"
    return f"it waits for several times; say for which step: {', '.join(dict.fromkeys(one.step for one in times))}"


def time_to_move(state: SagaState, act: Act) -> Timed | None:
    """Return the time that a `reschedule` moves, if it is clear which one; the deadline has the step ""."""
    deadline = Timed("", "action") if state.deadline is not None and state.status in FORWARD else None
    if state.kind == "choreography":
        deadline = Timed("", "action") if state.deadline is not None else None
    if act.of_deadline:
        return deadline
    times = [one for one in times_of(state, act.step) if act.direction in (None, one.direction)]
    if len(times) == 1:
        return times[0]
    return deadline if not times and act.step is None else None


def _pause(state: SagaState, act: Act) -> str | None:
    if state.status == "stuck":
        return "it is stuck, and nothing goes on until somebody resumes it"
    return None if state.paused is None else f"it is paused already, by {state.paused}"


def _unpause(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    return "it is not paused" if state.paused is None else None


def _undo(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    if state.status != "completed":
        return f"it is {state.status}, and only a completed saga can be undone"
    if definition.pivot is not None:
        return f"its pivot {definition.pivot} has succeeded, and after that nothing is undone"
    if state.forked_to is not None:
        return f"saga {state.forked_to} goes on from it, and has taken its steps over; act on that one"
    return None if state.parent is None else f"it is a step of saga {state.parent.saga_id}; undo that one"


def _abandon(state: SagaState, act: Act) -> str | None:
    # Only the parent's own end tells a child to end like this: a parent must not believe that a child undid its work.
    if state.parent is not None and act.event is None:
        return f"it is a step of saga {state.parent.saga_id}; abandon that one, and this one ends with it"
    return None


def _fork(definition: Definition, state: SagaState, act: Act, now: int) -> str | None:
    if state.status not in ENDED:
        return f"it is {state.status}, and only a saga that has ended can be forked; abandon it first"
    if state.parent is not None:
        return f"it is a step of saga {state.parent.saga_id}, which would not know of the other one"
    if state.undo_asked:
        return "it was called off before it began, so there is nothing to go on from; start it anew"
    if state.forked_to is not None:
        return f"it has been forked: saga {state.forked_to} goes on from it"
    return hindrance(definition, state, act.step or "")


_RULES: Mapping[Verb, Rule] = {
    "cancel": _cancel,
    "retry": _retry,
    "resume": _resume,
    "skip": _skip,
    "resolve": _resolve,
    "amend": _amend,
    "unpause": _unpause,
    "undo": _undo,
    "fork": _fork,
}
_RULES_UNLOADED: Mapping[Verb, Callable[[SagaState, Act], str | None]] = {
    "pause": _pause,
    "abandon": _abandon,
    "reschedule": _reschedule,
}
