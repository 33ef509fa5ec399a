"""Times, durations and ages in the form in which people read them, and ages as options; it knows no saga."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sagalog.store.quantities import SECOND, parse_duration, parse_moment

# The calendar, weekdays included, repeats after this many seconds.
_CYCLE_YEARS, _CYCLE_SECONDS = 400, 146_097 * 86_400


def moment(microseconds: int, precision: str = "milliseconds") -> str:
    """Return a time (microseconds since the epoch) in local ISO form with its UTC offset.

    A year before 1 or after 9999 is possible in a database but not in a `datetime`. It is written with its sign, as in
    ISO 8601, and its time is in UTC.
    """
    whole, rest = divmod(microseconds, SECOND)
    try:
        local = datetime.fromtimestamp(whole, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return _far_off(whole, rest, precision)
    return local.replace(microsecond=rest).isoformat(timespec=precision)


def _far_off(seconds: int, rest: int, precision: str) -> str:
    cycles, within = divmod(seconds, _CYCLE_SECONDS)
    alike = datetime(1970, 1, 1, microsecond=rest, tzinfo=UTC) + timedelta(seconds=within)
    year = alike.year + cycles * _CYCLE_YEARS
    written = f"{year:04}" if 1 <= year <= 9999 else f"{year:+05}"
    return written + alike.isoformat(timespec=precision)[4:]


def duration(microseconds: int) -> str:
    """Return a duration as text: 0.4 ms, 12 ms, 3.4 s, 2 m 05 s, 3 h 12 m, 4 d 07 h.

    It is negative if it ends before it begins, because two machines with different clocks recorded it.
    """
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


def since(microseconds: int) -> str:
    """Return a signed duration since a beginning: +12 ms, -3.4 s."""
    return duration(microseconds) if microseconds < 0 else f"+{duration(microseconds)}"


class Age(click.ParamType[int]):
    """An option's duration such as 10m, converted to microseconds."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the microseconds."""
        try:
            return value if isinstance(value, int) else parse_duration(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Time(click.ParamType[int]):
    """An option's time in ISO form, converted to microseconds since the epoch."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the microseconds."""
        try:
            return value if isinstance(value, int) else parse_moment(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
