"""Turns a declared saga into a `Definition`, or raises one `DefinitionError` that names every mistake."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.saga.binding import Earlier, Parameter, bind, result_type, without_none
from sagalog.saga.callables import annotations_of, handler_mistake, is_async, parameters_of, question_mistake
from sagalog.saga.children.check import child_of, undoing_of
from sagalog.saga.children.notes import ChildResult
from sagalog.saga.definition import (
    CompensationDefinition,
    Definition,
    StepDefinition,
    assemble,
)
from sagalog.saga.for_each.check import check_fan_out, list_of
from sagalog.saga.identifiers import check_identifier, part_of
from sagalog.saga.messages.check import cancels_of, exchange_of, exchange_of_request, is_event, starts_of, wait_of
from sagalog.saga.options import shown, version_mistake
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.retry import ACTION_RETRY, PATIENT, Retry
from sagalog.saga.written import DeclaredSaga, DeclaredStep

# After the pivot a step is retried like a compensation: until it succeeds or a person is needed.
RETRIABLE_RETRY = PATIENT
# A sent command is not lost, so it is sent once unless the user asks for retries.
REQUEST_RETRY = Retry(attempts=1)


def build(declared: DeclaredSaga) -> Definition:
    """Return the checked definition; raises `DefinitionError` naming every mistake, not just the first."""
    mistakes = list(_saga_mistakes(declared))
    input_type = _payload(declared.input, "input", mistakes)
    all_steps = [step for stage in declared.stages for step in stage]
    own_results = [_result_of(step, mistakes) for step in all_steps]
    results = [
        Earlier(step.name, own if step.fan is None else list_of(own), step.when is not None)
        for step, own in zip(all_steps, own_results, strict=True)
    ]
    stages: list[tuple[StepDefinition, ...]] = []
    pivot_seen = False
    position = 0
    for stage in declared.stages:
        earlier, later = results[:position], results[position:]
        built: list[StepDefinition] = []
        for offset, step in enumerate(stage):
            mistakes += _order_mistakes(step, declared.input, pivot_seen, len(stage))
            others = [other for other in later if other.name != step.name]
            own = own_results[position + offset]
            mistakes += _attribute_mistakes(step, own)
            built.append(_step(declared, step, own, earlier, others, pivot_seen, mistakes))
        pivot_seen = pivot_seen or any(step.pivot for step in stage)
        position += len(stage)
        stages.append(tuple(built))
    starts = starts_of(declared, mistakes)
    cancels = cancels_of(declared, mistakes)
    if mistakes:
        listed = "\n".join(f"  - {text}" for text in dict.fromkeys(mistakes))
        raise DefinitionError(f"saga {declared.name!r} is declared wrongly:\n{listed}")
    return assemble(
        name=declared.name,
        version=declared.version,
        input=input_type,
        timeout=declared.timeout,
        stages=tuple(stages),
        key=declared.key,
        reruns=declared.after_end == "rerun",
        starts=starts,
        attributes=declared.attributes,
        cancels=cancels,
    )


def _step(
    declared: DeclaredSaga,
    step: DeclaredStep,
    own: Any,
    earlier: list[Earlier],
    later: list[Earlier],
    pivot_seen: bool,
    mistakes: list[str],
) -> StepDefinition:
    """Return one checked step; `own` is its result type (with `for_each=`, the result type of one part)."""
    # Mistakes in messages are reported where the request or the wait is checked.
    about = mistakes if step.kind == "call" else []
    result = _payload(own, f"result of step {step.name}", about)
    fan, element = check_fan_out(step, declared.input, own, mistakes)
    parameters: list[Parameter] = []
    if step.child is None or not step.child.takes_input:
        parameters, wrong = _bound(step.handler, declared.input, earlier, later, skip_first=step.fan is not None)
        mistakes += [f"step {step.name}: {text}" for text in wrong]
    known = earlier if element is None else [*earlier, element]
    return StepDefinition(
        name=step.name,
        handler=step.handler,
        is_async=step.is_async,
        parameters=tuple(parameters),
        result=result,
        retry=step.retry or _retry(step, pivot_seen),
        timeout=step.timeout,
        compensation=(
            _compensation(step, own, declared, known, later, mistakes)
            if step.child is None
            else undoing_of(step, pivot_seen)
        ),
        pivot=step.pivot,
        when=step.when,
        waiting_text=f"step {step.name}",
        kind=step.kind,
        exchange=exchange_of_request(step, mistakes),
        wait=wait_of(step, mistakes),
        fan=fan,
        child=child_of(step, declared.input, pivot_seen, mistakes),
        attributes=step.attributes,
    )


def _bound(
    handler: Callable[..., Any], input_type: Any, earlier: list[Earlier], later: list[Earlier], skip_first: bool
) -> tuple[list[Parameter], list[str]]:
    """Return a handler's parameters and the mistakes found; if it cannot be a handler, only that mistake."""
    wrong = handler_mistake(handler, skip_first)
    return bind(handler, input_type, earlier, later, skip_first) if wrong is None else ([], [wrong])


