"""What only PostgreSQL's store promises: clear errors, a schema like SQLite's, and what its statements cost."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import pytest
from databases.stores import opened
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg import RawCursor
from servers.postgres_server import PostgresServer, free_port

from sagalog.errors import (
    InvalidSettings,
    SagalogError,
    SchemaTooNew,
    SchemaTooOld,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
)
from sagalog.store import Store, StoreOptions
from sagalog.stores.postgres.errors import TimedOut
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sql import statements
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.testing.contracts.store.appending import at_once, numbered, stream_of
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, ending, following, lease, sample_event, start, step

pytestmark = pytest.mark.postgres

LOOKS = statements("tests.support.databases", "looks.sql")


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with opened(postgres_url) as store:
        assert isinstance(store, PostgresStore)
        yield store


def ask(url: str, name: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Ask the database behind the store's back."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = RawCursor(connection).execute(LOOKS[name].encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def with_parts(url: str, **parts: Any) -> str:
    """Return the address with another user, password, port, path or query."""
    split = urlsplit(url)
    user = parts.get("user", split.username)
    password = parts.get("password", split.password)
    netloc = f"{user}:{password}@{split.hostname}:{parts.get('port', split.port)}"
    return urlunsplit(split._replace(netloc=netloc, path=parts.get("path", split.path), query=parts.get("query", "")))


def error_of_opening(url: str) -> SagalogError:
    store = PostgresStore(url, StoreOptions(connect_timeout=2, statement_timeout=2))
    with pytest.raises(SagalogError) as caught:
        store.open()
    # It can be tried again, and closing what never opened is no error.
    store.close()
    return caught.value


def test_a_server_that_is_not_there_says_where_it_was_looked_for(postgres_url: str) -> None:
    port = free_port()
    error = error_of_opening(with_parts(postgres_url, port=port))
    assert isinstance(error, StoreUnavailable)
    assert f":{port}/" in str(error)
    assert "is the server running" in str(error)


def test_a_wrong_password_is_told_apart_and_never_shown(postgres_server: PostgresServer, postgres_url: str) -> None:
    if not postgres_server.can_be_killed:
        pytest.skip("a caller's server may let everybody in")
    error = error_of_opening(with_parts(postgres_url, password="hunter2-and-more"))
    assert isinstance(error, StoreUnavailable)
    assert "check the user and the password" in str(error)
    everything = (
        f"{error!r} {error} {error.__cause__!r} {PostgresStore(with_parts(postgres_url, password='hunter2'))!r}"
    )
    assert "hunter2" not in everything


def test_an_address_that_cannot_be_read_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidSettings, match=r"expected an address such as postgresql://") as caught:
        PostgresStore("postgresql://shop:hunter2@host:port:port/db%zz")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_that_does_not_exist_says_so(postgres_url: str) -> None:
    error = error_of_opening(with_parts(postgres_url, path="/no_such_database"))
    assert isinstance(error, StoreUnavailable)
    assert "create it, or check the address" in str(error)


def test_a_database_that_can_only_be_read_is_told_apart(postgres_url: str) -> None:
    read_only = with_parts(postgres_url, query="options=-c%20default_transaction_read_only%3Don")
    assert isinstance(error_of_opening(read_only), StoreReadOnly)
    begun = start()
    with opened(postgres_url) as store:
        store.append([begun])
    with opened(read_only) as store:
        assert stream_of(store, begun) == numbered(begun)
        with pytest.raises(StoreReadOnly, match="connect to the primary"):
            store.append([start()])
        with pytest.raises(StoreReadOnly):
            store.claim("w1", [DEFINITION], NOW, 10)
        assert stream_of(store, begun) == numbered(begun)


def test_a_newer_schema_is_refused_and_not_touched(postgres_url: str) -> None:
    with opened(postgres_url):
        pass
    ask(postgres_url, "newer_schema")
    error = error_of_opening(postgres_url)
    assert isinstance(error, SchemaTooNew)
    assert "found schema 99" in str(error)


def test_an_empty_database_is_left_empty_when_no_migration_is_wanted(postgres_url: str) -> None:
    with pytest.raises(SchemaTooOld, match="run `sagalog db upgrade` first"):
        PostgresStore(postgres_url).open(migrate=False)
    assert ask(postgres_url, "columns") == []


def test_a_store_that_is_not_open_says_so(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    for call in (lambda: store.read("x"), lambda: store.append([start()]), store.counts):
        with pytest.raises(StoreUnavailable, match=r"call open\(\) first"):
            call()


def test_unsafe_settings_of_the_server_are_reported(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sagalog.stores"), opened(postgres_url):
        pass
    assert caplog.text == ""
    unsafe = with_parts(postgres_url, query="options=-c%20synchronous_commit%3Doff")
    with caplog.at_level(logging.WARNING, "sagalog.stores"), opened(unsafe):
        pass
    assert "synchronous_commit is off: a crash of the server loses what was acknowledged" in caplog.text


def test_processes_that_open_an_empty_database_at_the_same_moment_make_one_schema(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url) for _ in range(6)]
    at_once([store.open for store in stores])
    for store in stores:
        assert store.append([start()]) == ["written"]
        store.close()


def test_tables_and_columns_are_the_same_as_on_sqlite(postgres_url: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sagas.db"
    with opened(SQLiteStore(str(path))):
        pass
    connection = sqlite3.connect(path)
    tables = connection.execute(LOOKS["sqlite_columns"]).fetchall()
    indexes = connection.execute(LOOKS["sqlite_index_names"]).fetchall()
    connection.close()
    # The position of an event is a column here and the rowid there.
    assert [
        one for one in ask(postgres_url, "columns") if one[1] != "notification_id" or one[0] == "saga_tracking"
    ] == tables
    assert {one[0] for one in indexes} <= {one[0] for one in ask(postgres_url, "index_names")}


def test_the_log_has_the_columns_that_the_recorders_of_eventsourcing_make(postgres_url: str, store: Store) -> None:
    parts = urlsplit(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(b"CREATE SCHEMA stock")
    datastore = PostgresDatastore(
        parts.path.strip("/"),
        parts.hostname or "",
        parts.port or 0,
        parts.username or "",
        parts.password or "",
        schema="stock",
        originator_id_type="text",
    )
    PostgresProcessRecorder(datastore, events_table_name="saga_events").create_table()
    datastore.close()
    assert ask(postgres_url, "log_columns", "public") == ask(postgres_url, "log_columns", "stock")


def test_the_history_is_readable_as_sql(store: Store) -> None:
    begun = start()
    decided = following(begun, sample_event("StepSucceeded", step="reserve_inventory", text="ä🙂"))
    store.append([begun, decided])
    columns, rows = store.query(LOOKS["history"])
    assert columns == ["saga_id", "version", "time", "type", "data"]
    assert [row[:4] for row in rows] == [
        (begun.saga_id, 1, NOW, "SagaStarted"),
        (begun.saga_id, 2, NOW, "StepSucceeded"),
    ]
    assert msgspec.json.decode(rows[1][4])["text"] == "ä🙂"


@pytest.mark.parametrize("name", ["newer_schema", "lose_row"])
def test_a_query_cannot_write(store: Store, name: str) -> None:
    with pytest.raises(StoreError):
        store.query(LOOKS[name].replace("$1", "'x'"))
    with pytest.raises(StoreError, match=r'syntax error at or near "COMMIT".+ only a query is run here'):
        store.query(f"COMMIT; {LOOKS[name]}")
    with pytest.raises(StoreError, match="cannot insert multiple commands"):
        store.query(f"SELECT 1; {LOOKS[name]}")
    assert store.counts() == []


def test_a_query_that_is_wrong_says_where(store: Store) -> None:
    with pytest.raises(StoreError, match='column "no_such_column" does not exist'):
        store.query("SELECT no_such_column")
    assert store.query("SELECT 1 AS one, '%s' AS text") == (["one", "text"], [(1, "%s")])


def test_a_stream_whose_row_was_lost_is_a_conflict_and_harms_no_other(postgres_url: str, store: Store) -> None:
    lost, other = start(), start()
    store.append([lost, following(lost)])
    ask(postgres_url, "lose_row", lost.saga_id)
    begun = msgspec.structs.replace(lost, events=[sample_event("SagaStarted")])
    more = [start() for _ in range(5)]
    assert store.append([other, begun, *more]) == ["written", "conflict", *["written"] * 5]
    assert len(store.read(lost.saga_id)) == 2


def test_an_idle_worker_writes_nothing(postgres_url: str, store: Store) -> None:
    store.register(lease("w1"))
    store.append([start(owner="w1"), start(due_at=NOW + 1), start(definition="unloaded")])
    before = ask(postgres_url, "next_transaction")
    for _ in range(20):
        assert store.claim("w1", [DEFINITION], NOW, 100) == []
    assert ask(postgres_url, "next_transaction") == before


def test_a_running_saga_touches_no_index_between_its_start_and_its_end(postgres_url: str, store: Store) -> None:
    """Full batches are the worst case: one transaction updates every row of a page."""
    sagas = [start(owner="w1") for _ in range(500)]
    store.append(sagas)
    for number in range(3):
        sagas = [
            following(one, holder="w1", status="pending", steps=[step(one.saga_id, f"step_{number}")], attempt=number)
            for one in sagas
        ]
        store.append(sagas)
    store.append([ending(one, holder="w1") for one in sagas])
    store.close()
    until = time.monotonic() + 10
    while (found := ask(postgres_url, "updates_in_place")[0])[1] < 2000 and time.monotonic() < until:
        time.sleep(0.05)
    in_place, updates = found
    assert (in_place, updates) == (1500, 2000)


def test_our_own_appends_wake_others_and_not_ourselves(store: Store, postgres_url: str) -> None:
    own, others = threading.Event(), threading.Event()
    stop = store.watch(own.set)
    with opened(postgres_url) as other:
        other.watch(others.set)
        # Each begins with a hint, as something may have happened before it listened.
        assert own.wait(5)
        assert others.wait(5)
        own.clear()
        others.clear()
        store.append([start()])
        assert others.wait(5)
        assert not own.is_set()
    stop()


def test_whoever_watches_goes_on_when_its_connection_is_ended(store: Store, postgres_url: str) -> None:
    called = threading.Event()
    store.watch(called.set)
    assert called.wait(5)
    called.clear()
    assert ask(postgres_url, "end_listeners") == [(True,)]
    assert called.wait(5)


def test_a_subscription_to_the_log_may_last_for_longer_than_a_call(store: PostgresStore) -> None:
    """The thread in which `eventsourcing` listens for a subscription has one connection for as long as that lasts."""
    with store.recorder.datastore.get_connection() as connection:
        listening: Any = connection
        connection.execute("LISTEN anything")
        listening.deadline = time.monotonic() - 1
        with pytest.raises(TimedOut):
            connection.execute("SELECT 1")
        assert list(connection.notifies(timeout=0.01)) == []
    # It would collect news that nobody asks for: the next to read gets another.
    with store.recorder.datastore.get_connection() as other:
        assert other is not listening
    assert listening.closed


def test_a_subscription_to_the_log_is_given_what_nobody_was_told_of(store: PostgresStore) -> None:
    """What needs no attention is written without a notification, and any may come before somebody listens."""
    with store.recorder.subscribe() as log, ThreadPoolExecutor() as pool:
        for one in [start(owner="w"), start(), start(owner="w")]:
            store.append([one])
            heard = pool.submit(next, log)
            try:
                assert heard.result(10).originator_id == one.saga_id
            finally:
                if not heard.done():
                    log.stop()
