"""The SQL contract on the command line: the version of each table, what SQL was written for, and close names.

It only reads. The versions are rows of the table `saga_contract`; what they mean is in docs/reference/sql.md.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from sagalog.cli.address import SqlStore
from sagalog.errors import QueryRefused, StoreError
from sagalog.projections.schema import shown_as
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli", "contract.sql")
PREFIX = "saga_"
# How alike two names have to be, from 0 to 1.
CLOSE = 0.65
EXPECTED = (
    "expected `-- needs: saga_status 1, saga_attempts 1-2, projection orders 1` (names, and the version or versions "
    "of each)"
)

_NEEDS = re.compile(r"--\s*needs\s*:(.*)", re.IGNORECASE)
_NEED = re.compile(r"(?:(?P<projection>projection)\s+)?(?P<name>[\w-]+)\s+(?P<first>\d+)(?:\s*-\s*(?P<last>\d+))?")
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


class Need(NamedTuple):
    """What SQL was written for: a table or a view of the contract, or a projection, and its versions."""

    name: str
    first: int
    last: int
    is_projection: bool

    @property
    def shown(self) -> str:
        """Return it as it is written."""
        what = f"projection {self.name}" if self.is_projection else self.name
        return f"{what} {self.first}" + (f"-{self.last}" if self.last != self.first else "")


def needs(sql: str) -> Iterator[Need]:
    """Yield what SQL says that it was written for; raises `QueryRefused` for a line that cannot be read."""
    for line in opening_comment(sql):
        found = _NEEDS.fullmatch(line)
        for part in [] if found is None else found[1].split(","):
            need = _NEED.fullmatch(part.strip())
            if need is None:
                raise QueryRefused(f"{EXPECTED}, found {part.strip()!r}")
            first = int(need["first"])
            yield Need(need["name"], first, int(need["last"] or first), need["projection"] is not None)


def check_needs(store: SqlStore, sql: str) -> None:
    """Raise `QueryRefused` if SQL says that it was written for other versions than those of this database."""
    needed = list(needs(sql))
    if any(not one.is_projection for one in needed):
        _check([one for one in needed if not one.is_projection], {one.name: one.version for one in versions(store)})
    if any(one.is_projection for one in needed):
        seen = dict(store.query(SQL["projections"])[1])
        _check_projections([one for one in needed if one.is_projection], seen)


def _check_projections(needed: Sequence[Need], seen: Mapping[str, int]) -> None:
    for one in needed:
        if one.name not in seen:
            raise QueryRefused(
                f"this SQL needs {one.shown}, which has no tables in this database yet: `sagalog projections rebuild "
                f"{one.name}` makes them, and so does a worker that has it"
            )
        if not one.first <= seen[one.name] <= one.last:
            raise QueryRefused(
                f"this SQL needs {one.shown}, and readers see version {seen[one.name]} of it: switch, or change the SQL"
            )


def _check(needed: Sequence[Need], there: Mapping[str, int]) -> None:
    for one in needed:
        if one.name not in there:
            raise QueryRefused(
                f"this SQL needs {one.shown}, and this database has no {one.name}{_meant(one.name, list(there))}; a "
                "newer sagalog may have it: see docs/reference/sql.md"
            )
        if not one.first <= there[one.name] <= one.last:
            raise QueryRefused(
                f"this SQL needs {one.shown}, and this database has {one.name} {there[one.name]}: read in "
                "docs/reference/sql.md what has changed, then change the SQL or its needs"
            )


def not_there(problem: QueryRefused) -> tuple[str | None, str | None]:
    """Return the table and the column that an error says are not there; None for what it does not."""
    table, column = _NO_TABLE.search(str(problem)), _NO_COLUMN.search(str(problem))
    return (None if table is None else table[1] or table[2]), (None if column is None else column[1] or column[2])


def has_table(store: SqlStore, name: str) -> bool:
    """Tell whether a database has a table or a view of a name that an error has told."""
    try:
        store.query(SQL["columns"].format(name=name))
    except QueryRefused:
        return False
    return True


def with_close_names(store: SqlStore, problem: QueryRefused) -> QueryRefused:
    """Return the error with a name that may be meant, if it is about one that is not there.

    It is one of the contract, or of what readers see of projections.
    """
    text = str(problem)
    table, column = not_there(problem)
    if (table is None and column is None) or "Perhaps you meant" in text:
        return problem
    try:
        names = [*(one.name for one in versions(store)), *_projected(store)]
        if table is not None:
            meant = _meant(table, names) or f"; these are there: {', '.join(names)}"
        else:
            assert column is not None
            meant = _meant(column, _columns(store, names))
    except StoreError:
        # The hint is worth no second error.
        return problem
    return QueryRefused(text + meant)


def _projected(store: SqlStore) -> Iterator[str]:
    """Yield the names by which readers see the tables and views of projections."""
    for generation, made in store.query(SQL["made"])[1]:
        for kind, name in json.loads(made):
            if kind != "INDEX":
                yield shown_as(name, generation)


def _columns(store: SqlStore, names: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(store.query(SQL["columns"].format(name=name))[0])
    return list(found)


def _meant(name: str, names: list[str]) -> str:
    bare = {one.removeprefix(PREFIX): one for one in names}
    close = get_close_matches(name.removeprefix(PREFIX), bare, 1, CLOSE)
    return f"; is {bare[close[0]]} meant?" if close else ""