def _saga_mistakes(declared: DeclaredSaga) -> Iterator[str]:
    yield from _name_mistakes(declared.name, "the saga's name")
    if (wrong := version_mistake(declared.version)) is not None:
        yield wrong
    yield from _question_mistakes(declared)
    if declared.after_end not in ("reject", "rerun"):
        yield f'after_end must be "reject" or "rerun", found {shown(declared.after_end)}'
    if not declared.stages:
        yield "it has no step"
    if any(not stage for stage in declared.stages):
        yield "a parallel group has no step"
    names: set[str] = set()
    for stage in declared.stages:
        for step in stage:
            yield from _name_mistakes(step.name, f"the name of step {step.name!r}")
            if step.name in names:
                yield f"two steps have the name {step.name}; give one of them name=..."
            names.add(step.name)
    made_of_parts = {step.name for stage in declared.stages for step in stage if step.fan is not None}
    for name in names:
        part = part_of(name)
        if part is not None and part[0] in made_of_parts:
            yield f"step {name} has the name that a part of step {part[0]} has; give it another with name=..."
    if sum(step.pivot for stage in declared.stages for step in stage) > 1:
        yield "more than one step is a pivot; a saga has one point of no return"


def _question_mistakes(declared: DeclaredSaga) -> Iterator[str]:
    for option, function in (("key", declared.key), ("attributes", declared.attributes)):
        if function is not None and (wrong := question_mistake(function, "the input", declared.input)) is not None:
            yield f"{option}= {wrong}"


def _name_mistakes(name: str, what: str) -> Iterator[str]:
    try:
        check_identifier(name, what, 200)
    except InvalidIdentifier as problem:
        yield str(problem)


def _order_mistakes(step: DeclaredStep, input_type: Any, after_pivot: bool, side_by_side: int) -> Iterator[str]:
    if after_pivot and step.compensation is not None:
        yield f"step {step.name} comes after the pivot, where nothing is undone, and has a compensation; remove it"
    has_none = step.compensation is None and step.child is None
    if not after_pivot and not step.pivot and has_none and not step.waived:
        yield (
            f"step {step.name} has neither a compensation nor compensation=None; "
            f"declare @{step.name}.compensate, or say that there is nothing to undo"
        )
    if (wrong := Retry.mistake(step.retry)) is not None:
        yield f"step {step.name}: {wrong}"
    if step.compensation is not None and (wrong := Retry.mistake(step.compensation.retry)) is not None:
        yield f"compensation of step {step.name}: {wrong}"
    if step.pivot and side_by_side > 1:
        yield f"step {step.name} is the pivot and runs beside others; let it stand alone"
    if step.when is not None and (wrong := question_mistake(step.when, "the input", input_type)) is not None:
        reason = "is never reached" if step.when is False else "cannot be decided"
        yield f"step {step.name} {reason}: when= {wrong}"
    if step.when is not None and step.pivot:
        yield f"step {step.name} is the pivot and has when=; the point of no return cannot be skipped"


