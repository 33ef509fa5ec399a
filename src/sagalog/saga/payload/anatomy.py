"""What a value is made of, and how the way to a part of it is written: `$.lines[3].price`. It shows no values.

Pydantic's classes are recognised by what they carry; pydantic is not imported.
"""

import dataclasses
import inspect
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from msgspec import Struct

LONGEST_NAME = 60
DEEPEST = 100

# The labels of the parts of a value (names of fields, positions, keys), and the parts.
Parts = tuple[Sequence[Any], Sequence[Any]]
Dissect = Callable[[Any], Parts]
Beyond = Callable[[Any], dict[str, Any]]

# `type` itself, of which type checkers know more of its results.
class_of: Callable[[object], Any] = type


class Way(Struct, frozen=True, gc=False):
    """How a part of a value was reached: from what, by which label; None stands for the whole."""

    before: "Way | None"
    inside: Any
    label: Any


def is_pydantic(kind: object) -> bool:
    """Tell whether `kind` is a class of pydantic's: a model, or a dataclass that it made."""
    return inspect.isclass(kind) and hasattr(cast(object, kind), "__pydantic_validator__")


def fields_of(kind: Any) -> dict[str, Any]:
    """Return the declared fields of a class of pydantic's, by name."""
    # `__pydantic_fields__` is what newer versions call it.
    fields: dict[str, Any] = getattr(kind, "__pydantic_fields__", None) or getattr(kind, "model_fields", None) or {}
    return fields


def parts_of(value: Any) -> Parts | None:
    """Return what a value is made of; None if it is one thing."""
    dissect = dissection(class_of(value))
    return None if dissect is None else dissect(value)


@lru_cache(maxsize=4096)
def dissection(kind: Any) -> Dissect | None:
    """Return how the values of a class are taken apart; None if each is one thing."""
    if issubclass(kind, str | bytes | bytearray | memoryview | Enum | type):
        return None
    if issubclass(kind, Mapping):
        return _of_mapping
    if hasattr(kind, "_fields") and issubclass(kind, tuple):
        return lambda value: (value._fields, value)
    if issubclass(kind, list | tuple):
        return lambda value: (range(len(value)), value)
    if issubclass(kind, AbstractSet | deque):
        return lambda value: (range(len(value)), list(value))
    if issubclass(kind, Struct):
        names = kind.__struct_fields__
        return lambda value: (names, [getattr(value, name) for name in names])
    if dataclasses.is_dataclass(kind):
        declared = [field.name for field in dataclasses.fields(kind)]
        return lambda value: _present(value, declared)
    if is_pydantic(kind):
        return _of_model(frozenset(fields_of(kind)))
    if kind.__eq__ is object.__eq__ and kind.__dictoffset__:
        # It cannot be asked whether it is the same, so what it holds is.
        return lambda value: _of_mapping(value.__dict__)
    return None


@lru_cache(maxsize=4096)
def beyond(kind: Any) -> Beyond | None:
    """Return how to find what else the instances of a class with fields hold, by name; None if they cannot.

    It is what somebody has set that is no field. What Python, or a `cached_property`, keeps there is found again.
    """
    fields = _fields_of(kind)
    if fields is None or not kind.__dictoffset__:
        return None

    def look(value: Any) -> dict[str, Any]:
        held: dict[str, Any] = value.__dict__
        # Of most it is nothing, and that is quickly told.
        return {} if held.keys() <= fields else {name: one for name, one in held.items() if is_set_by_hand(name)}

    def is_set_by_hand(name: str) -> bool:
        is_pythons = name.startswith("__") and name.endswith("__")
        return name not in fields and not is_pythons and not _finds_again(kind, name)

    return look


def _fields_of(kind: Any) -> frozenset[str] | None:
    """Return the names of a class's fields; None if it is none that is made of fields."""
    if issubclass(kind, Struct):
        return frozenset(kind.__struct_fields__)
    if dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    if is_pydantic(kind):
        return frozenset(fields_of(kind))
    # Those of a named tuple stand nowhere beside it.
    return frozenset[str]() if hasattr(kind, "_fields") and issubclass(kind, tuple) else None


def _finds_again(kind: Any, name: str) -> bool:
    """Tell whether the class says how an attribute is found, as by a `cached_property`; a method does not."""
    found: object = inspect.getattr_static(kind, name, None)
    return hasattr(type(found), "__get__") and not callable(found) and not isinstance(found, classmethod)


def _of_mapping(value: Any) -> Parts:
    return list(value), list(value.values())


def _present(value: Any, names: list[str]) -> Parts:
    labels = [name for name in names if hasattr(value, name)]
    return labels, [getattr(value, name) for name in labels]


def _of_model(fields: frozenset[str]) -> Dissect:
    """Return how a model is taken apart: its fields, what it was given beyond them, its private attributes."""

    def dissect(value: Any) -> Parts:
        # Anything else that stands there was derived from the fields, and is derived again.
        found = {name: one for name, one in value.__dict__.items() if name in fields}
        for more in (value.__pydantic_extra__, value.__pydantic_private__):
            if more:
                found.update(more)
        return list(found), list(found.values())

    return dissect


def path_of(way: Way | None) -> str:
    """Return the way to a part as text; keys that are no plain names are left out, for they may be secrets."""
    steps: list[str] = []
    while way is not None:
        steps.append(named(way.label) if isinstance(way.inside, Mapping) else _step(way.label))
        way = way.before
    return "$" + "".join(reversed(steps))


def _step(label: object) -> str:
    return f"[{label}]" if isinstance(label, int) else f".{label}"


def named(label: object) -> str:
    """Return the step to what a key or a position leads to."""
    if isinstance(label, int) and not isinstance(label, bool):
        return f"[{label}]"
    if isinstance(label, str) and label.isidentifier() and len(label) <= LONGEST_NAME:
        return f".{label}"
    return "[...]"


def smallest(value: Any, is_wrong: Callable[[Any, Any, Any], bool]) -> tuple[str, Any]:
    """Return the path of the smallest part that is wrong, of a value that is, and the part.

    `is_wrong` takes a value, the label of a part of it, and the part.
    """
    way: Way | None = None
    for _ in range(DEEPEST):
        found = next(((label, part) for label, part in _pairs(value) if is_wrong(value, label, part)), None)
        if found is None:
            break
        way, value = Way(way, value, found[0]), found[1]
    return path_of(way), value


def not_finite(value: Any) -> str | None:
    """Return the path of the first number that is NaN or infinite; None if there is none."""
    return first_part(value, lambda one: isinstance(one, float) and not math.isfinite(one))


def first_part(value: Any, is_wanted: Callable[[Any], bool]) -> str | None:
    """Return the path of the first part of a value, itself included, that is wanted; None if there is none."""
    left: list[tuple[Any, Way | None]] = [(value, None)]
    while left:
        one, way = left.pop()
        if is_wanted(one):
            return path_of(way)
        left += [(part, Way(way, one, label)) for label, part in reversed(list(_pairs(one)))]
    return None


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    parts = parts_of(value)
    return iter(()) if parts is None else zip(*parts, strict=True)
