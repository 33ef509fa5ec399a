"""Times and lengths of time as people write them, read; it reads no clock and knows no saga."""

import re
from datetime import datetime

from sagalog.harmless import harmless

SECOND = 1_000_000
UNITS = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 604_800 * SECOND}
# The limit of ages and waits; anything longer is certainly a mistake.
LONGEST_DURATION = 36_525 * UNITS["d"]
_AGE = re.compile(r"(?:\d{1,18}(?:\.\d{1,18})?\s{0,9}(?:ms|s|m|h|d|w)\s{0,9}){1,9}", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
LONGEST_SHOWN = 80


def parse_duration(text: str) -> int:
    """Return the microseconds of a duration such as `10m`, `2h`, `1d12h` or `500ms`; raises `ValueError`."""
    wanted = text.strip()
    found = f"found {harmless(repr(text), LONGEST_SHOWN)}"
    if _AGE.fullmatch(wanted) is None:
        raise ValueError(f"expected a length of time such as 500ms, 30s, 10m, 2h or 1d12h, {found}")
    whole = sum(int(float(number) * UNITS[unit]) for number, unit in _PART.findall(wanted))
    if whole > LONGEST_DURATION:
        raise ValueError(f"expected a length of time such as 500ms, 30s, 10m, 2h or 1d12h, at most 100 years, {found}")
    return whole


def parse_moment(text: str) -> int:
    """Return the microseconds since the epoch of an ISO time, local if it has no offset; raises `ValueError`."""
    try:
        found = datetime.fromisoformat(text).astimezone()
        whole = found.replace(microsecond=0).timestamp()
    except (ValueError, OverflowError, OSError):
        shown = harmless(repr(text), LONGEST_SHOWN)
        raise ValueError(f"expected a time such as 2025-11-23T14:05:09+01:00, found {shown}") from None
    return int(whole) * SECOND + found.microsecond
