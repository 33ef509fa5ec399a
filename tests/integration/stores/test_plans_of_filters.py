"""What a filter asks of every saga is found by the index that the option of the same meaning has, on both databases."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database, opened
from psycopg import RawCursor
from servers.postgres_server import PostgresServer

from sagalog.store import Query, Store
from sagalog.store.attributes import typed
from sagalog.store.where import parse
from sagalog.stores.postgres.connection import SQL, BoundedConnection
from sagalog.stores.sqlite import store as of_sqlite
from sagalog.stores.sqlite.connection import rows_of
from sagalog.testing.contracts.store.attributes import with_attributes
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, start

SAGAS = 6_000
# More than the filter of any part that has an index, so that it is a filter that is run.
MORE = " and (run=1 or key~nobody) and not owner=w9"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with many sagas that completed, a few that are stuck, and one customer of each."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            database = migrated_database(request.param, tmp_path_factory.mktemp("many"), request)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = stack.enter_context(server.database(request.getfixturevalue("migrated_template")))
        found = stack.enter_context(opened(database))
        fill(found)
        if request.param == "postgres":
            assert isinstance(database, str)
            with plain(database) as connection:
                connection.execute("ANALYZE")
        yield found


def fill(store: Store) -> None:
    for begin in range(0, SAGAS, 500):
        sagas = [
            with_attributes(
                start(f"k-{number}", saga="rare" if number == 7 else "orders", started_at=NOW), customer=f"c-{number}"
            )
            for number in range(begin, begin + 500)
        ]
        store.append(sagas)
        store.append([ending(one) for n, one in enumerate(sagas) if n % 499 != 5])
        wrong = {"error_type": "Timeout", "error_text": "the letter shop is closed"}
        store.append([ending(one, "stuck", **wrong) for n, one in enumerate(sagas) if n % 499 == 5])


class Asked:
    """Records what a store asks its database, and tells by which indexes that is answered."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch) -> None:
        self._store: Any = store
        self._statements: list[tuple[Any, Any]] = []
        if store.name == "sqlite":

            def noted(cursor: Any, sql: str, parameters: Any = ()) -> Any:
                self._statements.append((sql, parameters))
                return rows_of(cursor, sql, parameters)

            patch.setattr(of_sqlite, "rows_of", noted)
        else:
            rows = BoundedConnection.rows

            def noted_too(
                connection: Any, name: str, parameters: Any = (), prepare: bool = True, text: bytes | None = None
            ) -> Any:
                self._statements.append((text or SQL[name], parameters))
                return rows(connection, name, parameters, prepare, text)

            patch.setattr(BoundedConnection, "rows", noted_too)

    def indexes(self, query: Query) -> tuple[list[set[str]], int, bool]:
        """Return the indexes of each statement, the number of rows found, and whether a filter was run."""
        self._statements.clear()
        found = self._store.find(query)
        statements = list(self._statements)
        filtered = any("nobody" in str(parameters) for _, parameters in statements)
        return [self._by(*statement) for statement in statements], len(found), filtered

    def _by(self, statement: Any, parameters: Any) -> set[str]:
        steps: Sequence[Any]
        if self._store.name == "sqlite":
            with self._store._transaction(commit=False) as cursor:
                steps = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        else:
            with self._store._connections.reader() as connection:
                steps = [row[0] for row in RawCursor(connection).execute(b"EXPLAIN " + statement, parameters)]
        pattern = r"(?:INDEX|using|Index Scan on) ((?:saga_|sqlite_autoindex_saga_status)\w+)"
        assert not any(re.search("Seq Scan on saga_|^SCAN saga_status$", step) for step in steps), steps
        return {name for step in steps for name in re.findall(pattern, step)}


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ('status=stuck and error~"letter shop"', {"statuses": ["stuck"], "error": "letter shop"}),
        ("status in (stuck, compensating)", {"statuses": ["compensating", "stuck"]}),
        ("status not in (completed, failed, abandoned, stuck)", {"statuses": ["started", "pending", "compensating"]}),
        ("key=k-77", {"key": "k-77"}),
        ("saga=rare", {"saga_name": "rare"}),
        ("age>10m", {"started_before": NOW}),
        (
            "attribute.customer=c-77 and started<2100-01-01",
            {"attributes": [typed("customer=c-77")], "started_before": 2 * NOW},
        ),
        ("status=stuck and attribute.customer>=c-1", {"statuses": ["stuck"], "attributes": [typed("customer>=c-1")]}),
    ],
)
def test_a_filter_is_found_by_the_indexes_of_the_options(
    store: Store, where: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(store, monkeypatch)
    expected, number, _ = asked.indexes(Query(**options))
    found, same, filtered = asked.indexes(Query(where=parse(where + MORE, NOW + 600 * SECOND)))
    # A filter may look up the attributes and texts that it compares, but begins where the option does.
    assert (found, same) == (expected, number)
    assert filtered
    assert any(expected), "an index is used"
