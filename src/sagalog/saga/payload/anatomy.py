"""The parts of a value, and the path to a part as text: `$.lines[3].price`. Paths show no values.

Pydantic's classes are recognised by their attributes; pydantic is not imported.
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

# The labels of the parts (field names, positions, or keys), and the parts themselves.
Parts = tuple[Sequence[Any], Sequence[Any]]
Dissect = Callable[[Any], Parts]
Beyond = Callable[[Any], dict[str, Any]]

# `type` itself, annotated so that type checkers treat its results as Any.
class_of: Callable[[object], Any] = type


class Way(Struct, frozen=True, gc=False):
    """One step of a path to a part: the value that holds it, its label, and the steps before (None: the whole)."""

    before: "Way | None"
    inside: Any
    label: Any


def is_pydantic(kind: object) -> bool:
    """Tell whether `kind` is a pydantic model, or a dataclass made by pydantic."""
    return inspect.isclass(kind) and hasattr(cast(object, kind), "__pydantic_validator__")


def fields_of(kind: Any) -> dict[str, Any]:
    """Return the declared fields of a pydantic class, by name."""
    # Newer versions of pydantic use `__pydantic_fields__`.
    fields: dict[str, Any] = getattr(kind, "__pydantic_fields__", None) or getattr(kind, "model_fields", None) or {}
    return fields


def parts_of(value: Any) -> Parts | None:
    """Return the parts of a value; None if it has none."""
    dissect = dissection(class_of(value))
    return None if dissect is None else dissect(value)


@lru_cache(maxsize=4096)
def dissection(kind: Any) -> Dissect | None:
    """Return a function that splits values of a class into parts; None if they have none."""
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
        # Its `==` is identity, so its attributes are compared instead.
        return lambda value: _of_mapping(value.__dict__)
    return None


@lru_cache(maxsize=4096)
def beyond(kind: Any) -> Beyond | None:
    """Return a function that finds attributes of an instance beside its fields, by name; None if there can be none.

    Those are attributes set by hand. Dunder attributes and those of a `cached_property` are left out: they come back.
    """
    fields = _fields_of(kind)
    if fields is None or not kind.__dictoffset__:
        return None

    def look(value: Any) -> dict[str, Any]:
        held: dict[str, Any] = value.__dict__
        # The fast path: most instances have nothing beside their fields.
        return {} if held.keys() <= fields else {name: one for name, one in held.items() if is_set_by_hand(name)}

    def is_set_by_hand(name: str) -> bool:
        is_pythons = name.startswith("__") and name.endswith("__")
        return name not in fields and not is_pythons and not _finds_again(kind, name)

    return look


def _fields_of(kind: Any) -> frozenset[str] | None:
    """Return the names of a class's fields; None for a class without fields."""
    if issubclass(kind, Struct):
        return frozenset(kind.__struct_fields__)
    if dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    if is_pydantic(kind):
        return frozenset(fields_of(kind))
    # The fields of a named tuple are not in its `__dict__`.
    return frozenset[str]() if hasattr(kind, "_fields") and issubclass(kind, tuple) else None


def _finds_again(kind: Any, name: str) -> bool:
    """Tell whether the class can compute an attribute again, as by a `cached_property`; a method does not count."""
    found: object = inspect.getattr_static(kind, name, None)
    return hasattr(type(found), "__get__") and not callable(found) and not isinstance(found, classmethod)


def _of_mapping(value: Any) -> Parts:
    return list(value), list(value.values())


def _present(value: Any, names: list[str]) -> Parts:
    labels = [name for name in names if hasattr(value, name)]
    return labels, [getattr(value, name) for name in labels]


def _of_model(fields: frozenset[str]) -> Dissect:
    """Return a function that splits a model into its fields, extra values, and private attributes."""

    def dissect(value: Any) -> Parts:
        # Anything else in `__dict__` was derived from the fields, and will be derived again.
        found = {name: one for name, one in value.__dict__.items() if name in fields}
        for more in (value.__pydantic_extra__, value.__pydantic_private__):
            if more:
                found.update(more)
        return list(found), list(found.values())

    return dissect


def path_of(way: Way | None) -> str:
    """Return a path as text. Keys that are no plain names are replaced, because they may be secrets."""
    steps: list[str] = []
    while way is not None:
        steps.append(named(way.label) if isinstance(way.inside, Mapping) else _step(way.label))
        way = way.before
    return "$" + "".join(reversed(steps))


def _step(label: object) -> str:
    return f"[{label}]" if isinstance(label, int) else f".{label}"


def named(label: object) -> str:
    """Return a key or a position as one step of a path."""
    if isinstance(label, int) and not isinstance(label, bool):
        return f"[{label}]"
    if isinstance(label, str) and label.isidentifier() and len(label) <= LONGEST_NAME:
        return f".{label}"
    return "[...]"


def smallest(value: Any, is_wrong: Callable[[Any, Any, Any], bool]) -> tuple[str, Any]:
    """Return the path and value of the smallest part that is wrong, where the whole value is known to be wrong.

    `is_wrong` takes a value, the label of one of its parts, and that part.
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
    """Return the path of the first part that is wanted, where the value itself counts, too; None if there is none."""
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
