"""The rows by which one statement writes a whole batch of appends; `appending.sql` says what it makes of them.

They are made before the write lock is taken, as one list of values: thousands of tuples would keep Python's garbage
collector busy. What few appends have beside events and steps is written in the same transaction by `writing`.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from sagalog.store import Append
from sagalog.stores.columns import STATUS, STEP
from sagalog.stores.sql import for_rows

# The numbers of rows for which there is a statement. What is missing is filled up with rows of nulls, which no trigger
# takes: so any batch is one statement, and only few different ones are prepared.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 200, 250, 300, 350, 400, 450, 500)
LARGEST = SIZES[-1]

NO_EVENT = (None, None)
NO_STATUS = (None,) * len(STATUS.given.names)
NO_STEP = (None,) * len(STEP.given.names)
# What comes before the row of a saga: what it is, what it expects, two events, and how many there are after them.
WIDTH = 8 + len(NO_STATUS) + len(NO_STEP)
NO_ROW = (None,) * WIDTH

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

    @property
    def is_one_statement(self) -> bool:
        """Tell whether the one statement is the whole transaction."""
        return self._rows <= LARGEST and not self.has_more

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
        events, steps = append.events, append.steps
        number = len(events)
        if number > 1:
            second, ahead = events[1], number - 2
        else:
            second, ahead = NO_EVENT, 0
        is_start = append.expected == 0
        has_step = bool(steps) and not is_start
        self._values += ("start" if is_start else "move", append.expected, append.holder, *events[0], *second, ahead)
        self._values += STATUS.given.values(append.status)
        self._values += STEP.given.values(steps[0]) if has_step else NO_STEP
        self._rows += 1
        if ahead or len(steps) > has_step:
            self._add_more(append, steps[has_step:])

    def _add_more(self, append: Append, steps: Sequence[Any]) -> None:
        """Add the events after the first two, and so many steps."""
        events = append.events[2:]
        for index in range(max((len(events) + 1) // 2, len(steps))):
            first, second = [*events[2 * index : 2 * index + 2], NO_EVENT, NO_EVENT][:2]
            ahead = max(0, len(events) - 2 * index - 2)
            self._values += ("more", append.expected + 2 + 2 * index, None, *first, *second, ahead, append.saga_id)
            self._values += NO_STATUS[1:]
            self._values += STEP.given.values(steps[index]) if index < len(steps) else NO_STEP
            self._rows += 1


def is_unfit(problem: sqlite3.IntegrityError) -> bool:
    """Tell whether a trigger has found that an append does not fit."""
    return str(problem) == UNFIT
