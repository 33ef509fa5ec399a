"""Compares a value with what is read back from its JSON: part by part, types included, not by its `__eq__` alone."""

import math
from collections import defaultdict, deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from sagalog.saga.payload.anatomy import Parts, Way, beyond, class_of, dissection, path_of

NO_FIELD = "it was set on the instance and is no field; declare it as one, or let a functools.cached_property find it"
NOT_FINITE = "NaN and infinity are no JSON numbers; give None instead, and declare it"

LARGE_INT = "int was given and float would be read back, which cannot be equal to it; declare an int"

_PLAIN = frozenset({str, int, bool, bytes, type(None)})

Pair = tuple[Any, Any, Way | None]


def difference(given: Any, read: Any) -> str | None:
    """Return where and how the value that is read back differs from the given one; None if it does not.

    The text holds paths and types, and no values.
    """
    left: list[Pair] = [(given, read, None)]
    while left:
        one, other, way = left.pop()
        said = _of_one(one, other)
        if said is not None:
            return f"{path_of(way)}: {said}"
        dissect = dissection(class_of(one))
        if dissect is None:
            continue
        parts, again = dissect(one), dissect(other)
        said = _labels(one, parts, again)
        if said is not None:
            return f"{path_of(way)}{said}"
        left += reversed(list(_parts(one, parts, again, way)))
        look = beyond(class_of(one))
        if look is not None and (held := look(one)):
            kept = look(other)
            lost = next((name for name in held if name not in kept), None)
            if lost is not None:
                return f"{path_of(Way(way, one, lost))}: {NO_FIELD}"
            left += [(held[name], kept[name], Way(way, one, name)) for name in held if _can_be_compared(held[name])]
    return None


def _can_be_compared(value: object) -> bool:
    """Tell whether a value has an `==` of its own; a lock or a function equals only itself."""
    return class_of(value).__eq__ is not object.__eq__ and not callable(value)


def _parts(inside: Any, parts: Parts, again: Parts, way: Way | None) -> list[Pair]:
    """Return the pairs of parts that need a closer look; for most parts, type and `==` are enough."""
    labels, values = parts
    others = again[1]
    found: list[Pair] = []
    if isinstance(inside, Mapping):
        found += [(a, b, way) for a, b in zip(labels, again[0], strict=True) if type(a) not in _PLAIN]
    kinds = list(map(class_of, values))
    if _PLAIN.issuperset(kinds) and kinds == list(map(type, others)) and list(values) == list(others):
        return found
    if isinstance(inside, AbstractSet):
        others = _paired(values, others)
    for label, one, other in zip(labels, values, others, strict=True):
        kind = class_of(one)
        if one is other or (kind is type(other) and kind in _PLAIN and one == other):
            continue
        found.append((one, other, Way(way, inside, label)))
    return found


def _of_one(one: Any, other: Any) -> str | None:
    """Return how two values differ, apart from their parts."""
    kind = class_of(one)
    if isinstance(one, float):
        if not math.isfinite(one):
            return NOT_FINITE
        same = type(other) is kind and one == other and math.copysign(1, one) == math.copysign(1, other)
        return None if same else _changed(one, other)
    if kind is int and type(other) is float:
        # Type checkers accept an int where a float is declared. It is kept as long as it stays the same number.
        return None if one == other else LARGE_INT
    if isinstance(one, datetime | time):
        return _moment(one, other)
    if _type(one) is not class_of(other):
        return _changed(one, other)
    if isinstance(one, Enum):
        return None if one is other else _changed(one, other)
    if isinstance(one, Decimal):
        # The number of decimal places counts: 1.10 is not 1.1.
        return None if one.as_tuple() == other.as_tuple() else _changed(one, other)
    if dissection(kind) is not None:
        return _beside_its_parts(one, other)
    try:
        same = bool(one == other)
    except Exception:
        same = False
    return None if same else _changed(one, other)


def _beside_its_parts(one: Any, other: Any) -> str | None:
    """Return how two containers with the same parts differ otherwise; None if they do not."""
    for kind, name, instead in ((deque, "maxlen", "list"), (defaultdict, "default_factory", "dict")):
        if issubclass(class_of(one), kind) and getattr(one, name) != getattr(other, name):
            return f"a {kind.__name__} whose {name} would not be read back; declare a {instead}"
    return None


def _moment(one: Any, other: Any) -> str | None:
    """Compare times. Of a time zone with a name only the offset at that moment is written, so that is refused."""
    if _type(one) is not class_of(other):
        return _changed(one, other)
    if one.tzinfo is not None and one.tzinfo.utcoffset(None) is None:
        return (
            f"a {type(one).__name__} with a time zone by name, of which only the offset would be kept; "
            "give it in UTC, and the name of the zone beside it if it matters"
        )
    if one.tzinfo is None and one.fold != other.fold:
        # Without a time zone, only `fold` tells the two hours apart when clocks are put back.
        return f"a {type(one).__name__} with fold=1 and no time zone, which would be lost; give it in UTC"
    same = one.replace(tzinfo=None, fold=0) == other.replace(tzinfo=None, fold=0)
    return None if same and one.utcoffset() == other.utcoffset() else _changed(one, other)


def _type(value: Any) -> Any:
    """Return the type of a value; for a fake datetime of freezegun, the real type."""
    kind = class_of(value)
    return kind.__mro__[1] if kind.__module__ == "freezegun.api" else kind


def _changed(one: Any, other: Any) -> str:
    given, read = type(one).__name__, type(other).__name__
    if given == read:
        return f"another {given} would be read back"
    return f"{given} was given and {read} would be read back; declare the type that is given, or give what is declared"


def _labels(inside: Any, given: Parts, read: Parts) -> str | None:
    """Return which part is missing or additional; None if the labels are the same."""
    if isinstance(inside, Mapping):
        pairs = list(zip(given[0], read[0], strict=False))
        wrong = next(((a, b) for a, b in pairs if type(a) is not type(b)), None)
        if wrong is not None:
            return f": a key is {type(wrong[0]).__name__} and would be read back as {type(wrong[1]).__name__}"
        if len(given[0]) != len(read[0]) or any(a != b for a, b in pairs if type(a) in _PLAIN):
            return ": other keys would be read back"
        return None
    if given[0] == read[0]:
        return None
    lost = next((label for label in given[0] if label not in read[0]), None)
    if isinstance(lost, str):
        return f".{lost}: it would not be read back"
    return f": {len(given[0])} parts were given and {len(read[0])} would be read back"


def _paired(given: Any, read: Any) -> list[Any]:
    """Return what is read back in the order of what was given, because sets have none; a missing value is None."""
    known = {one: one for one in read}
    return [known.get(one) for one in given]
