"""Checks of times when they come in: one range that every store can keep and every transport and output can write.

Times are integer microseconds since the epoch, within the years 1970 to 9999 in UTC.
"""

from datetime import UTC, datetime, timedelta

from sagalog.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_TIME = 0
# The last microsecond of the year 9999: later years do not fit in four digits.
LATEST_TIME = 253_402_300_799_999_999

_MICROSECOND = timedelta(microseconds=1)
_RANGE = "a time between 1970-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"


def check_time(value: object, what: str) -> int:
    """Return `value` if it is a time in the range; raises `InvalidInput`, where `what` names the value."""
    if type(value) is not int:
        raise InvalidInput(f"{what}: expected {_RANGE} in microseconds, found {type(value).__name__}")
    if not EARLIEST_TIME <= value <= LATEST_TIME:
        found = f"{value:,} microseconds" if value.bit_length() <= 64 else f"a number of {value.bit_length():,} bits"
        raise InvalidInput(f"{what}: expected {_RANGE}, found {found}")
    return value


def time_of(moment: datetime, what: str) -> int:
    """Return a datetime as integer microseconds since the epoch, without float rounding; raises `InvalidInput`.

    One without a time zone is taken as UTC, so that it means the same moment on every machine.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    # Subtracting aware datetimes never overflows, whatever their time zones.
    return check_time((aware - EPOCH) // _MICROSECOND, what)


def date_of(time: int) -> str:
    """Return a time of the range as RFC 3339 text, in UTC."""
    return (EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
