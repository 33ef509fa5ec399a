"""One saga of a projection is rebuilt in place: its rows are taken out and written anew, and no others are touched."""

import asyncio
from contextlib import suppress
from threading import Event, Thread

import pytest
from databases.stores import opened
from msgspec.structs import replace
from read_models.order_book import Order, asked, caught_up, following, order_book, sell, sold, sulking

from sagalog.engine.projections import lanes
from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import begin, ensure, switch
from sagalog.engine.projections.lanes import rebuild_lane
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import InvalidAction
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaCompleted, SagaHappening, Tables
from sagalog.store import Store

THREE = [Order("o-0"), Order("o-1", refused=True), Order("o-2")]
ORDERS = "SELECT order_id, status, steps, position FROM orders ORDER BY order_id"


def lane_of(store: Store, key: str) -> str:
    return store.sagas_by_key("sell", [key])[key].correlation_id


def spoil(projecting: Projecting, *statements: str) -> None:
    with projecting.database.transaction() as transaction:
        for one in statements:
            transaction.rows(one, {})


def test_its_rows_are_those_of_the_log_again_and_others_stay_as_they_are(each_sql_database: str) -> None:
    """Invariant 43: what somebody has spoilt of one saga is as the log says, in every table."""
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        good = asked(each_sql_database, ORDERS)
        spoil(
            projecting,
            "UPDATE orders_g1 SET status = 'spoilt'",
            "INSERT INTO money_g1 VALUES (99999, 'o-1', 7)",
            "DELETE FROM money_g1 WHERE order_id = 'o-1' AND cents < 0",
        )
        rebuilt = rebuild_lane(projecting, lane_of(store, "o-1"))
        assert (rebuilt.events, rebuilt.row.position) == (4, store.head())
        found = asked(each_sql_database, ORDERS)
        assert found[1] == good[1]
        assert [status for _, status, *_ in found] == ["spoilt", "failed", "spoilt"]
        for key in ("o-0", "o-2"):
            rebuild_lane(projecting, lane_of(store, key))
        assert asked(each_sql_database, ORDERS) == good
        assert verify(projecting).differences == []


def test_what_is_parked_is_handed_over_with_the_rest(each_sql_database: str) -> None:
    bad = {"o-1"}

    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(sulking(bad)), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with pytest.raises(InvalidAction, match="is as it was: ValueError: in a bad mood"):
            rebuild_lane(projecting, lane_of(store, "o-1"))
        with projecting.database.reading() as transaction:
            assert len(transaction.parked("orders", 1)) == 4
        bad.clear()
        mended = rebuild_lane(projecting, lane_of(store, "o-1"))
        assert (mended.events, mended.row.failures, mended.row.error_text) == (4, 0, None)
        with projecting.database.reading() as transaction:
            assert transaction.parked("orders", 1) == []
        caught_up(projecting)
        assert verify(projecting).differences == []


def test_only_what_readers_see_is_rebuilt_and_only_up_to_there(each_sql_database: str) -> None:
    """Events that the projection has not read are left to its turns, and are handed over once."""
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(batch=1), store) as projecting:
        ensure(projecting)
        rebuilt = 0
        for position in range(1, store.head() + 1):
            projecting.turn(1)
            for one in THREE:
                with suppress(InvalidAction):
                    assert rebuild_lane(projecting, lane_of(store, one.order_id)).row.position == position
                    rebuilt += 1
            assert verify(projecting).differences == []
        assert rebuilt > store.head()
        # A second generation begins in the middle of the log: what was before is none of its business.
        later = begin(projecting, begins_after=store.head() - 1)
        projecting.build(later.generation, store.head())
        switch(projecting)
        with pytest.raises(InvalidAction, match="has no event of correlation id"):
            rebuild_lane(projecting, lane_of(store, "o-0"))


def test_it_is_refused_without_a_way_to_take_rows_out_and_for_what_the_log_has_not(each_sql_database: str) -> None:
    plain = Projection("plain", sql="CREATE TABLE {plain} (saga_id TEXT NOT NULL);")

    @plain.on
    def ended(_: SagaCompleted, metadata: Metadata, tables: Tables) -> None:
        tables.execute("INSERT INTO {plain} VALUES (:id)", {"id": metadata.saga_id})

    asyncio.run(sold(each_sql_database, THREE[:1]))
    with opened(each_sql_database) as store:
        with following(plain, store) as projecting:
            ensure(projecting)
            with pytest.raises(InvalidAction, match=r"declare that with @....forget, or rebuild all of it"):
                rebuild_lane(projecting, lane_of(store, "o-0"))
        with following(order_book(), store) as projecting:
            with pytest.raises(InvalidAction, match="expected projection orders version 1 to be live, found none"):
                rebuild_lane(projecting, lane_of(store, "o-0"))
            ensure(projecting)
            caught_up(projecting)
            with pytest.raises(InvalidAction, match="has no event of correlation id nothing"):
                rebuild_lane(projecting, "nothing")


