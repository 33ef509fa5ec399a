"""What readers would lose by a rebuild, a switch or the way back is said first, and done only if that is wanted."""

import asyncio
from collections.abc import Callable

import pytest
from databases.stores import opened
from read_models.order_book import BOOK, Order, asked, caught_up, following, order_book, sold, sulking

from sagalog.engine.projections import generations
from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import back, begin, ensure, resume, switch
from sagalog.engine.projections.lanes import rebuild_lane
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import DefinitionError, InvalidAction
from sagalog.testing.clock import FakeClock

COUNT = "SELECT count(*) FROM orders"


@pytest.fixture
def sold_database(each_sql_database: str) -> str:
    """The address of a database with three sagas that have ended."""
    asyncio.run(sold(each_sql_database, [Order("o-0"), Order("o-1"), Order("o-2")]))
    return each_sql_database


def built(projecting: Projecting, generation: int) -> None:
    projecting.build(generation, projecting.store.head())


def test_sql_that_has_changed_without_a_new_version_rebuilds_nothing(sold_database: str) -> None:
    """Invariant 45: neither beside what readers see, where it would be switched to, nor in place."""
    with opened(sold_database) as store:
        with following(order_book(), store) as projecting:
            ensure(projecting)
            caught_up(projecting)
        changed = order_book(sql=BOOK.replace("reason TEXT,", "reason TEXT, remark TEXT,"))
        with following(changed, store) as projecting:
            actions: list[Callable[[Projecting], object]] = [begin, verify, lambda one: rebuild_lane(one, "any")]
            for action in actions:
                with pytest.raises(DefinitionError, match="give it a new version="):
                    action(projecting)
    assert asked(sold_database, "SELECT count(*) FROM saga_projections") == [(1,)]


def test_rows_that_could_not_be_built_are_not_taken_from_readers(sold_database: str) -> None:
    bad: set[str | None] = set()

    clock = FakeClock()
    with opened(sold_database) as store, following(order_book(sulking(bad)), store, clock=clock) as projecting:
        ensure(projecting)
        caught_up(projecting)
        bad.add("o-1")
        row = begin(projecting)
        built(projecting, row.generation)
        with pytest.raises(InvalidAction, match=r"could not handle events of 1 sagas .*in a bad mood.* switch anyway"):
            switch(projecting)
        assert asked(sold_database, COUNT) == [(3,)]
        assert switch(projecting, anyway=True).after.generation == row.generation
        assert asked(sold_database, COUNT) == [(2,)]
        back(projecting)
        bad.clear()
        resume(projecting)
        clock.advance(2)
        projecting.turn(row.generation)
        back(projecting)
        assert asked(sold_database, COUNT) == [(3,)]


def test_the_way_back_to_another_version_that_is_behind_is_taken_only_by_who_wants_it(sold_database: str) -> None:
    """Readers never go back in time unless a person says so."""
    with (
        opened(sold_database) as store,
        following(order_book(), store) as old,
        following(order_book(version=2), store) as new,
    ):
        ensure(old)
        caught_up(old)
        row = ensure(new)
        assert row is not None
        built(new, row.generation)
        switch(new)
        asyncio.run(sold(sold_database, [Order("later")]))
        caught_up(new, row.generation)
        with pytest.raises(InvalidAction, match=r"version 1\) is at 12, and readers see 16: they would go back"):
            back(new)
        assert asked(sold_database, COUNT) == [(4,)]
        assert back(new, anyway=True).after.version == 1
        assert asked(sold_database, COUNT) == [(3,)]


def test_the_last_error_stays_while_its_event_waits(sold_database: str) -> None:
    """Invariant 48: events that only wait behind it say nothing of their own."""
    with opened(sold_database) as store, following(order_book(sulking({"o-1"}), batch=1), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        asyncio.run(sold(sold_database, [Order("later")]))
        caught_up(projecting)
        with projecting.database.reading() as transaction:
            [row] = transaction.generations("orders")
            assert len(transaction.parked("orders", 1)) == 4
    assert (row.failures, row.error_type, row.error_text) == (1, "ValueError", "in a bad mood")


def test_what_is_far_behind_is_brought_up_before_the_way_back(
    sold_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last events are handed over while others wait."""
    monkeypatch.setattr(generations, "MOST_AT_A_SWITCH", 2)
    with opened(sold_database) as store, following(order_book(batch=3), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        row = begin(projecting)
        built(projecting, row.generation)
        switch(projecting)
        asyncio.run(sold(sold_database, [Order("later"), Order("last")]))
        caught_up(projecting, row.generation)
        assert back(projecting).after.position == store.head()
    assert asked(sold_database, COUNT) == [(5,)]
