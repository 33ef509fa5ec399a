"""The views of a projection replace nothing of anybody else, and show only tables that are there."""

import asyncio

import pytest
from databases.stores import opened
from read_models.order_book import BOOK, Order, asked, caught_up, following, order_book, sold

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import back, begin, ensure, remove, switch
from sagalog.errors import DefinitionError, InvalidAction
from sagalog.projections import Projection, SagaCompleted
from sagalog.projections.schema import read_sql


@pytest.fixture
def sold_database(each_sql_database: str) -> str:
    """The address of a database with two sagas that have ended."""
    asyncio.run(sold(each_sql_database, [Order("o-0"), Order("o-1")]))
    return each_sql_database


def keeping(name: str, *tables: str) -> Projection:
    found = Projection(name, sql="\n".join(f"CREATE TABLE {{{one}}} (saga_id TEXT);" for one in tables))

    @found.on
    def ended(_: SagaCompleted) -> None: ...

    return found


def test_the_names_of_sagalog_are_refused() -> None:
    """Invariant 52: what auditors ask stays what it is."""
    for name in ("saga_history", "SAGA_status", "saga_mine"):
        with pytest.raises(DefinitionError, match=f"expected a name of your own, found {name}"):
            read_sql(f"CREATE TABLE {{{name}}} (id TEXT);", "orders.sql")


@pytest.mark.parametrize("kind", ["VIEW", "TABLE"])
def test_what_somebody_else_has_is_not_replaced(sold_database: str, kind: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        with projecting.database.transaction() as transaction:
            transaction.rows(f"CREATE {kind} balances AS SELECT 7 AS mine", {})
        with pytest.raises(DefinitionError, match="expected nothing called balances in the database"):
            ensure(projecting)
        with projecting.database.reading() as transaction:
            assert transaction.generations() == []
    assert asked(sold_database, "SELECT mine FROM balances") == [(7,)]


def test_two_projections_do_not_share_a_name(sold_database: str) -> None:
    """Neither at once, nor later, when one of them has let it go."""
    with (
        opened(sold_database) as store,
        following(keeping("one", "same", "mine"), store) as one,
        following(keeping("two", "same", "yours"), store) as two,
    ):
        ensure(one)
        with pytest.raises(DefinitionError, match="expected nothing called same in the database"):
            ensure(two)
        again = begin(one)
        one.build(again.generation, store.head())
        switch(one)
        remove(one, 1)
        with pytest.raises(DefinitionError, match="expected nothing called same in the database"):
            ensure(two)


def test_a_name_that_sql_reserves_is_told(sold_database: str) -> None:
    for name in ("order", "select"):
        with opened(sold_database) as store, following(keeping("book", name), store) as projecting:
            with pytest.raises(InvalidAction, match="or have a name that SQL reserves"):
                ensure(projecting)
            with projecting.database.reading() as transaction:
                assert transaction.generations() == []


def generations(database: str) -> list[tuple[object, ...]]:
    return asked(database, "SELECT generation, status FROM saga_projections ORDER BY generation")


def test_tables_that_are_gone_are_not_shown(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        built = begin(projecting)
        projecting.build(built.generation, store.head())
        switch(projecting)
        built = begin(projecting)
        projecting.build(built.generation, store.head())
        before = generations(sold_database)
        with projecting.database.transaction() as transaction:
            transaction.rows(f"DROP VIEW balances_g{built.generation}", {})
            transaction.rows("DROP VIEW balances_g1", {})
        for action in (switch, back):
            with pytest.raises(InvalidAction, match="its tables may be gone"):
                action(projecting)
        assert generations(sold_database) == before
        assert len(asked(sold_database, "SELECT * FROM balances")) == 2


def test_a_rebuild_begins_where_the_log_has_been(sold_database: str) -> None:
    """Invariant 45: what is built from a position to come misses all that comes before, and nobody knows."""
    with opened(sold_database) as store, following(order_book(sql=BOOK), store) as projecting:
        ensure(projecting)
        for position in (store.head() + 1, 10**30):
            with pytest.raises(InvalidAction, match="expected a position up to 8, where the log ends"):
                begin(projecting, begins_after=position)
        assert begin(projecting, begins_after=store.head()).begins_after == store.head()


def test_what_mends_a_table_that_is_gone_is_told(sold_database: str) -> None:
    with opened(sold_database) as store, following(order_book(sql=BOOK), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with projecting.database.transaction() as transaction:
            transaction.rows("DROP VIEW balances", {})
            transaction.rows("DROP VIEW balances_g1", {})
            transaction.rows("DROP VIEW money", {})
            transaction.rows("DROP TABLE money_g1", {})
        with pytest.raises(InvalidAction, match="is gone or has been changed: build it anew with"):
            verify(projecting)
