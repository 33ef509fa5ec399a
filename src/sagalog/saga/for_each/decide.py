"""A step that is made once for each element of a list: its parts, which are under way, which are to be undone. Pure.

A part is a step of its own, named `ship_line[0]`, with its own attempts, result and compensation. What a saga knows of
all parts together is a `FanOut` in its state. At most `width` parts are begun or undone at a time, so that what is said
of a saga with many elements stays small, and what one outcome costs does not depend on their number.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from msgspec import Raw
from msgspec.structs import replace

from sagalog.errors import DivergentHistory, PayloadTooLarge
from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition, FanOutDefinition, StepDefinition
from sagalog.saga.failure import let_interrupts_through, named
from sagalog.saga.parts import part_name, part_of
from sagalog.saga.payload.payload_type import MAX_PAYLOAD
from sagalog.saga.state import UNTOUCHED, FanOut, SagaState, StepState

MAX_ELEMENTS = 10_000
TO_UNDO = ("pending", "retrying", "failed")
NO_RESULTS = Raw(b"[]")
# What can be iterated over and is no list of elements; the order of a set is another one in every process.
_NO_LISTS = (str, bytes, set, frozenset, Mapping)


def elements_of(step: StepDefinition, fan: FanOutDefinition, given: Any) -> tuple[Raw, ...]:
    """Ask the user's function for the elements, once, and return them as JSON.

    Raises what the function raises, `TypeError` for what makes no list of elements, and `PayloadTooLarge`.
    """
    found: Any = plain_answer(fan.elements(given), "it")
    if isinstance(found, _NO_LISTS) or not hasattr(found, "__iter__"):
        raise TypeError(
            f"expected a list of elements in an order of its own, found {type(cast(object, found)).__name__}"
        )
    # One more than may be: an endless generator has to end here.
    taken: list[Any] = list(islice(found, MAX_ELEMENTS + 1))
    if len(taken) > MAX_ELEMENTS:
        raise PayloadTooLarge(
            f"more than {MAX_ELEMENTS:,} elements; let each be a list of several, or a saga of its own"
        )
    written = tuple(fan.element.write(one, f"element {n} of step {step.name}") for n, one in enumerate(taken))
    if (size := sum(map(len, map(bytes, written)))) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"the elements are {size:,} bytes of JSON, the cap is {MAX_PAYLOAD:,}")
    return written


def fan_out(
    definition: Definition, step: StepDefinition, fan: FanOutDefinition, input: Raw, now: int
) -> e.StepFannedOut | e.SagaStuck:
    """Return the event that records the elements, or the end of the way if they cannot be found."""
    try:
        elements = elements_of(step, fan, definition.read_input(input))
    except BaseException as problem:
        let_interrupts_through(problem)
        # The function is the user's code: a mistake in it must not stop anything but its own saga.
        kind, text = named(problem, definition.redact)
        error = e.error_from("fault", kind, f"in for_each=: {text}", step.name)
        reason = f"the elements of step {step.name} could not be found: {kind}: {text}"
        return e.SagaStuck(time=now, reason=reason, error=error)
    return e.StepFannedOut(time=now, step=step.name, elements=elements, at_once=fan.at_once)


# ------------------------------------------------------------------------------------------------------ evolve


def fanned_out(state: SagaState, event: e.StepFannedOut) -> SagaState:
    """Return the state in which the step has elements; a step without any is done, and there is nothing to undo."""
    if not event.elements:
        steps = state.steps.copy()
        steps[event.step] = StepState("skipped", ended=event.time, result=NO_RESULTS)
        return replace(state, steps=steps, settled=state.settled + 1)
    begun = min(event.at_once, len(event.elements))
    fan = FanOut(event.elements, event.at_once, begun, tuple(range(begun)))
    return replace(state, fans={**state.fans, event.step: fan})


def settles(state: SagaState, name: str) -> int:
    """Return 1 if the success of this step ends a declared step, 0 if it is a part that others are missing beside."""
    part = part_of(name)
    fan = state.fans.get(part[0]) if part else None
    return 1 if fan is None or fan.done + 1 == len(fan.elements) else 0


def follow(state: SagaState, event: e.SagaEvent) -> SagaState:
    """Return the state with what `event` means for all parts together; the part itself has changed already."""
    if isinstance(event, e.SagaResumed):
        return replace(state, fans={name: _resumed(state, name, fan) for name, fan in state.fans.items()})
    if isinstance(event, e.CompensationStarted):
        return replace(state, fans={name: _planned(state, name, fan) for name, fan in state.fans.items()})
    part = part_of(getattr(event, "step", ""))
    fan = state.fans.get(part[0]) if part else None
    if part is None or fan is None:
        return state
    step, number = part
    return replace(state, fans={**state.fans, step: _moved(state, event, fan, number, state.steps[event.step])})  # type: ignore[attr-defined]


def _moved(state: SagaState, event: e.SagaEvent, fan: FanOut, number: int, part: StepState) -> FanOut:
    if number >= fan.begun:
        raise DivergentHistory(
            f"expected the outcome of one of the {fan.begun} parts begun, found one of part {number}"
        )
    done, begun, under_way, undo = fan.done, fan.begun, fan.open, fan.undo
    if part.action not in ("open", "retrying") and number in under_way:
        under_way = _without(under_way, number)
    if isinstance(event, e.StepSucceeded):
        done += 1
        if state.status == "pending":
            last = min(len(fan.elements), begun + fan.width - len(under_way))
            under_way, begun = (*under_way, *range(begun, last)), last
    if part.undo not in TO_UNDO:
        undo = _without(undo, number) if number in undo else undo
    elif number not in undo:
        undo = tuple(sorted((*undo, number), reverse=True))
    return FanOut(fan.elements, fan.width, begun, under_way, done, undo)


def _without(numbers: tuple[int, ...], number: int) -> tuple[int, ...]:
    at = numbers.index(number)
    return numbers[:at] + numbers[at + 1 :]


def _planned(state: SagaState, name: str, fan: FanOut) -> FanOut:
    """Return what is to be undone, the latest element first."""
    begun = range(fan.begun - 1, -1, -1)
    undo = tuple(n for n in begun if state.steps.get(part_name(name, n), UNTOUCHED).undo in TO_UNDO)
    return replace(fan, undo=undo)


def _resumed(state: SagaState, name: str, fan: FanOut) -> FanOut:
    """Return the parts that are under way again: what failed for good has a new chance."""
    actions = [state.steps.get(part_name(name, n), UNTOUCHED).action for n in range(fan.begun)]
    under_way = tuple(n for n, action in enumerate(actions) if action in ("open", "retrying"))
    last = fan.begun
    # What was refused while the saga was stuck will roll it back at once, and then nothing more is begun.
    if state.status == "pending" and not any(step.action == "refused" for step in state.steps.values()):
        last = min(len(fan.elements), fan.begun + max(0, fan.width - len(under_way)))
    return replace(fan, open=(*under_way, *range(fan.begun, last)), begun=last)


# ------------------------------------------------------------------------------------- what is done, and can be


def names_under_way(state: SagaState, step: StepDefinition) -> Iterator[str]:
    """Yield the names under which a declared step is under way or still to come: its own, or those of its parts."""
    fan = state.fans.get(step.name)
    if fan is None:
        yield step.name
    else:
        for number in fan.open:
            yield part_name(step.name, number)


def names_begun(state: SagaState, step: StepDefinition) -> Iterator[str]:
    """Yield the names under which a declared step may have had an effect, the latest first."""
    fan = state.fans.get(step.name)
    if fan is not None:
        for number in range(fan.begun - 1, -1, -1):
            yield part_name(step.name, number)
    elif step.fan is None:
        yield step.name


def names_to_undo(state: SagaState, step: StepDefinition) -> Iterator[str]:
    """Yield the names under which a declared step may still have to be undone, the latest first."""
    fan = state.fans.get(step.name)
    if fan is None:
        yield step.name
    else:
        for number in fan.undo:
            yield part_name(step.name, number)


def is_under_way(state: SagaState, step: StepDefinition, name: str) -> bool:
    """Tell whether an attempt of a step that is known to be due can have been begun under this name."""
    part = part_of(name)
    if step.fan is None:
        return part is None or name == step.name
    fan = state.fans.get(step.name)
    return fan is not None and part is not None and part[0] == step.name and part[1] in fan.open


def element_of(fan: FanOutDefinition, state: SagaState, name: str) -> Any:
    """Return the element of a part, read afresh from what was recorded."""
    part = part_of(name)
    assert part is not None
    return fan.element.read(state.fans[part[0]].elements[part[1]])


def results_of(definition: Definition, state: SagaState, name: str) -> list[Any] | None:
    """Return the results of all parts in the order of their elements; None if not all of them have one."""
    declared = definition.steps[name].fan
    if declared is None or name in state.steps:
        # It had no elements, or was skipped.
        whole = state.steps[name].result if name in state.steps else None
        return None if whole is None else []
    fan = state.fans.get(name)
    if fan is None or fan.done < len(fan.elements):
        return None
    found: list[Any] = declared.results.read(_joined(state, name, fan))
    return found


def raw_results(state: SagaState) -> dict[str, Raw]:
    """Return the results of all steps as they were recorded, those of all parts of a step that is done as one list."""
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
    parts = [state.steps[part_name(name, n)].result or e.EMPTY for n in range(len(fan.elements))]
    return Raw(b"[" + b",".join(map(bytes, parts)) + b"]")
