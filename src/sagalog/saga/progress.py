"""Where a saga stands in its definition: the current stage, what has been begun, what may have had an effect. Pure."""

from sagalog.errors import InvalidAction
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.growing import plain
from sagalog.saga.parts import is_under_way, names_begun
from sagalog.saga.state import UNTOUCHED, SagaState, StepState, is_done, is_to_undo
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
    is_next = definition.stage_of[definition.pivot] == definition.stage_after[state.settled]
    return pivot_passed(definition, state) or (is_next and not stage_is_not_begun(state))


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
    none_of_it = stage_is_not_begun(state)
    steps: dict[str, StepState] = plain(state.steps)
    found: list[str] = []
    for number in range(min(current, len(definition.stages) - 1), -1, -1):
        for step in reversed(definition.stages[number]):
            if step.kind in ("wait", "sleep") and step.name not in steps:
                continue
            for name in (step.name,) if step.fan is None else names_begun(state, step):
                here = steps.get(name)
                if here is None:
                    # Its first attempt is under way, as the event before implies.
                    begun = not (none_of_it and number == current)
                else:
                    begun = here.action.status not in WITHOUT_EFFECT
                if begun:
                    found.append(name)
    return tuple(found)


def begun(definition: Definition, state: SagaState, name: str) -> StepState:
    """Return the step's state; raises `InvalidAction` if no attempt of it can have been begun yet."""
    before = state.steps.get(name)
    if before is not None:
        return before
    step = definition.step(name)
    is_next = definition.stage_of[step.name] == definition.stage_after[state.settled]
    due = name == step.name if step.fan is None else is_under_way(state, step, name)
    if not due or not is_next or state.rolling_back or state.status in ("completed", "failed"):
        raise InvalidAction(f"expected the outcome of a step that was begun, found one of {name}")
    return UNTOUCHED


def to_be_undone(state: SagaState) -> tuple[str, ...]:
    """Return the steps that are still to be undone, in the order in which they will be undone."""
    return tuple(name for name in state.plan if is_to_undo(state.steps[name]))
