"""What is done about a write that failed: the same again, in halves, again after a rest, or no more. Pure.

An error says only half of what there is to know: a code of outages may be of one row that somebody has locked, or whose
trigger raises it. The other half is whether anything else has been written since. If so, it is this that cannot be
written, and it must not hold up the rest, however long it takes; if not, the whole store is waited for.
"""

from typing import Literal

from sagalog.engine.backoff import Pauses
from sagalog.errors import BatchTooLarge, RowsLocked, StoreError, WriteRefused

Move = Literal["again", "halves", "rest", "give up"]

# How often what the database refuses is written alone before it is believed: with the rests between, for some seconds.
# What stands in its way may be gone by then: a trigger that is replaced, a table that is being changed.
TRIES = 5
RESTS = Pauses(0.2, 10.0)
# How long, in seconds, a saga doubts a refusal while nothing else is written either: then it may well be the database
# that takes nothing, of which a code says nothing. A process with a single saga has nothing else to write, so there is
# an end to it, and it comes before a person would wonder why nothing happens.
LONGEST_DOUBT = 60.0


def is_refused(problem: Exception) -> bool:
    """Tell whether an error is of what was to be written: trying it for ever would be in vain."""
    return not isinstance(problem, StoreError) or isinstance(problem, WriteRefused)


def is_its_own(problem: Exception, writes: int, others_pass: bool) -> bool:
    """Tell whether so many writes failed together by themselves, and not because the whole store is in trouble."""
    if isinstance(problem, RowsLocked) and problem.sagas:
        return True
    return others_pass or is_refused(problem) or (writes > 1 and isinstance(problem, BatchTooLarge))


def is_believed(others_pass: bool, seconds: float) -> bool:
    """Tell whether a refusal is of the write itself, after so many seconds in which it was refused again and again.

    `others_pass` says that something else was written while it was tried.
    """
    return others_pass or seconds >= LONGEST_DOUBT


def next_move(problem: Exception, writes: int, refusals: int, others_pass: bool) -> Move:
    """Return what to do about so many writes that failed together, and `refusals` times with an error of their own.

    `others_pass` says that something has been written since they failed before. Several are halved whatever it was:
    after an outage that costs some transactions more, and one row never costs the others more than some tries.
    *again* is in its turn, *rest* is later, so that it holds up nobody.
    """
    if writes > 1:
        return "halves"
    if is_refused(problem) and refusals >= TRIES:
        return "give up"
    return "rest" if is_its_own(problem, writes, others_pass) else "again"
