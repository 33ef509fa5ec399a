"""How events change a step with `for_each=` as a whole: its `FanOut`. It decides nothing. Pure.

At most `width` parts are begun or undone at a time. So the lists of a saga with many elements stay short, and the cost
of one outcome does not depend on the number of elements.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from sagalog.errors import DivergentHistory
from sagalog.saga import events as e
from sagalog.saga.changes import misplaced, moved, with_step
from sagalog.saga.identifiers import part_name, part_of
from sagalog.saga.state import NOT_ASKED, UNTOUCHED, FanOut, SagaState, Side, StepState, is_open, is_to_undo
from sagalog.saga.transitions import Status

NO_RESULTS = Raw(b"[]")


def _step_fanned_out(state: SagaState, event: e.StepFannedOut, status: Status) -> SagaState:
    """Record the elements; a step without any is done, and has nothing to undo."""
    if event.step in state.steps or event.step in state.fans:
        raise misplaced(state, event, f"step {event.step} has been begun")
    if not event.elements:
        none = StepState(Side("skipped", ended=event.time), NOT_ASKED, NO_RESULTS)
        return replace(with_step(state, event, event.step, none, status), settled=state.settled + 1)
    begun = min(event.at_once, len(event.elements))
    fan = FanOut(event.elements, event.at_once, begun, tuple(range(begun)))
    return moved(state, event, status, fans={**state.fans, event.step: fan})


def settles(state: SagaState, name: str) -> int:
    """Return 1 if the success of this step completes a declared step, 0 if it is a part and others are not done."""
    part = part_of(name)
    fan = state.fans.get(part[0]) if part else None
    return 1 if fan is None or fan.done + 1 == len(fan.elements) else 0


def follow(state: SagaState, event: e.SagaEvent) -> SagaState:
    """Return the state with the step as a whole after `event`; its part has changed already."""
    if isinstance(event, e.SagaResumed):
        return replace(state, fans={name: _resumed(state, name, fan) for name, fan in state.fans.items()})
    if isinstance(event, e.CompensationStarted):
        return replace(state, fans={name: _planned(state, name, fan) for name, fan in state.fans.items()})
    # Where a parent asks for the undoing, the step is the parent's. An action begins and ends no part by itself, and
    # may be about one of which nothing is known yet.
    name: str = "" if isinstance(event, e.UndoAsked | e.Action) else getattr(event, "step", "")
    part = part_of(name)
    fan = state.fans.get(part[0]) if part else None
    if part is None or fan is None:
        return state
    step, number = part
    return replace(state, fans={**state.fans, step: _moved(state, event, fan, number, state.steps[name])})


def _moved(state: SagaState, event: e.SagaEvent, fan: FanOut, number: int, part: StepState) -> FanOut:
    if number >= fan.begun:
        raise DivergentHistory(
            f"expected the outcome of one of the {fan.begun} parts begun, found one of part {number}"
        )
    done, begun, under_way, undo = fan.done, fan.begun, fan.open, fan.undo
    if number in under_way and not is_open(part.action):
        under_way = _without(under_way, number)
    if isinstance(event, e.StepSucceeded):
        done += 1
        if state.status == "pending":
            last = min(len(fan.elements), begun + fan.width - len(under_way))
            under_way, begun = (*under_way, *range(begun, last)), last
    if not is_to_undo(part):
        undo = _without(undo, number) if number in undo else undo
    elif number not in undo:
        undo = tuple(sorted((*undo, number), reverse=True))
    return FanOut(fan.elements, fan.width, begun, under_way, done, undo)


def _without(numbers: tuple[int, ...], number: int) -> tuple[int, ...]:
    at = numbers.index(number)
    return numbers[:at] + numbers[at + 1 :]


def _planned(state: SagaState, name: str, fan: FanOut) -> FanOut:
    """Return the step with the parts to be undone, the latest element first."""
    parts = [state.steps.get(part_name(name, n)) for n in range(fan.begun)]
    undo = [n for n, part in enumerate(parts) if part is not None and is_to_undo(part)]
    # Every part that may have begun is among the steps now; another one never will.
    begun = sum(part is not None for part in parts)
    under_way = tuple(n for n in fan.open if parts[n] is not None)
    return replace(fan, undo=tuple(reversed(undo)), begun=begun, open=under_way)


def _resumed(state: SagaState, name: str, fan: FanOut) -> FanOut:
    """Return the step with its open parts after a resume: parts that failed for good are open again."""
    actions = [state.steps.get(part_name(name, n), UNTOUCHED).action for n in range(fan.begun)]
    under_way = tuple(n for n, action in enumerate(actions) if is_open(action))
    last = fan.begun
    # A refusal recorded while the saga was stuck rolls it back at once; then no further part is begun.
    if state.status == "pending" and not any(step.action.status == "refused" for step in state.steps.values()):
        last = min(len(fan.elements), fan.begun + max(0, fan.width - len(under_way)))
    return replace(fan, open=(*under_way, *range(fan.begun, last)), begun=last)


CHANGES: dict[type[e.SagaEvent], Callable[[SagaState, Any, Status], SagaState]] = {e.StepFannedOut: _step_fanned_out}
