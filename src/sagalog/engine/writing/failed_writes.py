"""What is done about a write that failed: try it again, in halves, again after a rest, or no more. Pure.

An error alone does not say enough: a code that means an outage may come from one row that is locked, or from its
trigger. It also matters whether anything else was written since. If so, only this write is in trouble, and it must not
hold up the rest, however long it takes. If not, the whole store is waited for.
"""

from typing import Literal

from sagalog.engine.backoff import Pauses
from sagalog.errors import BatchTooLarge, RowsLocked, StoreError, WriteRefused

Move = Literal["again", "halves", "rest", "give up"]

# How often a refused write is tried alone before the refusal is believed: for some seconds, with rests between. The
# obstacle may be gone by then: a trigger that is replaced, a table that is being changed.
TRIES = 5
RESTS = Pauses(0.2, 10.0)
# Seconds until a refusal is believed while nothing else is written. The whole database may be in trouble without saying
# so. A process with a single saga has nothing else to write, so there must be a limit, short enough for a person who
# waits.
LONGEST_DOUBT = 60.0


def is_refused(problem: Exception) -> bool:
    """Tell whether an error is of the write itself, so that trying it for ever would be useless."""
    return not isinstance(problem, StoreError) or isinstance(problem, WriteRefused)


def is_its_own(problem: Exception, writes: int, others_pass: bool) -> bool:
    """Tell whether so many writes failed together because of themselves, and not because of the whole store."""
    if isinstance(problem, RowsLocked) and problem.sagas:
        return True
    return others_pass or is_refused(problem) or (writes > 1 and isinstance(problem, BatchTooLarge))


def is_believed(others_pass: bool, seconds: float) -> bool:
    """Tell whether a write that was refused for so many seconds is given up as refused.

    `others_pass`: something else was written meanwhile.
    """
    return others_pass or seconds >= LONGEST_DOUBT


def next_move(problem: Exception, writes: int, refusals: int, others_pass: bool) -> Move:
    """Return what to do about so many writes that failed together, `refusals` times with an error of their own.

    `others_pass`: something was written since they failed before. Several writes are always halved. After an outage
    that costs a few more transactions, but one bad row never costs the others more than a few tries.
    *again* means in its turn, *rest* means later, so that it holds up no other write.
    """
    if writes > 1:
        return "halves"
    if is_refused(problem) and refusals >= TRIES:
        return "give up"
    return "rest" if is_its_own(problem, writes, others_pass) else "again"
