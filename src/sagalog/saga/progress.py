"""Where a saga stands in its definition: the current stage, what is still open, what can be undone now. Pure."""

from itertools import takewhile

from msgspec import Struct

from sagalog.errors import InvalidAction
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.parts import is_under_way, names_begun, names_to_undo, names_under_way
from sagalog.saga.state import UNTOUCHED, SagaState, StepState, is_done, is_open, is_to_undo
from sagalog.saga.transitions import FORWARD

# An action that ended like this leaves nothing to undo.
WITHOUT_EFFECT = frozenset(("refused", "skipped", "dropped"))
# How the errors begin that user functions raise when a step is reached.
QUESTIONS = ("in when=: ", "in for_each=: ")


def next_stage(definition: Definition, state: SagaState) -> tuple[StepDefinition, ...] | None:
    """Return the steps of the current stage, or None when every stage is done."""
    number = definition.stage_after[state.settled]
    return definition.stages[number] if number < len(definition.stages) else None


def pivot_passed(definition: Definition, state: SagaState) -> bool:
    """Tell whether the pivot has succeeded (or was skipped), so that nothing is undone any more."""
    pivot = definition.pivot
    return pivot is not None and is_done(state.steps.get(pivot, UNTOUCHED))


def pivot_is_reached(definition: Definition, state: SagaState) -> bool:
    """Tell whether the pivot has succeeded or may be under way, so that its outcome decides the direction."""
    if definition.pivot is None:
        return False
    stage = None if stage_is_not_begun(state) else next_stage(definition, state)
    return pivot_passed(definition, state) or (
        stage is not None and any(step.name == definition.pivot for step in stage)
    )


def deadline_counts(definition: Definition, state: SagaState) -> bool:
    """Tell whether the saga's deadline may still roll it back: no compensation may precede the pivot's outcome."""
    return state.status in FORWARD and not pivot_is_reached(definition, state)


def stage_is_not_begun(state: SagaState) -> bool:
    """Tell whether the saga is stuck because of a mistake in a question that comes before any step of the stage."""
    error = state.error
    asked = error is not None and error.kind == "fault" and error.message.startswith(QUESTIONS)
    return state.status == "stuck" and asked


def unfinished(definition: Definition, state: SagaState) -> tuple[str, ...]:
    """Return the steps that may have had an effect, in the order in which they are to be undone (latest first)."""
    current = definition.stage_after[state.settled]
    found: list[str] = []
    for number in range(min(current, len(definition.stages) - 1), -1, -1):
        for step in reversed(definition.stages[number]):
            if step.kind in ("wait", "sleep") and step.name not in state.steps:
                continue
            for name in names_begun(state, step):
                if number == current and name not in state.steps and stage_is_not_begun(state):
                    continue
                if state.steps.get(name, UNTOUCHED).action.status not in WITHOUT_EFFECT:
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
    if not due or step not in stage or state.rolling_back or state.status in ("completed", "failed"):
        raise InvalidAction(f"expected the outcome of a step that was begun, found one of {name}")
    return UNTOUCHED


def to_be_undone(state: SagaState) -> tuple[str, ...]:
    """Return the steps that are still to be undone, in the order in which they will be undone."""
    return tuple(name for name in state.plan if is_to_undo(state.steps[name]))


class UndoFront(Struct, frozen=True):
    """What the undoing stands at: actions still `ending`, steps `ready` to be undone, steps that are `blocked`."""

    ending: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def undo_front(definition: Definition, state: SagaState) -> UndoFront:
    """Return what can go on while rolling back; only steps of the latest stage that is not undone are ready."""
    ending = _ending(definition, state)
    if ending:
        return UndoFront(ending=ending)
    for stage in reversed(definition.stages):
        ready: list[str] = []
        blocked: list[str] = []
        for step in stage:
            if step.name in state.fans:
                _front_of_parts(state, step, ready, blocked)
                continue
            here = state.steps.get(step.name, UNTOUCHED)
            if is_to_undo(here):
                (ready if can_be_undone(step, here) else blocked).append(step.name)
        if ready or blocked:
            return UndoFront(ready=tuple(ready), blocked=tuple(blocked))
    return UndoFront()


def can_be_undone(step: StepDefinition, here: StepState) -> bool:
    """Tell whether a planned compensation can run: it has not failed for good, and the result it needs is known."""
    takes_none = step.compensation is not None and step.compensation.takes_none
    return here.undo.status != "failed" and (here.action.status == "succeeded" or takes_none)


def _ending(definition: Definition, state: SagaState) -> tuple[str, ...]:
    steps = state.steps
    if not state.fans:
        return tuple(name for name, step in steps.items() if _is_ending(definition, name, step))
    names = [name for step in definition.steps.values() for name in names_under_way(state, step)]
    return tuple(name for name in names if name in steps and _is_ending(definition, name, steps[name]))


def _is_ending(definition: Definition, name: str, step: StepState) -> bool:
    if step.undo.status == "none" or not is_open(step.action):
        return False
    # A wait that was ended by a mistake in what came has nothing under way.
    return step.action.waiting is not None or definition.steps[name].kind not in ("wait", "sleep")


def _front_of_parts(state: SagaState, step: StepDefinition, ready: list[str], blocked: list[str]) -> None:
    """Add the parts that can be undone, as many as ran at once; one by one, a blocked part stops the rest."""
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


def check_undo_begun(definition: Definition, state: SagaState, name: str) -> None:
    """Raise `InvalidAction` if no attempt to undo the step can have been begun, because others come first."""
    later: list[StepState] = []
    own = definition.step(name)
    for stage in reversed(definition.stages):
        if own in stage:
            break
        later += [state.steps.get(n, UNTOUCHED) for step in stage for n in names_to_undo(state, step)]
    fan = state.fans.get(own.name)
    if fan is not None and fan.width == 1:
        # Elements that were done one after the other are undone one after the other.
        later += [state.steps[n] for n in takewhile(lambda n: n != name, names_to_undo(state, own))]
    # A late success was planned late: by then, undoing an earlier step may have begun.
    first = any(is_to_undo(step) and not step.late for step in later)
    if first or undo_front(definition, state).ending:
        raise InvalidAction(f"expected the outcome of a compensation that was begun, found one of {name}")
