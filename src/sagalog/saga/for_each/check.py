"""Checks of what was declared with `for_each=`, and the definition made from it. No elements are looked for here."""

import inspect
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import Any

from sagalog.saga.binding import Earlier
from sagalog.saga.callables import annotations_of, handler_mistake, parameters_of, question_mistake
from sagalog.saga.definition import FanOutDefinition
from sagalog.saga.options import shown
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.written import DeclaredFanOut, DeclaredStep

MOST_AT_ONCE = 1_000


def list_of(result: Any) -> Any:
    """Return the type of the list of all parts' results, which later steps may take."""
    return GenericAlias(list, (result,))


def element_of_handler(handler: Callable[..., Any]) -> Earlier | None:
    """Return the first parameter of a handler, which its compensation may take as well; None if there is none."""
    parameters = parameters_of(handler)
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return None
    name = parameters[0].name
    hints = annotations_of(handler)
    return Earlier(name, hints[name], conditional=False, is_element=True) if name in hints else None


def check_fan_out(
    step: DeclaredStep, input_type: Any, result: Any, mistakes: list[str]
) -> tuple[FanOutDefinition | None, Earlier | None]:
    """Return the definition, and the element that the compensation may take; appends to `mistakes`."""
    fan = step.fan
    if fan is None:
        return None, None
    found = list(_mistakes(step, fan, input_type))
    element: Earlier | None = None
    stored = results = PayloadType(type(None))
    try:
        is_one = handler_mistake(step.handler, first=True) is None
        element = element_of_handler(step.handler) if is_one else None
    except Exception as problem:
        found.append(f"its annotations cannot be resolved ({problem})")
    else:
        if element is None and is_one:
            found.append("its first parameter must be the element of for_each=, with a type; annotate it")
    try:
        if element is not None:
            stored, results = PayloadType(element.result), PayloadType(list_of(result))
    except Exception as problem:
        found.append(f"its elements or results cannot be stored as JSON ({problem})")
    mistakes += [f"step {step.name}: {text}" for text in found]
    return FanOutDefinition(fan.elements, stored, results, fan.width), element


def _mistakes(step: DeclaredStep, fan: DeclaredFanOut, input_type: Any) -> Iterator[str]:
    if fan.elements is None:
        yield "at_once= says nothing without for_each=; remove it"
    elif (wrong := question_mistake(fan.elements, "the input", input_type, may_generate=True)) is not None:
        yield f"for_each= {wrong}"
    width: object = fan.width
    if not isinstance(width, int) or not 1 <= width <= MOST_AT_ONCE:
        yield f"at_once= is True, False, or 1 to {MOST_AT_ONCE:,}, found {shown(fan.at_once)}"
    if step.pivot:
        yield (
            "it is the pivot and has for_each=, but the point of no return is one step; "
            "let it stand before or after the elements"
        )
