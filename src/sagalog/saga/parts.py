"""The parts of a step with `for_each=`: those under way, those to be undone, their results. Pure.

A part is a step of its own, named `ship_line[0]`. A step without elements counts as its own only part, so callers of
these functions need not ask which kind a step is.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from sagalog.saga.definition import Definition, FanOutDefinition, StepDefinition
from sagalog.saga.events import EMPTY
from sagalog.saga.identifiers import part_name, part_of
from sagalog.saga.state import FanOut, SagaState


def names_under_way(state: SagaState, step: StepDefinition) -> tuple[str, ...]:
    """Return the names under which a step is under way or still to come: its own, or those of its parts."""
    fan = state.fans.get(step.name)
    return (step.name,) if fan is None else tuple([part_name(step.name, number) for number in fan.open])


def names_begun(state: SagaState, step: StepDefinition) -> Iterator[str]:
    """Yield the names under which a step may have had an effect, the latest first."""
    fan = state.fans.get(step.name)
    if fan is not None:
        for number in range(fan.begun - 1, -1, -1):
            yield part_name(step.name, number)
    elif step.fan is None:
        yield step.name


def names_to_undo(state: SagaState, step: StepDefinition) -> Iterator[str]:
    """Yield the names under which a step may still have to be undone, the latest first."""
    fan = state.fans.get(step.name)
    if fan is None:
        yield step.name
    else:
        for number in fan.undo:
            yield part_name(step.name, number)


def is_under_way(state: SagaState, step: StepDefinition, name: str) -> bool:
    """Tell whether an attempt may be under way under this name, for a step of the current stage."""
    part = part_of(name)
    if step.fan is None:
        return part is None or name == step.name
    fan = state.fans.get(step.name)
    return fan is not None and part is not None and part[0] == step.name and part[1] in fan.open


def element_of(fan: FanOutDefinition, state: SagaState, name: str) -> Any:
    """Return the element of a part, decoded again from the record."""
    part = part_of(name)
    assert part is not None
    return fan.element.read(state.fans[part[0]].elements[part[1]])


def results_of(definition: Definition, state: SagaState, name: str) -> list[Any] | None:
    """Return the results of all parts in the order of their elements; None if a result is missing."""
    declared = definition.steps[name].fan
    if declared is None or name in state.steps:
        # The step had no elements, or was skipped.
        whole = state.steps[name].result if name in state.steps else None
        return None if whole is None else []
    fan = state.fans.get(name)
    if fan is None or fan.done < len(fan.elements):
        return None
    found: list[Any] = declared.results.read(_joined(state, name, fan))
    return found


def raw_results(state: SagaState) -> dict[str, Raw]:
    """Return the recorded results of all steps; those of the parts of a completed step as one list."""
    found: dict[str, Raw] = {}
    for name, step in state.steps.items():
        if step.result is None:
            continue
        part = part_of(name) if state.fans else None
        fan = None if part is None else state.fans.get(part[0])
        if part is None or fan is None or fan.done < len(fan.elements):
            found[name] = step.result
        elif part[0] not in found:
            found[part[0]] = _joined(state, part[0], fan)
    return found


def _joined(state: SagaState, name: str, fan: FanOut) -> Raw:
    parts = [state.steps[part_name(name, n)].result or EMPTY for n in range(len(fan.elements))]
    return Raw(b"[" + b",".join(map(bytes, parts)) + b"]")
