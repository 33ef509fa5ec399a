"""What a store answers to SQL of a user, and how much of it is ever held in memory; it knows no database."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from sagalog.errors import QueryRefused

# How many rows are read from a database at a time, and how many of one answer are held in memory at most.
PAGE: Final = 200
MOST_HELD: Final = 100_000

ONLY_READS: Final = "only a query is run here (SELECT, WITH or VALUES); nothing was changed"


class Selection(NamedTuple):
    """The answer to a query: the names of its columns, and its rows, which are read while they are taken."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]

    def held(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and every row; raises `QueryRefused` if there are more than memory is meant for."""
        rows: list[tuple[Any, ...]] = []
        for row in self.rows:
            if len(rows) == MOST_HELD:
                raise QueryRefused(
                    f"expected an answer of at most {MOST_HELD:,} rows, found more; narrow it, or let it be written "
                    "row by row: sagalog sql -o jsonl"
                )
            rows.append(row)
        return self.columns, rows


def too_slow(seconds: float) -> str:
    """Return what is said of a query that took too long."""
    more = f"SAGALOG_STATEMENT_TIMEOUT={seconds * 10:g}"
    return f"the query took longer than {seconds:g} s; narrow it, or give it more time: {more}"


def column_names(names: Iterable[str]) -> list[str]:
    """Return names of which no two are the same: a second `count` becomes `count_2`, so that no value is lost."""
    seen: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in seen:
            number += 1
            free = f"{name}_{number}"
        seen[free] = None
    return list(seen)
