"""Durations as they are written down: seconds, or a `timedelta`; nothing else, whatever could be read as one."""

from datetime import timedelta
from math import isfinite
from typing import Final

Duration = timedelta | float | int

LONGEST: Final = 100 * 365 * 86_400


def seconds_of(given: object) -> float:
    """Return a duration in seconds; what is none is -1, under every bound."""
    return given.total_seconds() if isinstance(given, timedelta) else number_of(given)


def number_of(given: object) -> float:
    """Return a number as one that can be compared; what is none is -1, under every bound."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return -1.0
    try:
        return float(given) if isfinite(given) else -1.0
    except OverflowError:
        return -1.0
