"""SQL of a user reads and does nothing else, on either store, whatever it says; the database itself sees to that."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases.catalogs import plain
from databases.stores import migrated_database

from sagalog.errors import QueryRefused, StoreError, StoreUnavailable
from sagalog.store import Store, StoreOptions
from sagalog.store.selection import MOST_HELD, PAGE
from sagalog.stores import store_for
from sagalog.stores.memory.store import MemoryStore
from sagalog.stores.sqlite.select import select
from sagalog.testing.contracts.store.samples import following, start

SQL_KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
# What a person waits for in these tests, so that a query without an end has one soon.
SECONDS = 1.0


@pytest.fixture(params=SQL_KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with two events of one saga."""
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    begun = start()
    with opened(found) as store:
        assert store.append([begun, following(begun)]) == ["written", "written"]
    return found


@contextmanager
def opened(database: str) -> Generator[Store]:
    store = store_for(database, StoreOptions(statement_timeout=SECONDS))
    store.open()
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


def everything(database: str) -> list[Any]:
    """Return what is in the log and in the status table."""
    with plain(database) as connection:
        return [
            connection.execute(sql).fetchall()
            for sql in (
                "SELECT * FROM saga_events ORDER BY originator_version",
                "SELECT * FROM saga_status",
                "SELECT * FROM saga_schema ORDER BY number",
            )
        ]


WRITES = [
    "DELETE FROM saga_events",
    "UPDATE saga_status SET status = 'completed'",
    "INSERT INTO saga_schema VALUES (99, 'from the future', 0)",
    "WITH gone AS (SELECT 1) DELETE FROM saga_status",
    "DELETE FROM saga_status RETURNING saga_id",
    "CREATE TABLE mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE TEMPORARY VIEW mine AS SELECT 1",
    "DROP TABLE saga_events",
    "ALTER TABLE saga_status ADD COLUMN mine int",
    "CREATE INDEX mine ON saga_status (status)",
    "COMMIT",
    "BEGIN",
    "ROLLBACK",
    "SAVEPOINT mine",
    "ANALYZE",
    "VACUUM",
    "REINDEX",
    "SELECT 1; DELETE FROM saga_events",
    "COMMIT; DELETE FROM saga_events",
    "SELECT 1; COMMIT; DELETE FROM saga_events",
    "SELECT 1; ROLLBACK; BEGIN; DELETE FROM saga_events; COMMIT; SELECT 2",
    "SELECT 1; /* */ ; SELECT 2",
    "ROLLBACK; BEGIN; DELETE FROM saga_events; COMMIT",
    "/* SELECT */ DELETE FROM saga_events -- SELECT",
    "",
    "   ",
    "-- nothing",
    ";",
    "SELECT 1\0; DELETE FROM saga_events",
    "SELECT '\udcff'",
    "SELECT ?1",
    "SELECT $1",
]
WRITES_ON_SQLITE = [
    "PRAGMA query_only = OFF",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "PRAGMA trusted_schema = ON",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA optimize",
    "SELECT * FROM pragma_query_only(0)",
    "ATTACH 'other.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM INTO 'other.db'",
    "SELECT load_extension('other.so')",
    "SELECT fts3_tokenizer('simple')",
    "CREATE VIRTUAL TABLE mine USING fts5(x)",
    "CREATE TEMP TABLE mine AS SELECT * FROM saga_events",
    "CREATE TEMP TRIGGER mine AFTER INSERT ON saga_events BEGIN SELECT 1; END",
    "SELECT :name",
    "CREATE VIEW mine AS SELECT 1 ` ` `",
]
WRITES_ON_POSTGRES = [
    "WITH gone AS (DELETE FROM saga_status RETURNING *) SELECT * FROM gone",
    "SELECT * INTO mine FROM saga_status",
    "SELECT * FROM saga_status FOR UPDATE",
    "SELECT * FROM saga_status FOR KEY SHARE",
    "SELECT nextval('saga_events_notification_id_seq')",
    "SELECT setval('saga_events_notification_id_seq', 1)",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET default_transaction_read_only = off",
    "SET statement_timeout = 0",
    "RESET ALL",
    "SET ROLE postgres",
    "LOCK TABLE saga_events",
    "LOCK TABLE saga_events IN ACCESS SHARE MODE",
    "LISTEN saga_events",
    "NOTIFY saga_events",
    "COPY saga_events TO '/tmp/sagalog-copied'",
    "COPY saga_events TO STDOUT",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/sagalog-copied'",
    "COPY saga_schema FROM PROGRAM 'echo'",
    "DO $$ BEGIN DELETE FROM saga_events; END $$",
    "CALL nothing()",
    "EXECUTE nothing",
    "PREPARE mine AS SELECT 1",
    "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM saga_events",
    "PREPARE TRANSACTION 'mine'",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "GRANT ALL ON saga_events TO PUBLIC",
    "TRUNCATE saga_events",
    "LOAD 'other'",
    "CHECKPOINT",
    "ALTER SYSTEM SET fsync = off",
    "SELECT mine_writes()",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT dblink_exec('', 'DELETE FROM saga_events')",
]


