"""The figures in what was measured: whatever was found, as names with numbers. It knows no part and no engine."""

import statistics
from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct

# By these an element of a list is told from the others.
NAMES = ("part", "kind", "says", "name", "workers")
# Of fewer nothing rare can be said.
FEWEST_FOR_P99 = 100


class Figure(Struct, frozen=True):
    """One number: less is better, unless it is the share of a floor."""

    name: str
    value: float
    unit: str


def figures(found: object, name: str = "") -> Iterator[Figure]:
    """Yield every figure in what was measured, given as plain values.

    Those are the medians of series, and numbers that are no counts of what was asked for. A floor is a figure, too: it
    shows how far the machine was the same; and so is each share of it.
    """
    if isinstance(found, float):
        yield Figure(name, found, "")
    elif isinstance(found, list):
        several = cast("list[object]", found)
        if several and all(isinstance(one, float) for one in several):
            yield Figure(name, statistics.median(cast("list[float]", several)), "")
            return
        for number, one in enumerate(several):
            yield from figures(one, _joined(name, _called(one, number)))
    elif isinstance(found, dict):
        yield from _of_struct(cast("dict[str, Any]", found), name)


def _of_struct(found: dict[str, Any], name: str) -> Iterator[Figure]:
    if "seconds" in found:
        yield from _series(found["seconds"], name)
    elif found.keys() == {"engine", "floors"}:
        yield from _beside(found, name)
    else:
        for key, one in found.items():
            yield from figures(one, _joined(name, key))


def _joined(name: str, more: str) -> str:
    return f"{name}, {more}" if name else more


def _called(one: object, number: int) -> str:
    if isinstance(one, list):
        first = cast("list[object]", one)[:1]
        return str(first[0]) if first and isinstance(first[0], str | int) else str(number)
    if isinstance(one, dict):
        named = cast("dict[str, object]", one)
        return next((str(named[key]) for key in NAMES if key in named), str(number))
    return str(number)


def _series(seconds: list[float], name: str) -> Iterator[Figure]:
    ordered = sorted(seconds)
    yield Figure(name, statistics.median(ordered), "s")
    if len(ordered) >= FEWEST_FOR_P99:
        yield Figure(f"{name}, p99", ordered[round(0.99 * (len(ordered) - 1))], "s")


def _beside(found: dict[str, Any], name: str) -> Iterator[Figure]:
    engine = list(_series(found["engine"]["seconds"], _joined(name, found["engine"]["name"])))
    floors = [next(_series(one["seconds"], _joined(name, one["name"]))) for one in found["floors"]]
    floor = min(floors, key=lambda one: one.value)
    yield from engine
    yield floor
    yield Figure(_joined(name, "share of the floor"), floor.value / engine[0].value, "share")
