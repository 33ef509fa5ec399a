"""Which ids the sagas have that were started within a span of time; it knows no store and asks none.

An id begins with the time of its making, in milliseconds, and a saga is started right after. The few whose start is
elsewhen, because a clock jumped or somebody gave other times, stand in the index `saga_status_misdated`.
"""

from collections.abc import Iterable

# As in the index, in milliseconds: the ids of all others tell the time of their start up to this much.
SLACK = 5_000
# An id tells times from 0 to this, in milliseconds; the index holds whatever was started near or beyond the ends.
LATEST = 281_474_970_000_000


def ids_between(started_after: int | None, started_before: int | None) -> tuple[str | None, str | None]:
    """Return the least id that a saga may have which was started within these times, and what all are less than.

    Times are in microseconds since the epoch, and `started_before` is not within them. None: there is no such end.
    """
    least = None if started_after is None else _beginning(started_after // 1000 - SLACK)
    # Also the ids of the last millisecond are less than those of the next one.
    most = None if started_before is None else _beginning(started_before // 1000 + SLACK + 1)
    return least, most


def _beginning(milliseconds: int) -> str:
    """Return with what the ids begin that were made in a millisecond, or at the end of time that is nearer."""
    text = f"{min(max(milliseconds, 0), LATEST + 2 * SLACK):012x}"
    return f"{text[:8]}-{text[8:]}"


def least_of(ids: Iterable[str | None]) -> str | None:
    """Return the least of these ids; None if there is none."""
    return min((one for one in ids if one is not None), default=None)
