"""A projection's rows are those that the log gives, however it was read; on each database with SQL."""

import asyncio
import random

import pytest
from databases.stores import opened
from read_models.order_book import Order, asked, caught_up, following, order_book, sell, sold

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import begin, ensure, switch
from sagalog.errors import WaitTimeout
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaHappening, Tables

TIMES = 1_000


def orders_of(seed: int, number: int) -> list[Order]:
    """Return orders of which a third are refused."""
    chance = random.Random(seed)
    return [Order(f"o-{n}", chance.randrange(1, 500), chance.random() < 0.3) for n in range(number)]


def test_a_projection_has_a_row_for_each_order_as_it_ended(each_sql_database: str) -> None:
    given = orders_of(1, 30)
    asyncio.run(sold(each_sql_database, given))
    with opened(each_sql_database) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        compared = verify(projecting)
    expected = [
        (one.order_id, "failed" if one.refused else "completed", 0 if one.refused else 2)
        for one in sorted(given, key=lambda one: one.order_id)
    ]
    assert asked(each_sql_database, "SELECT order_id, status, steps FROM orders ORDER BY order_id") == expected
    balances = dict(asked(each_sql_database, "SELECT order_id, cents FROM balances"))
    assert balances == {one.order_id: 0 if one.refused else one.cents for one in given}
    assert (compared.differences, compared.rows) == ([], 30 + 30 + sum(one.refused for one in given))


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 500])
def test_rows_are_the_same_for_any_size_of_batch(each_sql_database: str, batch: int) -> None:
    """Invariant 45: a rebuild gives the rows of incremental running, for any batch size."""
    asyncio.run(sold(each_sql_database, orders_of(2, 10)))
    with opened(each_sql_database) as store:
        with following(order_book(), store) as live:
            ensure(live)
            caught_up(live)
        with following(order_book(batch=batch), store) as again:
            row = begin(again)
            caught_up(again, row.generation)
            left = asked(each_sql_database, "SELECT * FROM orders_g1 ORDER BY 1")
            assert left == asked(each_sql_database, f"SELECT * FROM orders_g{row.generation} ORDER BY 1")
            assert len(left) == 10


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_saga_that_was_forgotten_is_asked_for_again(
    each_sql_database: str, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Invariant 45: more sagas than are remembered, some of the very page for which the others are forgotten."""
    asyncio.run(sold(each_sql_database, orders_of(5, 20)))
    monkeypatch.setattr("sagalog.engine.projections.reading.MOST_REMEMBERED", most)
    with opened(each_sql_database) as store, following(order_book(batch=3), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
    assert asked(each_sql_database, "SELECT count(*) FROM orders WHERE status IN ('completed', 'failed')") == [(20,)]
    assert asked(each_sql_database, "SELECT count(*) FROM balances") == [(20,)]


def test_while_nothing_fails_each_event_is_handed_over_once(each_sql_database: str) -> None:
    """A handler may read what it wrote before, in the same batch, without the batch being taken back."""
    handed: list[int] = []

    def note(metadata: Metadata, _: Tables) -> None:
        handed.append(metadata.position)

    asyncio.run(sold(each_sql_database, orders_of(4, 20)))
    with opened(each_sql_database) as store, following(order_book(note), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
    assert handed == sorted(set(handed))
    assert len(handed) > 60


def test_each_event_is_told_with_its_place_its_saga_and_its_causes(each_sql_database: str) -> None:
    """Invariant 47: what a row is made of carries its position and time."""
    told: list[tuple[SagaHappening, Metadata]] = []
    log = Projection("log", sql="CREATE TABLE {log} (position BIGINT PRIMARY KEY)")

    @log.on
    def heard(event: SagaHappening, metadata: Metadata, tables: Tables) -> None:
        told.append((event, metadata))
        tables.execute("INSERT INTO {log} VALUES (:position)", {"position": metadata.position})

    asyncio.run(sold(each_sql_database, [Order("o-1", refused=True)]))
    with opened(each_sql_database) as store, following(log, store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        stored = store.read_log(0, 100)
        status = store.sagas_by_key("sell", ["o-1"])["o-1"]
    assert [type(event).__name__ for event, _ in told] == [
        "SagaStarted",
        "StepSucceeded",
        "StepFailed",
        "CompensationStarted",
        "StepCompensated",
        "SagaFailed",
    ]
    for (_, metadata), one in zip(told, stored, strict=True):
        assert (metadata.position, metadata.saga_id, metadata.saga, metadata.key, metadata.run) == (
            one.position,
            status.saga_id,
            "sell",
            "o-1",
            1,
        )
        assert metadata.id == f"{status.saga_id}:{one.version}"
        assert (metadata.correlation_id, metadata.causation_id) == (status.correlation_id, None)
    assert told[0][1].time == status.started_at
    assert [row[0] for row in asked(each_sql_database, "SELECT position FROM log ORDER BY 1")] == [1, 2, 3, 4, 5, 6]


def test_a_user_sees_what_they_have_written(each_sql_database: str) -> None:
    """A thousand times: started, waited for, there. A third of them wait for a position of their own."""

    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[order_book()]) as manager:
            for number in range(TIMES):
                run = await manager.start(sell, Order(f"o-{number}"))
                position = (await manager.status(run.id)).position if number % 3 == 0 else None
                reached = await manager.caught_up("orders", position)
                assert position is None or reached >= position
                found = await asyncio.to_thread(
                    asked, each_sql_database, f"SELECT order_id FROM orders WHERE order_id = 'o-{number}'"
                )
                assert found == [(f"o-{number}",)], number

    asyncio.run(story())


def test_whoever_waits_for_a_projection_in_vain_is_told_where_it_is(each_sql_database: str) -> None:
    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[order_book()]) as manager:
            await manager.execute(sell, Order("o-1"))
            await manager.caught_up("orders")
            with pytest.raises(WaitTimeout, match=r"projection orders has not reached position 99 .* it is at 4"):
                await manager.caught_up("orders", 99, timeout=0.05)

    asyncio.run(story())


def test_another_process_that_only_asks_can_wait_too(each_sql_database: str) -> None:
    async def story() -> None:
        asking = ProcessManager(each_sql_database, sagas=[sell], projections=[order_book()], worker=False)
        async with (
            ProcessManager(each_sql_database, sagas=[sell], projections=[order_book()]) as manager,
            asking,
        ):
            await manager.execute(sell, Order("o-1"))
            assert await asking.caught_up("orders") == 4

    asyncio.run(story())


def test_a_switch_happens_at_one_position(each_sql_database: str) -> None:
    """What was built is brought up to where readers are in the transaction that shows it: nobody sees time go back."""
    asyncio.run(sold(each_sql_database, orders_of(3, 5)))
    with opened(each_sql_database) as store, following(order_book(batch=2), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        row = begin(projecting)
        projecting.turn(row.generation)
        switched = switch(projecting)
        assert switched.before is not None
        assert (switched.before.generation, switched.after.generation) == (1, 2)
        assert switched.after.position == switched.before.position == store.head()
    assert asked(each_sql_database, "SELECT count(*) FROM orders") == [(5,)]
