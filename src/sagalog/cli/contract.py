"""The SQL contract on the command line: the version of each table, what SQL was written for, and close names.

It only reads. The versions are rows of the table `saga_contract`; what they mean is in docs/reference/sql.md.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from sagalog.cli.address import SqlStore
from sagalog.errors import QueryRefused, StoreError
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli", "contract.sql")
PREFIX = "saga_"
# How alike two names have to be, from 0 to 1.
CLOSE = 0.65
EXPECTED = "expected `-- needs: saga_status 1, saga_attempts 1-2` (names, and the version or versions of each)"

_NEEDS = re.compile(r"--\s*needs\s*:(.*)", re.IGNORECASE)
_NEED = re.compile(r"(\w+)\s+(\d+)(?:\s*-\s*(\d+))?")
# What SQLite and PostgreSQL call a name that is not there.
_NO_TABLE = re.compile(r'no such table: (?:\w+\.)?(\w+)|relation "(?:\w+\.)?(\w+)" does not exist')
_NO_COLUMN = re.compile(r'no such column: (?:\w+\.)?(\w+)|column "?(?:\w+\.)?(\w+)"? does not exist')


class Versioned(NamedTuple):
    """A table or a view of the contract, and its version."""

    name: str
    version: int


def versions(store: SqlStore) -> list[Versioned]:
    """Return the tables and views of the contract with their versions, by name."""
    return [Versioned(*row) for row in store.query(SQL["versions"])[1]]


def opening_comment(sql: str) -> Iterator[str]:
    """Yield the lines of comment that SQL begins with."""
    for line in sql.strip().splitlines():
        if not line.strip().startswith("--"):
            return
        yield line.strip()


def is_need(line: str) -> bool:
    """Tell whether a line of comment says what the SQL was written for."""
    return _NEEDS.fullmatch(line) is not None


def check_needs(store: SqlStore, sql: str) -> None:
    """Raise `QueryRefused` if SQL says that it was written for other versions than those of this database."""
    needed: dict[str, tuple[int, int]] = {}
    for line in opening_comment(sql):
        found = _NEEDS.fullmatch(line)
        for part in [] if found is None else found[1].split(","):
            need = _NEED.fullmatch(part.strip())
            if need is None:
                raise QueryRefused(f"{EXPECTED}, found {part.strip()!r}")
            needed[need[1]] = int(need[2]), int(need[3] or need[2])
    if needed:
        _check(needed, {one.name: one.version for one in versions(store)})


def _check(needed: Mapping[str, tuple[int, int]], there: Mapping[str, int]) -> None:
    for name, (first, last) in needed.items():
        wanted = f"{name} {first}" + (f"-{last}" if last != first else "")
        if name not in there:
            raise QueryRefused(
                f"this SQL needs {wanted}, and this database has no {name}{_meant(name, list(there))}; a newer sagalog "
                "may have it: see docs/reference/sql.md"
            )
        if not first <= there[name] <= last:
            raise QueryRefused(
                f"this SQL needs {wanted}, and this database has {name} {there[name]}: read in docs/reference/sql.md "
                "what has changed, then change the SQL or its needs"
            )


def with_close_names(store: SqlStore, problem: QueryRefused) -> QueryRefused:
    """Return the error with a name of the contract that may be meant, if it is about one that is not there."""
    text = str(problem)
    table, column = _NO_TABLE.search(text), _NO_COLUMN.search(text)
    if (table is None and column is None) or "Perhaps you meant" in text:
        return problem
    try:
        names = [one.name for one in versions(store)]
        if table is not None:
            meant = _meant(table[1] or table[2], names) or f"; these are there: {', '.join(names)}"
        else:
            assert column is not None
            meant = _meant(column[1] or column[2], _columns(store, names))
    except StoreError:
        # The hint is worth no second error.
        return problem
    return QueryRefused(text + meant)


def _columns(store: SqlStore, names: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(store.query(SQL["columns"].format(name=name))[0])
    return list(found)


def _meant(name: str, names: list[str]) -> str:
    bare = {one.removeprefix(PREFIX): one for one in names}
    close = get_close_matches(name.removeprefix(PREFIX), bare, 1, CLOSE)
    return f"; is {bare[close[0]]} meant?" if close else ""
