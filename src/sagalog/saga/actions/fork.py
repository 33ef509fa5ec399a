"""A saga that goes on from where another one stood before one of its steps: what it takes over, and its start. Pure.

The new saga is of the same definition and key, as its next run. What it takes over is in its first event, because
nothing of it happens again: each step has the result that it had, and is undone by the new saga if that goes back.
"""

from sagalog.saga import events as e
from sagalog.saga.attributes import Recorded, brought
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.identifiers import part_name
from sagalog.saga.inputs import Start
from sagalog.saga.state import UNTOUCHED, SagaState, is_done


def hindrance(definition: Definition, state: SagaState, name: str) -> str | None:
    """Return why a saga cannot be forked at this step; None if it can."""
    step = definition.find(name)
    if step is None or step.name != name:
        return f"it has no step {name!r}"
    for before in _before(definition, step):
        why = _not_standing(state, before)
        if why is not None:
            return f"{why}; fork at {before.name}, or before it"
    return None


def start_of(definition: Definition, saga_id: str, state: SagaState, name: str) -> Start:
    """Return the start of the new saga."""
    step = definition.step(name)
    taken: list[e.Adopted] = []
    for before in _before(definition, step):
        taken += _adopted(state, before)
    # What stands of the same stage is not done a second time.
    for beside in _stage_of(definition, step):
        if beside is not step and _stands(state, beside):
            taken += _adopted(state, beside)
    return Start(
        state.key,
        state.input,
        state.run + 1,
        state.correlation_id,
        saga_id,
        attributes=_attributes(definition, state, taken),
        fork=e.Fork(saga_id, name, tuple(taken)),
    )


def _stage_of(definition: Definition, step: StepDefinition) -> tuple[StepDefinition, ...]:
    return next(stage for stage in definition.stages if step in stage)


def _before(definition: Definition, step: StepDefinition) -> list[StepDefinition]:
    found: list[StepDefinition] = []
    for stage in definition.stages:
        if step in stage:
            break
        found += stage
    return found


def _names(state: SagaState, step: StepDefinition) -> list[str]:
    fan = state.fans.get(step.name)
    return [step.name] if fan is None else [part_name(step.name, n) for n in range(len(fan.elements))]


def _not_standing(state: SagaState, step: StepDefinition) -> str | None:
    for name in _names(state, step):
        here = state.steps.get(name, UNTOUCHED)
        if not is_done(here):
            return f"step {name} was not done"
        if here.undo.status not in ("none", "waived"):
            return f"step {name} was undone, or is to be"
    if step.child is not None and step.compensation is not None:
        return f"step {step.name} is a saga of its own, which only its own parent can undo"
    return None


def _stands(state: SagaState, step: StepDefinition) -> bool:
    return _not_standing(state, step) is None


def _adopted(state: SagaState, step: StepDefinition) -> list[e.Adopted]:
    fan = state.fans.get(step.name)
    whole = [] if fan is None else [e.Adopted(step=step.name, elements=fan.elements, at_once=fan.width)]
    return whole + [_result_of(state, name) for name in _names(state, step)]


def _result_of(state: SagaState, name: str) -> e.Adopted:
    here = state.steps[name]
    skipped = here.action.status == "skipped"
    return e.Adopted(step=name, result=e.EMPTY if here.result is None else here.result, skipped=skipped)


def _attributes(definition: Definition, state: SagaState, taken: list[e.Adopted]) -> Recorded:
    """Return the attributes that the input and the results bring that are taken over."""
    held, _ = brought(definition.attributes, definition.read_input(state.input), definition.redact)
    for one in taken:
        step = definition.step(one.step)
        if step.attributes is not None and not one.elements and not one.skipped:
            news, _ = brought(step.attributes, step.result.read(one.result), definition.redact, held)
            held = {**held, **news}
    return {name: data for name, data in held.items() if data is not None}
