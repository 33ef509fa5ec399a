"""Where each argument of a handler comes from, found once from its annotations; no handler is called here."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from sagalog.saga.callables import annotations_of, parameters_of
from sagalog.saga.context import StepContext
from sagalog.saga.payload.annotations import plain

Source = Literal["input", "result", "context", "metadata", "service", "element"]

# Plain data, never a service: a parameter of such a type that no step or input provides is a mistake.
_PLAIN = (str, int, float, bool, bytes, dict, list, tuple, set, frozenset, object, type(None), Any)


class Parameter(Struct, frozen=True):
    """A parameter of a handler: its name, the source of its value, and which step or service type that is."""

    name: str
    source: Source
    key: Any = None
    optional: bool = False


class Earlier(Struct, frozen=True):
    """A step whose result a handler may take, or the element of a `for_each=` step, by the parameter's name."""

    name: str
    result: Any
    conditional: bool
    is_element: bool = False


def result_type(function: Callable[..., Any]) -> Any:
    """Return the annotated return type of a handler; `inspect.Parameter.empty` if there is none."""
    return annotations_of(function).get("return", inspect.Parameter.empty)


def without_none(kind: Any) -> tuple[Any, bool]:
    """Split `T | None` into `(T, True)`; return any other type as `(type, False)`."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = typing.get_args(kind)
        rest = [member for member in members if member is not type(None)]
        if len(rest) < len(members):
            return (rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]), True  # noqa: UP007
    return kind, False


def bind(
    function: Callable[..., Any],
    input_type: Any,
    earlier: list[Earlier],
    later: list[Earlier],
    skip_first: bool = False,
) -> tuple[list[Parameter], list[str]]:
    """Return the parameters of `function` and the mistakes found.

    `skip_first` leaves out the first parameter, which in a compensation is the step's own result.
    """
    parameters: list[Parameter] = []
    mistakes: list[str] = []
    try:
        hints = annotations_of(function)
    except Exception as problem:
        return [], [f"the annotations cannot be resolved ({problem}); import the types where the step is declared"]
    signature = parameters_of(function)
    for parameter in signature[1:] if skip_first else signature:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            mistakes.append(f"parameter {parameter.name} {not_by_name(parameter)}")
            continue
        if parameter.name not in hints:
            mistakes.append(f"parameter {parameter.name} has no type, so nothing provides it; annotate it")
            continue
        found = _source(parameter.name, hints[parameter.name], plain(input_type), earlier, later)
        if isinstance(found, Parameter):
            parameters.append(found)
        elif parameter.default is parameter.empty or not found.startswith("nothing"):
            mistakes.append(f"parameter {parameter.name}: {found}")
    return parameters, mistakes


def not_by_name(parameter: inspect.Parameter) -> str:
    """Return why a parameter cannot be passed by keyword."""
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return "cannot be given by name; leave out the / behind it"
    return "cannot be given by name; name each parameter (a decorator that hides them needs functools.wraps)"


def _source(
    name: str, annotation: Any, input_type: Any, earlier: list[Earlier], later: list[Earlier]
) -> Parameter | str:
    """Return where the value of a parameter comes from, or what is wrong with it."""
    kind, optional = without_none(annotation)
    # A union's `__name__` is only "Union", so its full text is shown.
    shown = str(kind) if typing.get_origin(kind) is typing.Union else getattr(kind, "__name__", None) or str(kind)
    is_input = input_type in (kind, annotation)
    if kind is StepContext:
        return Parameter(name, "context")
    matches = [step for step in earlier if without_none(step.result)[0] == kind]
    candidates = len(matches) + (1 if is_input else 0)
    if candidates > 1:
        named = [step for step in matches if step.name == name]
        if not named:
            steps = ", ".join(step.name for step in matches)
            also = " and the input" if is_input else ""
            return f"{shown} is ambiguous: {steps}{also} give it; name the parameter after the step that is meant"
        matches = named
    elif is_input:
        return Parameter(name, "input")
    if matches:
        step = matches[0]
        if step.is_element:
            return Parameter(name, "element", step.name, optional)
        may_be_none = step.conditional or without_none(step.result)[1]
        if may_be_none and not optional:
            return f"the result of {step.name} may be missing; declare {name}: {shown} | None"
        return Parameter(name, "result", step.name, optional)
    if without_none(input_type) == (kind, True):
        return f"the input may be None; declare {name}: {shown} | None"
    if any(without_none(step.result)[0] == kind for step in later):
        return f"nothing provides {shown} yet: the step that returns it does not come before this one"
    if kind in _PLAIN or not isinstance(kind, type) or typing.get_origin(kind) is not None:
        return f"nothing provides {shown}: it is neither the input, nor the result of an earlier step, nor a service"
    return Parameter(name, "service", kind, optional)
