"""The views over the log read one saga by index, however long the log is: the plans of both databases say so."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database, opened
from servers.postgres_server import PostgresServer

from sagalog.store import Store
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sqlite.store import SQLiteStore

SAGAS = 20_000
NUMBERS = {
    "sqlite": f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {SAGAS}) ",
    "postgres": f"WITH n AS (SELECT generate_series(1, {SAGAS}) AS n) ",
}
# Five events a saga: what one that is stuck and resumed has.
EVENTS = (
    ("SagaStarted", '{"time":1,"saga":"order","version":1,"digest":"d","input":{"actor":"Ada"},"key":"k"}'),
    ("StepSucceeded", '{"time":2,"step":"reserve","began":1,"result":{"cents":1}}'),
    ("StepFailed", '{"time":3,"step":"pay","began":2,"outcome":"refused","error":{"type":"No","message":"no"}}'),
    ("SagaResumed", '{"time":4,"actor":"ada","reason":"it is mended"}'),
    ("SagaCompleted", '{"time":5}'),
)
STATUS = (
    "INSERT INTO saga_status (saga_id, saga_name, saga_version, definition, saga_key, run, status, attempt, "
    "correlation_id, started_at, updated_at, version, position) "
    "{} SELECT 'saga-' || n, 'order', 1, 'd', 'order-' || n, 1, 'completed', 0, 'c', 1, 1, 5, 1 FROM n"
)
EVENT = (
    "INSERT INTO saga_events (originator_id, originator_version, topic, state) "
    "{} SELECT 'saga-' || n, {}, 'sagalog.{}.1', CAST('{}' AS {}) FROM n"
)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with 100,000 events."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            database = migrated_database(request.param, tmp_path_factory.mktemp("many"), request)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = stack.enter_context(server.database(request.getfixturevalue("migrated_template")))
        assert isinstance(database, str)
        fill(database, request.param)
        yield stack.enter_context(opened(database))


def fill(database: str, kind: str) -> None:
    numbers, blob = NUMBERS[kind], "BLOB" if kind == "sqlite" else "text"
    with plain(database) as connection:
        connection.execute(STATUS.format(numbers))
        for version, (name, state) in enumerate(EVENTS, 1):
            sql = EVENT.format(numbers, version, name, state, blob)
            if kind == "postgres":
                sql = sql.replace("CAST('", "convert_to('").replace(" AS text)", ", 'UTF8')")
            connection.execute(sql)
        connection.execute("ANALYZE")


def plan(store: Store, sql: str) -> str:
    """Return how the database would find the rows; a plan is no query, so it is asked for behind the door."""
    if isinstance(store, SQLiteStore):
        with plain(f"sqlite:///{store.path}") as connection:
            return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert isinstance(store, PostgresStore)
    with store._address.connect() as connection:
        return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}".encode()))


WHOLE = re.compile(r"SCAN (e|s|saga_events|saga_status)\b|MATERIALIZE|Seq Scan on saga_(events|status)")


def reads_the_whole_log(found: str) -> bool:
    """Tell whether a plan goes over all events, or over all sagas to read the events of each."""
    return WHOLE.search(found) is not None


BY_ID = "saga_id = 'saga-777'"
BY_KEY = "saga_name = 'order' AND saga_key = 'order-777' ORDER BY position"
LOOKED_UP = "saga_id = (SELECT saga_id FROM saga_status WHERE saga_key = 'order-777')"
ONE_OF = "saga_id IN (SELECT saga_id FROM saga_status WHERE saga_key = 'order-777')"


@pytest.mark.parametrize(
    ("view", "condition"),
    [
        *(("saga_attempts", condition) for condition in (BY_ID, BY_KEY, LOOKED_UP, ONE_OF)),
        *(("saga_history", condition) for condition in (BY_ID, LOOKED_UP, ONE_OF)),
        # It is made of two parts, so the saga itself has to be named: the reference says so.
        *(("saga_actions", condition) for condition in (BY_ID, BY_KEY)),
    ],
)
def test_a_question_about_one_saga_reads_no_other(store: Store, view: str, condition: str) -> None:
    sql = f"SELECT * FROM {view} WHERE {condition}"
    assert not reads_the_whole_log(plan(store, sql)), plan(store, sql)
    _, rows = store.query(sql)
    assert len(rows) == {"saga_attempts": 2, "saga_actions": 1, "saga_history": 5}[view]


def test_a_join_reads_of_the_log_only_the_sagas_that_it_joins(store: Store) -> None:
    sql = (
        "SELECT v.* FROM saga_attempts AS v JOIN saga_status AS s ON s.saga_id = v.saga_id "
        "WHERE s.saga_key = 'order-777'"
    )
    assert not reads_the_whole_log(plan(store, sql)), plan(store, sql)
    assert len(store.query(sql)[1]) == 2


def test_what_is_asked_of_all_sagas_is_answered(store: Store) -> None:
    assert store.query("SELECT count(*) AS n FROM saga_actions WHERE actor = 'ada'")[1] == [(SAGAS,)]
    _, rows = store.query("SELECT outcome, error_kind, count(*) AS n FROM saga_attempts GROUP BY 1, 2 ORDER BY 1")
    assert rows == [("refused", "error", SAGAS), ("succeeded", None, SAGAS)]


@pytest.mark.parametrize("view", ["saga_attempts", "saga_actions", "saga_history"])
def test_what_is_new_since_a_position_is_found_by_index(store: Store, view: str) -> None:
    [(last,)] = store.query("SELECT max(position) AS last FROM saga_history")[1]
    sql = f"SELECT * FROM {view} WHERE position > {last - 10}"
    assert not reads_the_whole_log(plan(store, sql)), plan(store, sql)
