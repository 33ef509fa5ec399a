"""Checks of what a person asks for, before it is decided on: a mistake in it is told to them, and recorded nowhere."""

from difflib import get_close_matches
from typing import Any, Final

from msgspec import Raw

from sagalog.errors import InvalidAction, InvalidInput
from sagalog.saga.actions.steps import direction_to_settle
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.events import EMPTY, Verb
from sagalog.saga.inputs import Act
from sagalog.saga.options import shown
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.state import SagaState

# Verbs about one step, which has to be named.
OF_ONE_STEP: Final[frozenset[Verb]] = frozenset(("skip", "resolve", "fork"))


def check_asked(act: Act) -> None:
    """Raise `InvalidAction` for what an action lacks, whatever saga it is asked of, and for what contradicts itself."""
    if act.step is None and act.verb in OF_ONE_STEP:
        raise InvalidAction(f"{act.verb}: expected the name of a step, found none")
    if act.verb == "resolve" and act.happened is None:
        raise InvalidAction("resolve: say whether it happened or did not happen")
    if act.verb == "reschedule" and act.until is None:
        raise InvalidAction("reschedule: say when, as a time or as a duration from now")
    if act.verb == "reschedule" and act.step is not None and act.of_deadline:
        raise InvalidAction(
            f"reschedule: expected a step or the deadline, found step {shown(act.step)} and the deadline"
        )


def check_act(definition: Definition | None, state: SagaState, act: Act) -> None:
    """Raise `InvalidAction` for what `check_asked` refuses, and for a step that is not there."""
    check_asked(act)
    if act.step is None or isinstance(definition, ChoreographyDefinition):
        return
    known = list(state.steps) if definition is None else list(definition.steps)
    found = act.step in state.steps if definition is None else definition.find(act.step) is not None
    if not found:
        close = get_close_matches(act.step, known, 1)
        meant = f"; did you mean {close[0]}?" if close else f"; it has {', '.join(known) or 'none that has begun'}"
        raise InvalidAction(
            f"{act.verb}: expected a step of saga {state.saga} version {state.definition_version}, found "
            f"{shown(act.step)}{meant}"
        )


def value_for(definition: Definition | None, state: SagaState, act: Act, given: Any, is_given: bool) -> Raw:
    """Return a given result or input as it will be recorded; `null` for an action that has none.

    `given` is a value of the declared type, or `Raw` JSON. Raises `InvalidInput` if it does not fit the type.
    """
    if act.verb == "amend" and not is_given:
        raise InvalidAction("amend: expected a result, or an input, found neither")
    if act.verb == "resolve" and act.happened is False and is_given:
        raise InvalidAction(f"resolve: expected no result of what did not happen, found {shown(given)}")
    wants = act.verb in ("skip", "amend") or (act.verb == "resolve" and bool(act.happened))
    if definition is None or isinstance(definition, ChoreographyDefinition) or not wants:
        return EMPTY
    if act.step is None:
        return _written(definition.input, given, f"the input of saga {definition.name}")
    step = definition.step(act.step)
    undoing = act.verb == "resolve" and (act.direction or direction_to_settle(state, act.step)) == "compensation"
    if undoing or (step.fan is not None and act.step == step.name):
        return EMPTY
    return _result(step, act, given, is_given)


def _result(step: StepDefinition, act: Act, given: Any, is_given: bool) -> Raw:
    what = f"the result of step {act.step}"
    if is_given:
        return _written(step.result, given, what)
    try:
        step.result.take(EMPTY)
    except InvalidInput:
        raise InvalidInput(f"{what}: expected {step.result.name}, found none; later steps may read it") from None
    return EMPTY


def _written(kind: PayloadType, given: Any, what: str) -> Raw:
    if not isinstance(given, Raw):
        try:
            return kind.write(given, what)
        except TypeError as problem:
            raise InvalidInput(str(problem)) from None
    try:
        value = kind.accept(given)
    except InvalidInput as problem:
        raise InvalidInput(f"{what}: {problem}") from None
    return kind.write(value, what)
