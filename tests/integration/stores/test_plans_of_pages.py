"""A page of a long list begins where the one before has ended: no plan of either database reads what came before it."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from databases.crowd import crowd
from databases.stores import opened
from msgspec.structs import replace
from psycopg import RawCursor
from servers.postgres_server import PostgresServer

from sagalog.store import Query, Store, UnmatchedQuery
from sagalog.store.where import parse
from sagalog.stores.postgres.connection import SQL as POSTGRES
from sagalog.stores.postgres.connection import BoundedConnection
from sagalog.stores.sqlite.writing import SQL as SQLITE

SAGAS = 22_000
# How these blocks find the rows among which a page is, which have another order there. Those of a range of values are
# asked for when neither the newest sagas nor few others meet it.
AMONG_FEW = {
    "newest_in_texts": "by a range of values",
    "newest_in_numbers": "by a range of values",
    "newest_unlike": "by all values of an attribute",
    "find_these": "by their ids",
    "find_among": "by their ids",
    "find_key": "by their key",
    "unmatched_one": "by its id",
    "unmatched_correlated": "by their correlation id",
}
PARTS = {"matching", "unmatched_alike", "in_texts", "in_numbers"}
SEEKS = r"(saga_id|unmatched_id|job_id|rowid|number|position)[<>]\?"


def pages_of_sqlite() -> list[str]:
    """Return the blocks that take where a page begins."""
    return [
        name
        for name, text in SQLITE.items()
        if re.search(r":(before|after)\b", text) and ":limit" in text and name not in PARTS | set(AMONG_FEW)
    ]


@pytest.mark.parametrize("name", pages_of_sqlite())
def test_a_page_of_sqlite_begins_by_an_index(name: str, migrated_file: Path) -> None:
    connection = sqlite3.connect(f"file:{migrated_file}?mode=ro", uri=True)
    text = SQLITE[name]
    named = dict.fromkeys(re.findall(r":(\w+)", text))
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text.replace('?', 'NULL')}", named)]
    connection.close()
    assert any(re.search(SEEKS, step) for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN saga_")], steps


def test_the_pages_of_every_list_are_looked_at() -> None:
    assert {"find", "find_open", "find_named", "find_with_an_error", "find_in_trouble", "jobs", "newest"} <= set(
        pages_of_sqlite()
    )
    assert {"unmatched", "unmatched_named", "unmatched_consumed", "job_items", "read_log"} <= set(pages_of_sqlite())


@pytest.fixture(scope="module")
def store(postgres_server: PostgresServer) -> Iterator[Store]:
    with postgres_server.database() as address:
        crowd(address, SAGAS)
        with opened(address) as found:
            yield found


QUERIES: dict[str, Query | UnmatchedQuery] = {
    "all": Query(),
    "one status": Query(statuses=["completed"]),
    "open": Query(statuses=["pending"]),
    "stuck": Query(statuses=["stuck"]),
    "failed": Query(statuses=["failed"]),
    "stuck ones of a name": Query(statuses=["stuck"], saga_name="order-fulfilment"),
    "one name": Query(saga_name="order-fulfilment"),
    "an error": Query(error="declined"),
    "a filter": Query(where=parse("status=completed and not attribute.customer=nobody", 0)),
    "parked": UnmatchedQuery(),
    "parked, of a name": UnmatchedQuery(name="ParcelArrived"),
    "parked, of a consumer": UnmatchedQuery(consumer="saga:order-return"),
    "any": UnmatchedQuery(statuses=()),
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", QUERIES)
def test_a_page_of_postgres_reads_little_more_than_it_shows(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the database itself counts while it runs the plan, at the middle of all."""
    newest = store.find(Query(limit=1))[0].saga_id
    middle = f"{newest[:-12]}{SAGAS // 2:012x}"
    asked: list[tuple[Any, Any]] = []
    rows = BoundedConnection.rows

    def noted(connection: Any, block: str, parameters: Any = (), prepare: bool = True, text: Any = None) -> Any:
        asked.append((text or POSTGRES[block], parameters))
        return rows(connection, block, parameters, prepare, text)

    monkeypatch.setattr(BoundedConnection, "rows", noted)
    query = QUERIES[name]
    if isinstance(query, Query):
        assert store.find(replace(query, before=middle, limit=21))
    else:
        assert store.unmatched(replace(query, before=middle, limit=21))
    assert asked
    for statement, parameters in asked:
        walked = _walked(store, statement, parameters)
        assert walked <= 500, walked


def _walked(store: Any, statement: bytes, parameters: Sequence[Any]) -> float:
    """Return how many rows all parts of the plan have touched, those that were left out included."""
    with store._connections.reader() as connection:
        found = RawCursor(connection).execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement, parameters).fetchone()
        assert found is not None
    # JSON comes as text on a connection of ours.
    plans: list[dict[str, Any]] = json.loads(found[0])
    return _rows_of(plans[0]["Plan"])


def _rows_of(plan: dict[str, Any]) -> float:
    left_out = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    own = (plan["Actual Rows"] + left_out) * plan["Actual Loops"]
    return float(own) + sum(_rows_of(part) for part in plan.get("Plans", ()))
