"""Times, durations and ages as people write them; it knows no saga."""

import re
from datetime import datetime, timedelta

from sagalog.saga.times import EARLIEST_TIME, EPOCH, LATEST_TIME

SECOND = 1_000_000
UNITS = {"ms": 1_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 604_800 * SECOND}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def moment(microseconds: int, precision: str = "milliseconds") -> str:
    """Return a time in local ISO form with its UTC offset; one that has no such form here in UTC, or as a number."""
    whole, rest = divmod(microseconds, SECOND)
    try:
        local = datetime.fromtimestamp(whole).astimezone().replace(microsecond=rest)
    except (ValueError, OverflowError, OSError):
        # East of Greenwich the year 9999 ends in 10000, and logs of older versions hold times that are no dates.
        if not EARLIEST_TIME <= microseconds <= LATEST_TIME:
            return f"{microseconds} microseconds after 1970"
        local = EPOCH + timedelta(microseconds=microseconds)
    return local.isoformat(timespec=precision)


def duration(microseconds: int) -> str:
    """Return a length of time: 0.4 ms, 12 ms, 3.4 s, 2 m 05 s, 3 h 12 m, 4 d 07 h."""
    if microseconds < 0:
        return f"-{duration(-microseconds)}"
    if microseconds == 0:
        return "0 ms"
    if microseconds < 1_000:
        return f"{microseconds / 1_000:.1f} ms"
    if microseconds < 999_500:
        return f"{round(microseconds / 1_000)} ms"
    if microseconds < 59_950_000:
        return f"{microseconds / SECOND:.1f} s"
    seconds = round(microseconds / SECOND)
    if seconds < 3_600:
        return f"{seconds // 60} m {seconds % 60:02} s"
    if seconds < 86_400:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60:02} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600:02} h"


def parse_duration(text: str) -> int:
    """Return the microseconds that `10m`, `2h`, `1d12h` or `500ms` stand for; raises `ValueError`."""
    wanted = text.strip()
    found = list(_AGE.finditer(wanted))
    if not found or "".join(match.group(0) for match in found) != wanted:
        raise ValueError(f"expected a length of time such as 500ms, 30s, 10m, 2h or 1d12h, found {text!r}")
    return sum(int(float(number) * UNITS[unit]) for number, unit in (match.groups() for match in found))


def parse_moment(text: str) -> int:
    """Return the microseconds since the epoch of an ISO time, local if it has no offset; raises `ValueError`."""
    try:
        found = datetime.fromisoformat(text).astimezone()
        whole = found.replace(microsecond=0).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"expected a time such as 2025-11-23T14:05:09+01:00, found {text!r}") from None
    return int(whole) * SECOND + found.microsecond