@pytest.mark.parametrize("on_failure", ["park", "stop"])
@pytest.mark.parametrize("what", ["taking out", "handing over"])
def test_a_failure_of_it_changes_nothing(each_sql_database: str, what: str, on_failure: str) -> None:
    """Readers keep the rows that they have, whatever the projection does about a failure otherwise."""
    bad = False

    def trouble(metadata: Metadata, tables: Tables) -> None:
        if bad and what == "handing over":
            tables.run("move", order_id="half", cents=1, position=metadata.position)
            raise ValueError("in a bad mood")

    book = order_book(trouble, on_failure=on_failure)

    @book.forget
    def ended(_: SagaHappening, __: Metadata, ___: Tables) -> None:
        if bad and what == "taking out":
            raise ValueError("in a bad mood")

    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(book, store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        bad = True
        with pytest.raises(InvalidAction, match="is as it was: ValueError: in a bad mood"):
            rebuild_lane(projecting, lane_of(store, "o-1"))
        bad = False
        assert verify(projecting).differences == []


def test_an_event_that_is_not_in_the_tables_is_not_taken_out(each_sql_database: str) -> None:
    """So a table that sums up can be rebuilt too, with a handler that takes away what another has added."""
    bad = {"o-1"}
    sums = Projection(
        "sums",
        sql="CREATE TABLE {sums} (ended BIGINT NOT NULL);\n\n-- name: add\nUPDATE {sums} SET ended = ended + :more;",
    )

    @sums.on
    def ended(_: SagaHappening, metadata: Metadata, tables: Tables) -> None:
        if metadata.key in bad:
            raise ValueError("in a bad mood")
        tables.run("add", more=1)

    @sums.forget
    def forgotten(_: SagaHappening, __: Metadata, tables: Tables) -> None:
        tables.run("add", more=-1)

    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(sums, store) as projecting:
        ensure(projecting)
        spoil(projecting, "INSERT INTO sums_g1 VALUES (0)")
        caught_up(projecting)
        [(others,)] = asked(each_sql_database, "SELECT ended FROM sums")
        for _ in range(2):
            rebuild_lane(projecting, lane_of(store, "o-0"))
            assert asked(each_sql_database, "SELECT ended FROM sums") == [(others,)]
        bad.clear()
        rebuild_lane(projecting, lane_of(store, "o-1"))
        [(every,)] = asked(each_sql_database, "SELECT ended FROM sums")
        assert every > others
        rebuild_lane(projecting, lane_of(store, "o-1"))
        assert asked(each_sql_database, "SELECT ended FROM sums") == [(every,)]


def test_a_lane_of_which_nothing_is_taken_out_is_refused(each_sql_database: str) -> None:
    """Its rows would be there twice."""
    book = order_book(forgets=False)

    @book.forget(saga="another")
    def forgotten(_: SagaHappening) -> None: ...

    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(book, store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with pytest.raises(InvalidAction, match=r"takes out no event of correlation id .*; declare that with"):
            rebuild_lane(projecting, lane_of(store, "o-1"))
        assert verify(projecting).differences == []


def test_a_lane_that_others_would_wait_for_too_long_is_refused(
    each_sql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MOST_OF_A_LANE", 3)
    asyncio.run(sold(each_sql_database, THREE))
    with opened(each_sql_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with pytest.raises(InvalidAction, match=r"4 events of projection orders have correlation id .*more than 3"):
            rebuild_lane(projecting, lane_of(store, "o-1"))


def test_where_it_has_stopped_is_still_told(each_sql_database: str) -> None:
    """Invariant 48: the rebuild of another saga mends nothing of the event at which it stands."""
    bad = {"o-2"}

    asyncio.run(sold(each_sql_database, THREE))
    book = order_book(sulking(bad), on_failure="stop", batch=1)
    with opened(each_sql_database) as store, following(book, store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with projecting.database.reading() as transaction:
            before = transaction.generations("orders")[0]
        assert before.failed_position is not None
        after = rebuild_lane(projecting, lane_of(store, "o-0")).row
        assert after == replace(before, updated_at=after.updated_at)


@pytest.mark.parametrize("inline", [False, True])
def test_readers_see_its_rows_at_every_moment_while_sagas_run(each_sql_database: str, inline: bool) -> None:
    """Invariant 45: each look sees all rows of the order, and what runs meanwhile is in the tables once."""
    book = order_book(inline=inline)
    stop = Event()
    looks: list[list[tuple[object, ...]]] = []

    def look() -> None:
        while not stop.is_set():
            looks.append(asked(each_sql_database, "SELECT status, steps FROM orders WHERE order_id = 'o-1'"))

    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[book]) as manager:
            for one in THREE:
                await (await manager.start(sell, one)).result(timeout=20)
            await manager.caught_up("orders")
            looking = Thread(target=look)
            looking.start()
            try:
                runs = [await manager.start(sell, Order(f"more-{number}")) for number in range(30)]
                with following(book, manager.store) as projecting:
                    for _ in range(20):
                        await asyncio.to_thread(rebuild_lane, projecting, lane_of(manager.store, "o-1"))
                for run in runs:
                    await run.result(timeout=20)
            finally:
                stop.set()
                looking.join()
            await manager.caught_up("orders")

    asyncio.run(story())
    assert looks
    assert [one for one in looks if one != [("failed", 0)]] == []
    with opened(each_sql_database) as store, following(book, store) as projecting:
        caught_up(projecting)
        compared = verify(projecting)
        assert (compared.differences, compared.rows > 60) == ([], True)
