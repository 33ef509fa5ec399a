"""Rebuilding beside what readers see: switched, switched back, a new version beside the old one, what is refused."""

import asyncio
from typing import Any

import pytest
from databases.stores import opened
from read_models.order_book import Order, asked, caught_up, following, order_book, sold

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import back, begin, ensure, remove, switch
from sagalog.errors import DefinitionError, InvalidAction
from sagalog.projections import Metadata, Projection, SagaStarted, Tables

FIVE = [Order(f"o-{number}") for number in range(5)]
NEW = """
CREATE TABLE {orders} (
    order_id TEXT NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
);

-- name: start
INSERT INTO {orders} VALUES (:order_id, 'new');
"""


def second_version(sql: str = NEW, version: int = 2) -> Projection:
    book = Projection("orders", sql=sql, version=version)

    @book.on
    def started(event: SagaStarted, metadata: Metadata, tables: Tables) -> None:
        tables.run("start", order_id=metadata.key)

    return book


@pytest.fixture
def sold_database(each_sql_database: str) -> str:
    """The address of a database with five sagas that have ended."""
    asyncio.run(sold(each_sql_database, FIVE))
    return each_sql_database


def test_a_rebuild_that_was_interrupted_goes_on_where_it_was(sold_database: str) -> None:
    with opened(sold_database) as store:
        with following(order_book(batch=3), store) as projecting:
            ensure(projecting)
            caught_up(projecting)
            row = begin(projecting)
            projecting.turn(row.generation)
            assert projecting.turn(row.generation).row == begin(projecting)
        with following(order_book(batch=3), store) as projecting:
            again = begin(projecting)
            assert (again.generation, again.position) == (2, 6)
            assert begin(projecting, anew=True).generation == 3
            assert begin(projecting, anew=True).position == 0


