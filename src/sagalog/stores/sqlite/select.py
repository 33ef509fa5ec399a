"""SQL of a user on a SQLite file: SQLite itself lets it read and do nothing else. It trusts no word of the SQL.

Three walls: the file is opened for reading only; an authorizer, which SQLite asks for each thing that a statement is
going to do while it is compiled, views in it included, allows nothing but to read; and `query_only`, which only a
PRAGMA could take back. The connection is of this one query and ends with it, so nothing that was set outlives it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sagalog.address import LONGEST
from sagalog.errors import QueryRefused, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.store.selection import ONLY_READS, PAGE, Selection, column_names, too_slow
from sagalog.stores.sqlite.connection import translated
from sagalog.stores.texts import is_storable

# How many instructions SQLite takes between two looks at the clock: less than a millisecond.
LOOK_AFTER: Final = 10_000
# The longest value that SQL may make, in bytes; the largest event of the log is far below.
LONGEST_VALUE: Final = 256 * 1024 * 1024

_READING: Final = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
# Functions that do more than compute: they load code, or change what the process itself holds.
_NO_FUNCTION: Final = frozenset(("load_extension", "fts3_tokenizer"))
# The PRAGMAs that only tell; with a value some others would set something.
_TELLING: Final = frozenset(
    (
        *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
        *("database_list", "collation_list", "function_list", "compile_options", "pragma_list"),
    )
)
# Result codes by which SQLite says that the SQL is wrong, not the database; SQLITE_SCHEMA is what it makes of some
# errors in SQL that was denied.
_WRONG: Final = ("SQLITE_ERROR", "SQLITE_SCHEMA", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE")


class _Time:
    """How long SQLite may go on, by a clock that nobody can set; SQLite asks it again and again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.until = 0.0

    def begins(self) -> None:
        self.until = time.monotonic() + self._seconds

    def is_over(self) -> bool:
        return time.monotonic() > self.until


@contextmanager
def select(path: str, seconds: float, sql: str) -> Generator[Selection]:
    """Run one query and give its answer; each page of rows may take at most `seconds`."""
    limit = _Time(seconds)
    errors = partial(_named_errors, path, seconds, limit)
    with errors():
        connection = _connect(path, seconds)
    with closing(connection):
        connection.set_progress_handler(limit.is_over, LOOK_AFTER)
        cursor = connection.cursor()
        with errors():
            if not is_storable(sql):
                raise QueryRefused("expected SQL without NUL and lone surrogates")
            limit.begins()
            cursor.execute(sql)
            if cursor.description is None:
                raise QueryRefused(f"expected a query, found none; {ONLY_READS}")
            page = cursor.fetchmany(PAGE)
        columns = column_names(column[0] for column in cursor.description)
        yield Selection(columns, _rows(cursor, page, limit, errors))


def _connect(path: str, seconds: float) -> sqlite3.Connection:
    name = quote(os.fsencode(Path(path).absolute()))
    connection = sqlite3.connect(
        f"file:{name}?mode=ro", uri=True, timeout=seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        # One damaged text must not hide all other rows.
        connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
        connection.set_authorizer(_allowed)
    except BaseException:
        connection.close()
        raise
    return connection


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    """Return SQLite's word for whether a statement may do this."""
    name = second if action == sqlite3.SQLITE_FUNCTION else first
    if action == sqlite3.SQLITE_PRAGMA:
        allowed = (name or "").lower() in _TELLING
    else:
        allowed = action in _READING and not (
            action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _NO_FUNCTION
        )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _rows(
    cursor: sqlite3.Cursor, page: list[Any], limit: _Time, errors: Callable[[], Any]
) -> Iterator[tuple[Any, ...]]:
    while page:
        yield from page
        limit.begins()
        with errors():
            page = cursor.fetchmany(PAGE)


@contextmanager
def _named_errors(path: str, seconds: float, limit: _Time) -> Generator[None]:
    try:
        yield
    # Its own `Warning` is how the driver refuses a second statement before Python 3.12.
    except (sqlite3.Error, sqlite3.Warning) as problem:
        raise _named(problem, path, seconds, limit) from problem


def _named(problem: Exception, path: str, seconds: float, limit: _Time) -> BaseException:
    shown = harmless(path, LONGEST)
    code: str = getattr(problem, "sqlite_errorname", "")
    text = harmless(str(problem), 500)
    if code == "SQLITE_INTERRUPT":
        # SQLite swallows what is raised while it asks for the time: that was Ctrl-C, if the time is not over.
        return StoreUnavailable(f"{shown}: {too_slow(seconds)}") if limit.is_over() else KeyboardInterrupt()
    # What the authorizer denies has one of three codes; its text is always the same.
    if text.startswith(("not authorized", "authorization denied")) or code.startswith("SQLITE_READONLY"):
        return QueryRefused(f"{shown}: {text}: {ONLY_READS}")
    if code.startswith(_WRONG):
        return QueryRefused(f"{shown}: {text}")
    if not code:
        return QueryRefused(f"{shown}: {text.rstrip('.')}; {ONLY_READS}")
    return translated(problem, path)
