"""The rows by which one statement writes a whole batch of appends; `appending.sql` says what it makes of them.

They are made before the write lock is taken, as one list of values: thousands of tuples would keep Python's garbage
collector busy. What few appends have beside events and steps is written in the same transaction by `writing`.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from sagalog.store import Append, StepRow
from sagalog.stores.columns import STATUS, STEP
from sagalog.stores.sql import for_rows

NO_EVENT = (None, None)
# A row of which only the version is given, up to the columns of its step.
NO_STATUS: dict[str, Any] = dict.fromkeys(STATUS.changing.names)
NO_STEP = (None,) * len(STEP.given.names)
# The numbered columns of a start, behind what never changes of its status.
NO_PARTS = (None,) * (len(STEP.given.names) - len(STATUS.fixed.names))
# Before the columns of the status: what is expected, by whom, and two events.
WIDTH = 6 + len(NO_STATUS) + len(NO_STEP)
NO_ROW = (None,) * WIDTH

# What SQLite allows in one statement unless it was built to allow more.
MOST_VALUES = 32_766
# The numbers of rows for which there is a statement. What is missing is filled up with rows of nulls, which no trigger
# takes: so nearly any batch is one statement, and only few different ones are prepared.
SIZES = tuple(
    size
    for size in (*(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128), *range(150, 500, 50), *range(500, 1001, 100))
    if size * WIDTH <= MOST_VALUES
)
LARGEST = SIZES[-1]

# What a trigger says of an append that does not fit.
UNFIT = "sagalog: unfit"


class Batch:
    """Appends as values of rows."""

    def __init__(self, appends: Sequence[Append]) -> None:
        self.appends = appends
        self._values: list[Any] = []
        self._rows = 0
        self.has_more = False
        for append in appends:
            self._add(append)
            if (
                append.messages
                or append.commands
                or append.taken
                or append.notes
                or append.attributes
                or append.forgotten
            ):
                self.has_more = True

    def placed_after(self, position: int) -> list[tuple[Append, int]]:
        """Return each append with the position of its last event, in a log that ended at `position`."""
        ends = accumulate((len(append.events) for append in self.appends), initial=position)
        next(ends)
        return list(zip(self.appends, ends, strict=True))

    def statements(self, append: str) -> Iterator[tuple[str, list[Any]]]:
        """Return what writes the rows; `append` is the statement for one row."""
        for begin in range(0, self._rows, LARGEST):
            number = min(LARGEST, self._rows - begin)
            size = SIZES[bisect_left(SIZES, number)]
            values = self._values if number == self._rows else self._values[begin * WIDTH : (begin + number) * WIDTH]
            yield for_rows(append, size), values if size == number else values + list(NO_ROW) * (size - number)

    def _add(self, append: Append) -> None:
        events, steps, status = append.events, append.steps, append.status
        values = self._values
        values += (append.expected, append.holder, *events[0], *(events[1] if len(events) > 1 else NO_EVENT))
        values += STATUS.changing.values(status)
        if append.expected == 0:
            values += STATUS.fixed.values(status)
            values += NO_PARTS
        elif steps:
            values += STEP.given.values(steps[0])
            steps = steps[1:]
        else:
            values.append(append.saga_id)
            values += NO_STEP[1:]
        self._rows += 1
        if steps or len(events) > 2:
            self._add_more(append, steps)

    def _add_more(self, append: Append, steps: Sequence[StepRow]) -> None:
        """Add the events after the first two, and these steps."""
        events = append.events
        first = 2
        while steps or first < len(events):
            two = [*events[first : first + 2], NO_EVENT, NO_EVENT][:2]
            # How many events come before this row: all of them if only steps are left.
            before = min(append.status.version, append.expected + first)
            self._values += (-before, None, *two[0], *two[1])
            self._values += (NO_STATUS | {"version": append.status.version}).values()
            self._values += STEP.given.values(steps[0]) if steps else (append.saga_id, *NO_STEP[1:])
            self._rows += 1
            first, steps = first + 2, steps[1:]


def is_unfit(problem: sqlite3.IntegrityError) -> bool:
    """Tell whether a trigger has found that an append does not fit."""
    return str(problem) == UNFIT
