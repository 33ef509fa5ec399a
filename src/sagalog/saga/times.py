"""Times at the door: the one range that every store can keep, every transport can write out and everybody can show.

Times are integer microseconds since the epoch, and what is written is a date of the years 1970 to 9999 in UTC.
"""

from datetime import UTC, datetime, timedelta

from sagalog.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_TIME = 0
# The last microsecond of the year 9999: no later date can be written with four digits.
LATEST_TIME = 253_402_300_799_999_999

_MICROSECOND = timedelta(microseconds=1)
_RANGE = "a time between 1970-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"


def check_time(value: object, what: str) -> int:
    """Return `value` if it is a time in the range; raises `InvalidInput`, `what` names the value in the text."""
    if type(value) is not int:
        raise InvalidInput(f"{what}: expected {_RANGE} in microseconds, found {type(value).__name__}")
    if not EARLIEST_TIME <= value <= LATEST_TIME:
        found = f"{value:,} microseconds" if value.bit_length() <= 64 else f"a number of {value.bit_length():,} bits"
        raise InvalidInput(f"{what}: expected {_RANGE}, found {found}")
    return value


def time_of(moment: datetime, what: str) -> int:
    """Return a moment as integer microseconds, without the rounding of a float; raises `InvalidInput`.

    One without a zone is taken as UTC: it must not stand for another moment on another machine.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    # Differences of aware datetimes never overflow, however far off their zones make them.
    return check_time((aware - EPOCH) // _MICROSECOND, what)


def date_of(time: int) -> str:
    """Return a time of the range as RFC 3339 has it, in UTC."""
    return (EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
