"""What the errors of drivers mean to us: transient, of one write, of the size of the batch; unknown codes too."""

import sqlite3
import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError as RecorderError
from psycopg import errors as pg

from sagalog.errors import (
    BatchTooLarge,
    RowsLocked,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    WriteRefused,
)
from sagalog.stores.error_codes import POSTGRES, SQLITE, SQLITE_UNKNOWN, meaning_of
from sagalog.stores.postgres.errors import TimedOut, translated
from sagalog.stores.postgres.exchange import bigint_array
from sagalog.stores.sqlite.connection import translated as translated_from_sqlite

# As the manual of SQLite lists them; those left out never reach a program.
PRIMARY = (
    *("SQLITE_ABORT", "SQLITE_AUTH", "SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_CONSTRAINT", "SQLITE_CORRUPT"),
    *("SQLITE_ERROR", "SQLITE_FULL", "SQLITE_INTERNAL", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_LOCKED"),
    *("SQLITE_MISMATCH", "SQLITE_MISUSE", "SQLITE_NOLFS", "SQLITE_NOMEM", "SQLITE_NOTADB", "SQLITE_PERM"),
    *("SQLITE_PROTOCOL", "SQLITE_RANGE", "SQLITE_READONLY", "SQLITE_SCHEMA", "SQLITE_TOOBIG"),
)
KINDS = (StoreUnavailable, RowsLocked, StoreReadOnly, StoreFull, BatchTooLarge, WriteRefused, StoreError)


def every_code_of_postgres() -> Iterator[tuple[str, type[psycopg.Error]]]:
    for found in vars(pg).values():
        code = getattr(found, "sqlstate", None)
        if isinstance(found, type) and issubclass(found, psycopg.Error) and code:
            yield code, found


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("25006", StoreReadOnly),
        ("57P01", StoreUnavailable),
        ("57P03", StoreUnavailable),
        ("40001", StoreUnavailable),
        ("40P01", StoreUnavailable),
        ("55P03", RowsLocked),
        ("53300", StoreUnavailable),
        ("53100", StoreFull),
        ("57014", BatchTooLarge),
        ("53200", BatchTooLarge),
        ("54000", WriteRefused),
        ("22021", WriteRefused),
        ("22P05", WriteRefused),
        ("23514", WriteRefused),
        ("P0001", WriteRefused),
        ("XX000", WriteRefused),
        ("XX001", StoreError),
        ("42P01", StoreError),
        ("42501", StoreError),
    ],
)
def test_a_code_of_postgres_is_of_its_kind_whatever_class_the_driver_has_for_it(
    code: str, kind: type[StoreError]
) -> None:
    found = translated(pg.lookup(code)("so it says"), "postgresql://host/db")
    assert type(found) is kind
    assert "so it says" in str(found)


def test_every_code_that_the_driver_knows_is_of_one_of_the_kinds() -> None:
    codes = dict(every_code_of_postgres())
    assert len(codes) > 200
    for code, kind in codes.items():
        assert type(translated(kind("text"), "here")) in KINDS, code


@pytest.mark.parametrize("code", ["ZZ999", "P9999", "XX999"])
def test_a_code_that_nobody_knows_is_of_the_one_write_so_that_nothing_else_waits_for_it(code: str) -> None:
    problem = psycopg.OperationalError("odd")
    problem.sqlstate = code
    assert type(translated(problem, "here")) is WriteRefused
    assert meaning_of("SQLITE_NEW_ONE", SQLITE, SQLITE_UNKNOWN).kind is WriteRefused


def test_a_connection_that_is_lost_is_transient_and_a_bound_of_ours_may_be_met_by_less() -> None:
    assert type(translated(psycopg.OperationalError("server closed the connection"), "here")) is StoreUnavailable
    assert type(translated(psycopg.InterfaceError("the connection is closed"), "here")) is StoreUnavailable
    assert type(translated(TimedOut("no answer"), "here")) is BatchTooLarge
    wrapped = RecorderError("wrapped")
    wrapped.__cause__ = pg.ReadOnlySqlTransaction("read-only")
    assert type(translated(wrapped, "here")) is StoreReadOnly


def test_what_the_driver_refuses_by_itself_is_of_the_one_write() -> None:
    assert type(translated(psycopg.DataError("a text with NUL"), "here")) is WriteRefused
    with pytest.raises(OverflowError) as found:
        bigint_array([2**63])
    assert type(translated(found.value, "here")) is WriteRefused
    assert not isinstance(found.value, struct.error)
    assert type(translated(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "here")) is WriteRefused


def raised_by_sqlite(*statements: str, **options: Any) -> sqlite3.Error:
    connection = sqlite3.connect(":memory:", isolation_level=None, **options)
    try:
        for statement in statements:
            connection.execute(statement)
    except sqlite3.Error as problem:
        return problem
    finally:
        connection.close()
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("statements", "kind"),
    [
        (("PRAGMA query_only = ON", "CREATE TABLE a (b)"), StoreReadOnly),
        (("CREATE TABLE a (b NOT NULL)", "INSERT INTO a VALUES (NULL)"), WriteRefused),
        (("CREATE TABLE a (b CHECK (b > 0))", "INSERT INTO a VALUES (0)"), WriteRefused),
        (
            (
                "CREATE TABLE a (b)",
                "CREATE TRIGGER t BEFORE INSERT ON a BEGIN SELECT RAISE(ABORT, 'not today'); END",
                "INSERT INTO a VALUES (0)",
            ),
            WriteRefused,
        ),
        (("PRAGMA max_page_count = 2", "CREATE TABLE a (b)", "CREATE TABLE c (d)"), StoreFull),
        (("SELECT * FROM nowhere",), StoreError),
    ],
)
def test_what_sqlite_really_raises_is_of_its_kind(statements: tuple[str, ...], kind: type[StoreError]) -> None:
    assert type(translated_from_sqlite(raised_by_sqlite(*statements), "shop.db")) is kind


def test_every_error_of_sqlite_has_a_meaning_of_its_own() -> None:
    """But those about one value, which need none: they are as what nobody knows."""
    primary = {name: code for name in vars(sqlite3) if name.startswith("SQLITE_") for code in [getattr(sqlite3, name)]}
    errors = {name for name, code in primary.items() if isinstance(code, int) and 1 <= code <= 26 and name in PRIMARY}
    assert errors - SQLITE.keys() == {"SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"}
    assert all(meaning.kind in KINDS for meaning in (*SQLITE.values(), *POSTGRES.values()))