def _attribute_mistakes(step: DeclaredStep, own: Any) -> Iterator[str]:
    if step.attributes is None:
        return
    if step.fan is not None:
        yield f"step {step.name}: attributes= with for_each= would be those of the last part; declare them elsewhere"
    elif (wrong := question_mistake(step.attributes, "the result", own)) is not None:
        yield f"step {step.name}: attributes= {wrong}"
    elif isinstance(said := _annotated_first(step.attributes), type) and _is_no(own, said):
        of = said.__name__
        yield f"step {step.name}: attributes= takes the step's result {own.__name__}, found a function of {of}"


def _is_no(own: Any, said: type) -> bool:
    """Tell whether a value of type `own` surely does not fit where one of type `said` is taken."""
    try:
        # To checkers of types a whole number is a float, too, and `Any` is a class of its own.
        return isinstance(own, type) and said not in (Any, float) and not issubclass(own, said)
    except TypeError:
        # A generic type, or a protocol that cannot be asked.
        return False


def _annotated_first(function: Callable[..., Any]) -> Any:
    """Return the annotated type of a function's first parameter; None if it says nothing, or nothing that is known."""
    try:
        return annotations_of(function).get(next(iter(parameters_of(function))).name)
    except Exception:
        return None


def _retry(step: DeclaredStep, after_pivot: bool) -> Retry:
    if after_pivot:
        return RETRIABLE_RETRY
    return ACTION_RETRY if step.kind == "call" else REQUEST_RETRY


def _result_of(step: DeclaredStep, mistakes: list[str]) -> Any:
    if step.replies is not None:
        return step.replies.reply if is_event(step.replies.reply) else None
    if step.kind == "wait":
        return step.event if is_event(step.event) else None
    if step.child is not None:
        return ChildResult
    if handler_mistake(step.handler, step.fan is not None) is not None:
        # This mistake is reported where the parameters are bound.
        return None
    try:
        found = result_type(step.handler)
    except Exception as problem:
        mistakes.append(f"step {step.name}: its annotations cannot be resolved ({problem})")
        return None
    if found is inspect.Parameter.empty:
        mistakes.append(f"step {step.name} does not say what it returns; annotate it with -> Type or -> None")
        return None
    return type(None) if found is None else found


def _payload(kind: Any, what: str, mistakes: list[str]) -> PayloadType:
    try:
        return PayloadType(kind)
    except Exception as problem:
        mistakes.append(f"{what}: {kind!r} cannot be stored as JSON ({problem})")
        return PayloadType(type(None))


def _compensation(
    step: DeclaredStep,
    own: Any,
    declared: DeclaredSaga,
    earlier: list[Earlier],
    later: list[Earlier],
    mistakes: list[str],
) -> CompensationDefinition | None:
    undo = step.compensation
    if undo is None:
        return None
    parameters, wrong = _bound(undo.handler, declared.input, earlier, later, skip_first=True)
    where = f"compensation of step {step.name}"
    mistakes += [f"{where}: {text}" for text in wrong]
    names = [] if wrong else [one.name for one in parameters_of(undo.handler)]
    takes_none = False
    if not wrong and not names:
        mistakes.append(f"{where}: its first parameter must be the step's result")
    elif not wrong:
        first = annotations_of(undo.handler).get(names[0])
        kind, takes_none = without_none(first)
        takes_none = takes_none or kind is type(None)
        if kind != without_none(own)[0]:
            found = getattr(kind, "__name__", kind)
            expected = getattr(own, "__name__", own)
            mistakes.append(f"{where}: its first parameter must be the step's result {expected}, found {found}")
    exchange = None
    if undo.replies is not None and not wrong:
        exchange = exchange_of(undo.handler, undo.replies, where, True, mistakes)
        if exchange is not None and undo.timeout is None:
            mistakes.append(f"{where} has no timeout, so a reply that is lost would be waited for for ever")
    return CompensationDefinition(
        handler=undo.handler,
        is_async=is_async(undo.handler),
        parameters=tuple(parameters),
        takes_none=takes_none,
        retry=undo.retry,
        timeout=undo.timeout,
        exchange=exchange,
    )
