"""The floor of each kind of work writes what the engine wrote: the same rows, as often, into the same tables."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers.postgres_server import PostgresServer

from sagalog.stores import store_for
from tests.benchmarks.captured import Change, Changes, Column, How, Table
from tests.benchmarks.databases import Database, PostgresDatabase, SQLiteDatabase
from tests.benchmarks.each_kind import floor_of
from tests.benchmarks.kinds import KINDS, Kind
from tests.benchmarks.measure import Sizes
from tests.benchmarks.plain import renamed, transactions

SAGAS = 7
TABLES = ("events", "status", "steps", "messages", "commands", "inbox", "unmatched", "attributes")

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.part for kind in KINDS])


def rows_of(database: Database) -> dict[str, list[str]]:
    """Return every row of the tables of sagas and messages, as text."""
    store = store_for(database.address)
    store.open()
    try:
        return {table: sorted(map(str, store.query(f"SELECT * FROM saga_{table}")[1])) for table in TABLES}
    finally:
        store.close()


@every_kind
def test_the_floor_leaves_the_rows_that_the_engine_left(kind: Kind, tmp_path: Path) -> None:
    captured, plain = SQLiteDatabase(tmp_path / "captured.db"), SQLiteDatabase(tmp_path / "plain.db")

    async def written_again() -> None:
        floor = await floor_of(kind, Sizes(sagas=SAGAS), captured, plain)
        floor.write(floor.ways[0])
        floor.close()

    asyncio.run(written_again())
    assert rows_of(plain) == rows_of(captured)
    assert len(rows_of(plain)["events"]) >= SAGAS


@every_kind
def test_as_many_rows_are_written_for_each_however_many_run_at_once(kind: Kind, tmp_path: Path) -> None:
    async def changes(batch: int) -> Counter[tuple[str, How]]:
        captured, plain = (SQLiteDatabase(tmp_path / f"{name}-{batch}.db") for name in ("captured", "plain"))
        floor = await floor_of(kind, Sizes(sagas=SAGAS), captured, plain, batch=batch)
        floor.close()
        found: Counter[tuple[str, How]] = Counter()
        for one in floor.statements():
            # A message that comes before the one in front of it was taken is marked, and the mark is taken away again.
            # How often that happens depends on the moment; nothing else does.
            if (one.table.name, one.how, one.set) != ("saga_inbox", "update", ["behind"]):
                found[one.table.name, one.how] += len(one.rows)
        return found

    few = asyncio.run(changes(2))
    assert few == asyncio.run(changes(SAGAS))
    assert few.total() >= SAGAS


@pytest.mark.postgres
@every_kind
def test_the_floor_leaves_them_on_postgresql_whichever_way_it_writes(
    kind: Kind, postgres_server: PostgresServer
) -> None:
    with postgres_server.database() as one, postgres_server.database() as other:
        captured, plain = PostgresDatabase(one), PostgresDatabase(other)

        async def both_ways() -> None:
            floor = await floor_of(kind, Sizes(sagas=SAGAS), captured, plain)
            arrays, rows = floor.ways
            floor.write(arrays)
            assert rows_of(plain) == rows_of(captured)
            floor.write(rows)
            floor.close()

        asyncio.run(both_ways())
        twice, once = rows_of(plain), rows_of(captured)
        assert {table: len(found) for table, found in twice.items()} == {
            table: 2 * len(found) for table, found in once.items()
        }


TABLE = Table("saga_inbox", (Column("id", "text", True), Column("due", "bigint", False), Column("name", "text", False)))


def made_of(*parts: list[Change]) -> list[list[tuple[str, list[str], list[Any]]]]:
    changes: list[Changes] = [[(TABLE, part)] for part in parts]
    return [[(one.how, one.set, one.rows) for one in transaction] for transaction in transactions(changes)]


def test_the_changes_of_one_row_stay_in_order_and_those_of_many_rows_go_together() -> None:
    first = [Change("insert", ("a", 1, "x")), Change("insert", ("b", 1, "x")), Change("update", ("a", 2, "x"))]
    later = [Change("update", ("b", 2, "x")), Change("delete", ("a", 2, "x")), Change("insert", ("a", 3, "y"))]
    assert made_of(first + later) == [
        [
            ("insert", ["id", "due", "name"], [("a", 1, "x"), ("b", 1, "x")]),
            ("update", ["due"], [(2, "a"), (2, "b")]),
            ("delete", [], [("a",)]),
            ("insert", ["id", "due", "name"], [("a", 3, "y")]),
        ]
    ]


def test_an_update_names_the_columns_that_it_changes_and_one_that_changes_none_is_made_all_the_same() -> None:
    begun = [Change("insert", ("a", 1, "x")), Change("insert", ("b", 1, "x"))]
    assert made_of(begun, [Change("update", ("a", 1, "y")), Change("update", ("b", 1, "x"))])[1] == [
        ("update", ["name"], [("y", "a"), ("x", "b")])
    ]
    assert made_of(begun, [Change("update", ("b", 1, "x"))])[1] == [("update", ["due"], [(1, "b")])]


def test_the_same_rows_are_written_for_other_sagas_in_the_next_turn() -> None:
    events = Table(
        "saga_events",
        (
            Column("originator_id", "text", True),
            Column("state", "bytea", False),
            Column("topic", "text", False),
            Column("notification_id", "bigint", False),
        ),
    )
    saga, digest = "01a22aa1-09a3-7f1a-89c2-7d625f1a7799", "83a55f99c892a6d06dbf72921e562d3f"
    row = (saga, f"key-0000-000003 {saga}".encode(), f"message:r-{digest} 30d8d606d67f65b4", 5)
    once = transactions([[(events, [Change("insert", row), Change("insert", ("other", None, "", 6))])]])
    ((same,),) = renamed(once, "key-0000", 0, "01a22aa1", "01a22aa2")
    assert same.rows[0] == row
    ((changed,),) = renamed(once, "key-0000", 3, "01a22aa1", "01a22aa2")
    later, moved = (
        "01a22aa7-09a3-7f1a-89c2-7d625f1a7799",
        f"{int(digest[:4], 16) ^ 3 * 0x9E37 % 0x10000:04x}{digest[4:]}",
    )
    assert changed.rows == [
        (later, f"key-0003-000003 {later}".encode(), f"message:r-{moved} 30d8d606d67f65b4", 5 + 3 * 2),
        ("other", None, "", 6 + 3 * 2),
    ]
