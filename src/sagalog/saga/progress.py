"""Where a saga stands in its definition: which stage is next, what is still open, what can be undone now. Pure."""

from msgspec import Struct

from sagalog.errors import InvalidAction
from sagalog.saga.definition import CompensationDefinition, Definition, StepDefinition
from sagalog.saga.events import ErrorInfo
from sagalog.saga.parts import is_under_way, names_begun, names_to_undo, names_under_way
from sagalog.saga.retry import Retry
from sagalog.saga.state import UNTOUCHED, SagaState, StepState
from sagalog.saga.transitions import ENDED

# An error of this kind is never met by trying again: it was not done and will not be, or a program is mistaken.
FINAL = frozenset(("refused", "fault"))


def is_open(step: StepState) -> bool:
    """Tell whether an attempt of the action may be under way or still to come."""
    return step.action in {"open", "retrying"}


def next_stage(definition: Definition, state: SagaState) -> tuple[StepDefinition, ...] | None:
    """Return the steps of the stage that is being done, or None when every stage is done."""
    number = definition.stage_after[state.settled]
    return definition.stages[number] if number < len(definition.stages) else None


def pivot_passed(definition: Definition, state: SagaState) -> bool:
    """Tell whether the pivot has succeeded (or was skipped), so that nothing is undone any more."""
    pivot = definition.pivot
    return pivot is not None and state.steps.get(pivot, UNTOUCHED).action in ("succeeded", "skipped")


def deadline_counts(definition: Definition, state: SagaState) -> bool:
    """Tell whether the saga's deadline may still roll it back.

    Not once the pivot has begun: whether it succeeds decides the direction, and a compensation must not overtake it.
    """
    if state.status not in ("started", "pending"):
        return False
    if definition.pivot is None:
        return True
    stage = next_stage(definition, state)
    return not pivot_passed(definition, state) and not (
        stage is not None and any(step.name == definition.pivot for step in stage)
    )


def unfinished(definition: Definition, state: SagaState) -> tuple[str, ...]:
    """Return the steps that may have had an effect, in the order in which they are to be undone (latest first)."""
    current = definition.stage_after[state.settled]
    found: list[str] = []
    for number in range(min(current, len(definition.stages) - 1), -1, -1):
        for step in reversed(definition.stages[number]):
            if step.kind in ("wait", "sleep") and step.name not in state.steps:
                continue
            for name in names_begun(state, step):
                if state.steps.get(name, UNTOUCHED).action not in ("refused", "skipped", "dropped"):
                    found.append(name)
    return tuple(found)


def begun(definition: Definition, state: SagaState, name: str) -> StepState:
    """Return the step's state; raises `InvalidAction` if no attempt of it can have been begun yet."""
    before = state.steps.get(name)
    if before is not None:
        return before
    step = definition.step(name)
    stage = next_stage(definition, state) or ()
    due = name == step.name if step.fan is None else is_under_way(state, step, name)
    if not due or step not in stage or state.rolling_back or state.status in ENDED:
        raise InvalidAction(f"expected the outcome of a step that was begun, found one of {name}")
    return UNTOUCHED


def never_sent(state: SagaState, here: StepState) -> bool:
    """Tell whether a request can have had no effect yet: it sent no command, or a refused one in an earlier round."""
    return here.command is None or state.commands[here.command].round != here.round


def next_attempt_at(
    definition: Definition,
    state: SagaState,
    name: str,
    attempt: int,
    began: int | None,
    error: ErrorInfo,
    jitter: float,
    now: int,
    last: bool | None = None,
) -> int | None:
    """Return when an action is tried again after `attempt`, which `began` then, failed, or None if it is given up.

    `last` says whether it is known to have been the last attempt, whatever the policy says today.
    """
    if error.kind in FINAL or state.status not in ("started", "pending"):
        return None
    if state.deadline is not None and now >= state.deadline and not pivot_passed(definition, state):
        return None
    here = state.steps.get(name, UNTOUCHED)
    return _again_at(definition.step(name).retry, attempt - here.forgiven, here.since or began, jitter, now, last)


def next_undoing_at(
    here: StepState,
    compensation: CompensationDefinition,
    attempt: int,
    began: int | None,
    error: ErrorInfo,
    jitter: float,
    now: int,
    last: bool | None = None,
) -> int | None:
    """Return when a compensation is tried again after `attempt` failed, or None if it is given up; see above."""
    if error.kind in FINAL:
        return None
    spent = attempt - here.undo_forgiven
    return _again_at(compensation.retry, spent, here.undo_since or began, jitter, now, last)


def _again_at(retry: Retry, spent: int, since: int | None, jitter: float, now: int, last: bool | None) -> int | None:
    if last is not None:
        return None if last else now + retry.pause(spent, jitter)
    return retry.next_at(spent, now if since is None else since, jitter, now)


class UndoFront(Struct, frozen=True):
    """What the undoing waits for: actions still `settling`, steps `ready` to be undone, steps that are `blocked`."""

    settling: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def undo_front(definition: Definition, state: SagaState) -> UndoFront:
    """Return what can go on while rolling back; only the latest stage that is not undone yet is ever ready."""
    settling = _settling(definition, state)
    if settling:
        return UndoFront(settling=settling)
    for stage in reversed(definition.stages):
        ready: list[str] = []
        blocked: list[str] = []
        for step in stage:
            if step.name in state.fans:
                _front_of_parts(state, step, ready, blocked)
                continue
            here = state.steps.get(step.name, UNTOUCHED)
            if here.undo in ("pending", "retrying", "failed"):
                (ready if can_be_undone(step, here) else blocked).append(step.name)
        if ready or blocked:
            return UndoFront(ready=tuple(ready), blocked=tuple(blocked))
    return UndoFront()


def can_be_undone(step: StepDefinition, here: StepState) -> bool:
    """Tell whether a compensation that is asked for can be run: it has not failed for good, and its input is known."""
    takes_none = step.compensation is not None and step.compensation.takes_none
    return here.undo != "failed" and (here.action == "succeeded" or takes_none)


def _settling(definition: Definition, state: SagaState) -> tuple[str, ...]:
    steps = state.steps
    if not state.fans:
        return tuple(name for name, step in steps.items() if step.undo != "none" and is_open(step))
    names = [name for step in definition.steps.values() for name in names_under_way(state, step)]
    return tuple(name for name in names if name in steps and steps[name].undo != "none" and is_open(steps[name]))


def _front_of_parts(state: SagaState, step: StepDefinition, ready: list[str], blocked: list[str]) -> None:
    """Add what can be undone of a step's parts: as many as were done at once; one by one stops where one is blocked."""
    width = state.fans[step.name].width
    found = 0
    for name in names_to_undo(state, step):
        if can_be_undone(step, state.steps[name]):
            ready.append(name)
            found += 1
        else:
            blocked.append(name)
            found += width == 1
        if found == width:
            return