@pytest.mark.parametrize("sql", WRITES)
def test_what_does_more_than_read_is_refused_and_changes_nothing(database: str, store: Store, sql: str) -> None:
    refused_and_unchanged(database, store, sql)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sql", WRITES_ON_SQLITE)
def test_what_only_sqlite_knows_is_refused_and_changes_nothing(database: str, store: Store, sql: str) -> None:
    folder = Path(database.removeprefix("sqlite:///")).parent
    refused_and_unchanged(database, store, sql)
    assert not list(folder.glob("other*"))


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("sql", WRITES_ON_POSTGRES)
def test_what_only_postgres_knows_is_refused_and_changes_nothing(database: str, store: Store, sql: str) -> None:
    with plain(database) as connection:
        connection.execute(
            "CREATE FUNCTION mine_writes() RETURNS bigint LANGUAGE sql VOLATILE AS "
            "'DELETE FROM saga_events RETURNING notification_id'"
        )
    refused_and_unchanged(database, store, sql)
    assert not Path("/tmp/sagalog-copied").exists()


def refused_and_unchanged(database: str, store: Store, sql: str) -> None:
    before = everything(database)
    with pytest.raises(StoreError) as caught:
        store.query(sql)
    assert isinstance(caught.value, QueryRefused), caught.value
    assert "\n" not in str(caught.value)
    assert everything(database) == before
    # The store goes on as if nothing had been asked.
    assert store.query("SELECT count(*) AS events FROM saga_events") == (["events"], [(2,)])
    begun = start()
    assert store.append([begun]) == ["written"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_file_that_others_have_put_views_and_triggers_into_is_only_read(database: str, store: Store) -> None:
    with plain(database) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT load_extension('other.so') AS loaded")
        connection.execute("CREATE VIEW ours AS SELECT count(*) AS events FROM saga_events")
    with pytest.raises(QueryRefused):
        store.query("SELECT * FROM theirs")
    assert store.query("SELECT * FROM ours") == (["events"], [(2,)])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_wall_of_sqlite_holds_alone(database: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the authorizer the file is still opened for reading only; a planted hole in one changes nothing."""

    def allowed(*_: object) -> int:
        return sqlite3.SQLITE_OK

    monkeypatch.setattr("sagalog.stores.sqlite.select._allowed", allowed)
    path = database.removeprefix("sqlite:///")
    before = everything(database)
    for sql in ("PRAGMA query_only = OFF", "DELETE FROM saga_events", "PRAGMA writable_schema = ON"):
        with contextlib.suppress(StoreError), select(path, SECONDS, sql) as selection:
            selection.held()
    assert everything(database) == before


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_nothing_that_a_query_sets_locks_or_listens_to_outlives_it(database: str, store: Store) -> None:
    store.query(
        "SELECT set_config('search_path', 'pg_catalog', false), set_config('statement_timeout', '0', false), "
        "set_config('TimeZone', 'Asia/Tokyo', false), pg_advisory_lock(4711), set_config('role', 'pg_monitor', false)"
    )
    names = "current_setting('search_path'), current_setting('TimeZone'), current_user <> 'pg_monitor'"
    _, [(path, zone, is_ours)] = store.query(f"SELECT {names}")
    assert ("pg_catalog" not in path.split(","), zone, is_ours) == (True, "UTC", True)
    until = time.monotonic() + 20
    with plain(database) as connection:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
        while connection.execute(held).fetchone() != (0,):
            assert time.monotonic() < until, "the lock is held by a connection that is not closed"
    assert len(store.read_log(0, 10)) == 2


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
    "postgres": "SELECT pg_sleep(1000)",
}
# The first page sets the limit of the server to nothing; then ours ends the second.
WITHOUT_LIMIT = (
    "SELECT CASE WHEN n = 1 THEN set_config('statement_timeout', '0', false) || set_config('transaction_timeout', '0', "
    "false) WHEN n > 500 THEN pg_sleep(1000)::text ELSE '' END FROM generate_series(1, 1000) AS n"
)


def test_a_query_without_an_end_is_ended_and_says_so(database: str, store: Store) -> None:
    kind = store.name
    with pytest.raises(StoreUnavailable, match="the query took longer than 1 s; narrow it, or give it more time"):
        store.query(ENDLESS[kind])
    assert store.query("SELECT 1 AS one") == (["one"], [(1,)])


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_query_that_takes_the_limit_away_is_ended_all_the_same(database: str, store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="longer than 1 s"):
        store.query(WITHOUT_LIMIT)
    with plain(database) as connection:
        until = time.monotonic() + 20
        still = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND state = 'active'"
        while connection.execute(still).fetchone() != (0,):
            assert time.monotonic() < until, "the server goes on with it"


SERIES = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT {}) SELECT x FROM n",
    "postgres": "SELECT generate_series(1, {}) AS x",
}


def test_an_answer_is_read_while_it_is_taken_and_ends_where_nobody_takes_more(store: Store) -> None:
    with store.select(SERIES[store.name].format(1_000_000_000)) as selection:
        taken = [next(selection.rows)[0] for _ in range(3 * PAGE + 1)]
    assert (selection.columns, taken) == (["x"], list(range(1, 3 * PAGE + 2)))


def test_every_row_of_a_long_answer_is_there_once(store: Store) -> None:
    for number in (0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE):
        _, rows = store.query(SERIES[store.name].format(number) if number else "SELECT 1 AS x WHERE 1 = 2")
        assert [row[0] for row in rows] == list(range(1, number + 1))


def test_what_is_held_in_memory_is_bounded(store: Store) -> None:
    with pytest.raises(QueryRefused, match="at most 100,000 rows, found more"):
        store.query(SERIES[store.name].format(MOST_HELD + 1))
    assert len(store.query(SERIES[store.name].format(MOST_HELD))[1]) == MOST_HELD


def test_what_is_wrong_in_a_query_is_said(store: Store) -> None:
    for sql, said in {
        "SELECT nothing FROM saga_status": "nothing",
        "SELECT 1 FROM nowhere": "nowhere",
        "SELECT 1 +": "(incomplete input|syntax error)",
        "SELECT abs(1, 2)": "abs",
        "SELECT '{' -> 'x' FROM saga_status": "(malformed JSON|operator is not unique)",
    }.items():
        with pytest.raises(QueryRefused, match=said):
            store.query(sql)
    with pytest.raises(QueryRefused, match="only a query is run here"):
        store.query("DELETE FROM saga_status")


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_postgres_says_where_in_the_text_that_was_given(store: Store) -> None:
    with pytest.raises(QueryRefused, match=r'column "nothing" does not exist \(line 2, column 9\)'):
        store.query("SELECT 1,\n  'ä🙂', nothing FROM saga_status")
    with pytest.raises(QueryRefused, match=r"division by zero$"):
        store.query("SELECT 1 / 0")
    with pytest.raises(QueryRefused, match=r"\(line 1, column 1\); only a query is run here"):
        store.query("EXPLAIN SELECT 1")


def test_columns_of_one_name_are_told_apart(store: Store) -> None:
    assert store.query("SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a") == (["a", "a_2", "a_2_2", "a_3"], [(1, 2, 3, 4)])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_values_of_sqlite_are_what_they_are(database: str, store: Store) -> None:
    _, [row] = store.query("SELECT NULL, -9223372036854775808, 1e999, 'ä\x1b', x'00ff', CAST(x'61ff' AS TEXT), 0.1")
    assert row == (None, -(2**63), float("inf"), "ä\x1b", b"\0\xff", r"a\xff", 0.1)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_values_of_postgres_are_exact_whatever_their_type(store: Store) -> None:
    _, [row] = store.query(
        "SELECT NULL, 9223372036854775807, 'NaN'::float8, 0.1::float8, 1e30::numeric, 1.10, true, '\\x00ff'::bytea, "
        "timestamptz 'infinity', timestamptz '2024-02-03 04:05:06.789+02', date '12000-01-01', interval '1 day 2 s', "
        "'{\"a\": 1}'::json, '{\"a\": 1}'::jsonb, ARRAY['a', NULL], int4range(1, 3), 'x'::name, "
        "'::1'::inet, ROW(1, 'b')"
    )
    assert str(row[2]) == "nan"
    assert row[:2] + row[3:8] == (None, 2**63 - 1, 0.1, Decimal(10) ** 30, Decimal("1.10"), True, b"\0\xff")
    assert row[8:] == (
        *("infinity", "2024-02-03 02:05:06.789+00", "12000-01-01", "P1DT2S", '{"a": 1}', '{"a": 1}', "{a,NULL}"),
        *("[1,3)", "x", "::1", "(1,b)"),
    )


def test_a_writer_that_holds_its_transaction_open_holds_up_no_query(database: str, store: Store) -> None:
    """Readers wait for no writer: neither on a file in WAL, nor behind the lock of the log."""
    held, go = threading.Event(), threading.Event()

    def write() -> None:
        with plain(database) as connection:
            connection.execute("BEGIN IMMEDIATE" if store.name == "sqlite" else "BEGIN")
            if store.name == "postgres":
                connection.execute("LOCK TABLE saga_events IN EXCLUSIVE MODE")
            connection.execute("UPDATE saga_status SET status = 'stuck'")
            held.set()
            go.wait(30)
            connection.execute("ROLLBACK")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert held.wait(30)
        assert store.query("SELECT count(*) AS stuck FROM saga_status WHERE status = 'stuck'")[1] == [(0,)]
    finally:
        go.set()
        writer.join()


def test_a_store_in_memory_says_what_to_use_instead() -> None:
    with pytest.raises(StoreError, match="the memory store speaks no SQL; use sqlite:///"):
        MemoryStore().query("SELECT 1")


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_table_that_somebody_has_locked_is_not_waited_for_for_ever(database: str, store: Store) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE saga_status IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="longer than 1 s"):
            store.query("SELECT count(*) FROM saga_status")
