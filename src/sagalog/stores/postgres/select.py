"""SQL of a user on PostgreSQL: the server itself lets it read and do nothing else. It trusts no word of the SQL.

The SQL is the query of a cursor, which the server's grammar lets be nothing but a query, in a transaction that only
reads, on a connection that is of this one query and is closed after it: so nothing that was set, locked or listened to
outlives it. What a role may do by calling a function in such a transaction is a matter of the role: see the auditor's.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import RawCursor
from psycopg.types.string import TextLoader

from sagalog.address import cut
from sagalog.errors import QueryRefused, StoreUnavailable
from sagalog.harmless import harmless
from sagalog.store.selection import ONLY_READS, PAGE, Selection, column_names, too_slow
from sagalog.stores.postgres.connection import SQL, Address, BoundedConnection
from sagalog.stores.postgres.errors import LONGEST_TEXT, TimedOut, translated
from sagalog.stores.texts import is_storable

# What Python has an exact value for; of any other type one sees the text that the server writes for it.
_KEPT: Final = frozenset(("bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "bytea"))
# Classes of errors by which the server says that the SQL is wrong, not the database.
_WRONG: Final = ("08P01", "0A", "21", "22", "25", "2F", "38", "39", "42", "44", "54", "P0")
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_SYNTAX: Final = "42601"
_NOT_IN_A_CURSOR: Final = "0A000"
# It would write, or have the transaction write.
_ONLY_READING: Final = "25"
_MAY_NOT: Final = "42501"
_TOO_SLOW: Final = ("57014", "25P04")
_TAKEN_TOO_SLOWLY: Final = "25P03"


@contextmanager
def select(address: Address, sql: str) -> Generator[Selection]:
    """Run one query and give its answer; each page of rows may take at most the time for a statement."""
    errors = partial(_named_errors, address, sql)
    with errors():
        if not is_storable(sql):
            raise QueryRefused("expected SQL without NUL and lone surrogates")
        connection = address.connect()
    with closing(connection):
        with errors():
            _read_as_text(connection)
            connection.run("select_session")
            connection.run("begin_read_only")
            # Asking for binary rows, of which there are none, makes psycopg use the protocol in which the server takes
            # one statement only. In the other one a second could end the transaction, and a third write.
            RawCursor(connection).execute(SQL["select"] + b" " + sql.encode(), (), prepare=False, binary=True)
            columns, page = _page(connection, address)
        yield Selection(columns, _rows(connection, address, page, errors))


def _read_as_text(connection: BoundedConnection) -> None:
    for kind in connection.adapters.types:
        if kind.name not in _KEPT:
            connection.adapters.register_loader(kind.oid, TextLoader)
        if kind.array_oid:
            connection.adapters.register_loader(kind.array_oid, TextLoader)


def _page(connection: BoundedConnection, address: Address) -> tuple[list[str], list[tuple[Any, ...]]]:
    connection.deadline = time.monotonic() + address.bound
    try:
        cursor = RawCursor(connection).execute(SQL["select_page"] % PAGE, (), prepare=False)
    except TimedOut:
        # SQL can set the server's own limit to nothing while it runs; then ours ends it.
        connection.end_statement()
        raise
    return column_names(column.name for column in cursor.description or ()), cursor.fetchall()


def _rows(
    connection: BoundedConnection, address: Address, page: Sequence[tuple[Any, ...]], errors: Callable[[], Any]
) -> Iterator[tuple[Any, ...]]:
    while page:
        yield from page
        if len(page) < PAGE:
            return
        with errors():
            _, page = _page(connection, address)


@contextmanager
def _named_errors(address: Address, sql: str) -> Generator[None]:
    try:
        yield
    except psycopg.Error as problem:
        # Without a cause: a driver's text may repeat the address.
        raise _named(problem, address, sql) from None


def _named(problem: psycopg.Error, address: Address, sql: str) -> BaseException:
    where, seconds = address.where, address.statement_timeout
    code = problem.sqlstate or ""
    if code in _TOO_SLOW or isinstance(problem, TimedOut):
        return StoreUnavailable(f"{where}: {too_slow(seconds)}")
    if code == _TAKEN_TOO_SLOWLY:
        return StoreUnavailable(
            f"{where}: the next rows of the answer were not asked for within {seconds:g} s; write them to a file, not "
            "to what waits for a person"
        )
    if code == _MAY_NOT or not code.startswith(_WRONG):
        return translated(problem, where, address.secrets)
    said, at = problem.diag, _place(problem, sql)
    parts = [said.message_primary or str(problem), said.message_detail or "", said.message_hint or ""]
    if at is not None:
        line = sql.count("\n", 0, at) + 1
        parts[0] += f" (line {line}, column {at - sql.rfind(chr(10), 0, at)})"
    # Where the grammar finds something else than a query, it cannot know what was wanted.
    is_no_query = code == _NOT_IN_A_CURSOR or (code == _SYNTAX and not _COMMENT.sub("", sql[:at]).strip())
    parts.append(ONLY_READS if is_no_query or code.startswith(_ONLY_READING) else "")
    text = harmless(cut(" ".join("; ".join(filter(None, parts)).split()), address.secrets), LONGEST_TEXT)
    return QueryRefused(f"{where}: {text}")


def _place(problem: psycopg.Error, sql: str) -> int | None:
    """Return where in the SQL that was given the server found the error, counted from 0."""
    position = problem.diag.statement_position
    if position is None:
        return None
    return min(max(0, int(position) - len(SQL["select"]) - 2), len(sql))