def test_readers_see_the_old_rows_until_it_is_switched_and_again_after_the_way_back(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with projecting.database.transaction() as transaction:
            # Somebody has changed a row by hand, which a rebuild mends.
            transaction.rows("UPDATE orders_g1 SET reason = 'by hand' WHERE order_id = 'o-3'", {})
        assert [(one.what, one.row["reason"]) for one in verify(projecting).differences] == [
            ("too much", "by hand"),
            ("missing", None),
        ]
        row = begin(projecting)
        caught_up(projecting, row.generation)
        changed = "SELECT count(*) FROM orders WHERE reason = 'by hand'"
        assert asked(sold_database, changed) == [(1,)]
        assert switch(projecting).after.generation == row.generation
        assert asked(sold_database, changed) == [(0,)]
        assert verify(projecting).differences == []
        assert back(projecting).after.generation == 1
        assert asked(sold_database, changed) == [(1,)]


def test_the_way_back_leads_to_the_same_moment(sold_database: str) -> None:
    """Readers never go back in time, also if nobody has kept the old generation up."""
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        row = begin(projecting)
        caught_up(projecting, row.generation)
        switch(projecting)
        asyncio.run(sold(sold_database, [Order("later")]))
        caught_up(projecting, row.generation)
        went = back(projecting)
        assert (went.after.generation, went.after.position) == (1, store.head())
        assert asked(sold_database, "SELECT status FROM orders WHERE order_id = 'later'") == [("completed",)]
        assert verify(projecting).differences == []


def test_a_new_version_is_built_beside_the_old_one_and_both_go_on(sold_database: str) -> None:
    with opened(sold_database) as store:
        with following(order_book(), store) as old, following(second_version(), store) as new:
            ensure(old)
            caught_up(old)
            made = ensure(new)
            assert made is not None
            assert (made.generation, made.version, made.status) == (2, 2, "building")
            caught_up(new, 2)
            asyncio.run(sold(sold_database, [Order("o-9")]))
            caught_up(old)
            caught_up(new, 2)
            assert asked(sold_database, "SELECT count(*), max(status) FROM orders") == [(6, "completed")]
            switch(new)
            assert asked(sold_database, "SELECT count(*), max(note) FROM orders") == [(6, "new")]
            asyncio.run(sold(sold_database, [Order("o-10")]))
            caught_up(old)
            caught_up(new, 2)
            back(new)
            assert asked(sold_database, "SELECT count(*), max(status) FROM orders") == [(7, "completed")]
        # What the new version lacks was gone meanwhile, and is there again.
        assert asked(sold_database, "SELECT count(*) FROM balances") == [(7,)]


def test_whoever_rebuilds_one_version_leaves_what_is_built_of_another_alone(sold_database: str) -> None:
    with (
        opened(sold_database) as store,
        following(order_book(), store) as old,
        following(second_version(), store) as new,
    ):
        ensure(old)
        caught_up(old)
        ensure(new)
        assert begin(old).generation == 3
        assert begin(new).generation == 2
        caught_up(old, 3)
        assert switch(old).after.generation == 3
        assert switch(new).after.generation == 2
        with pytest.raises(InvalidAction, match="no generation of projection orders is being built"):
            switch(old)
        begin(new)
        with pytest.raises(InvalidAction, match="generation 4 of projection orders is of version 2, and this app has"):
            switch(old)


def test_the_first_generation_can_be_built_by_a_person_too(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        row = begin(projecting)
        assert (row.generation, row.status) == (1, "live")
        assert projecting.build(1, store.head()).position == store.head()
    assert asked(sold_database, "SELECT count(*) FROM orders") == [(5,)]


def test_a_generation_that_is_gone_cannot_be_built(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        row = begin(projecting)
        remove(projecting, row.generation)
        with pytest.raises(InvalidAction, match="generation 2 of orders was removed meanwhile"):
            projecting.build(row.generation, store.head())


def test_a_view_that_the_new_version_does_not_have_goes_with_the_switch(sold_database: str) -> None:
    with (
        opened(sold_database) as store,
        following(order_book(), store) as old,
        following(second_version(), store) as new,
    ):
        ensure(old)
        caught_up(old)
        ensure(new)
        caught_up(new, 2)
        switch(new)
        with pytest.raises(Exception, match="balances"):
            asked(sold_database, "SELECT count(*) FROM balances")


def test_an_old_generation_can_be_removed_and_the_live_one_cannot(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        row = begin(projecting)
        caught_up(projecting, row.generation)
        switch(projecting)
        with pytest.raises(InvalidAction, match="generation 2 of projection orders is what readers see"):
            remove(projecting, 2)
        remove(projecting, 1)
        with pytest.raises(InvalidAction, match="no earlier generation to go back to"):
            back(projecting)
        with pytest.raises(InvalidAction, match="no generation 1"):
            remove(projecting, 1)
        with pytest.raises(Exception, match="orders_g1"):
            asked(sold_database, "SELECT * FROM orders_g1")
        assert asked(sold_database, "SELECT count(*) FROM orders") == [(5,)]
        # Nobody may take another generation for the one that is gone.
        assert begin(projecting).generation == 3
        assert verify(projecting).differences == verify(projecting).differences == []


def test_a_generation_from_a_position_has_only_what_came_after_it(sold_database: str) -> None:
    asyncio.run(sold(sold_database, [Order("late")]))
    with opened(sold_database) as store, following(second_version(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        late = store.read(store.sagas_by_key("sell", ["late"])["late"].saga_id)[0].position
        row = begin(projecting, begins_after=late - 1)
        caught_up(projecting, row.generation)
        switch(projecting)
        assert asked(sold_database, "SELECT order_id FROM orders") == [("late",)]
        assert verify(projecting).differences == []


def test_what_is_far_behind_cannot_be_switched(sold_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagalog.engine.projections.generations.MOST_AT_A_SWITCH", 3)
    with opened(sold_database) as store, following(order_book(batch=1), store) as projecting:
        with pytest.raises(InvalidAction, match="no generation of projection orders is being built"):
            switch(projecting)
        ensure(projecting)
        caught_up(projecting)
        begin(projecting)
        with pytest.raises(InvalidAction, match="is still being built: it is at position 0, and readers see 20"):
            switch(projecting)


WRONG: list[tuple[str, Any]] = [
    (
        "CREATE TABLE {orders} (order_id TEXT, CONSTRAINT);\n-- name: start\nINSERT INTO {orders} VALUES (:order_id);",
        "syntax",
    ),
    (
        "CREATE TABLE {orders} (order_id nothing.here);\n-- name: start\nINSERT INTO {orders} VALUES (:order_id);",
        "in: CREATE TABLE",
    ),
]


@pytest.mark.parametrize(("sql", "said"), WRONG)
def test_sql_that_cannot_be_run_is_told_and_changes_nothing(sold_database: str, sql: str, said: str) -> None:
    with opened(sold_database) as store, following(second_version(sql), store) as projecting:
        with pytest.raises(DefinitionError, match=said):
            ensure(projecting)
        with projecting.database.reading() as transaction:
            assert transaction.generations() == []
        assert asked(sold_database, "SELECT count(*) FROM saga_status") == [(5,)]


def test_other_sql_without_a_new_version_is_refused(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as old:
        ensure(old)
        told = pytest.raises(DefinitionError, match="version 1 was made by other SQL than projection orders has now")
        with following(second_version(version=1), store) as changed, told:
            ensure(changed)


def test_an_old_version_is_not_built_when_a_newer_one_is_there(sold_database: str) -> None:
    with (
        opened(sold_database) as store,
        following(second_version(), store) as new,
        following(order_book(), store) as old,
    ):
        ensure(new)
        assert ensure(old) is None
