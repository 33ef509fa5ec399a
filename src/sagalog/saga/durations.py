"""Durations as users give them: seconds, or a `timedelta`; any other type is refused, even if it could be read."""

from datetime import timedelta
from math import isfinite
from typing import Final

Duration = timedelta | float | int

LONGEST: Final = 100 * 365 * 86_400


def seconds_of(given: object) -> float:
    """Return a duration in seconds; -1, which every bound refuses, for anything that is no duration."""
    return given.total_seconds() if isinstance(given, timedelta) else number_of(given)


def number_of(given: object) -> float:
    """Return a number as a float; -1, which every bound refuses, for anything that is no number."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return -1.0
    try:
        return float(given) if isfinite(given) else -1.0
    except OverflowError:
        return -1.0
