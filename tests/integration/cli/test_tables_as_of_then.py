"""The tables as of a position are those that stood there then, on both databases, while writers go on."""

import asyncio
from itertools import pairwise
from random import Random, SystemRandom

import pytest
from sagas.earlier_moments import TABLES, Moment, computed, look, orders_taken, rows_of, tables_of
from sagas.greeting import run
from sagas.read_side import build_read_side
from sagas.shop import Shop

from sagalog.cli.address import opened

ORDERS = 40
LOOKS = 12
EACH = 8


@pytest.mark.slow
def test_what_is_computed_of_a_position_is_what_the_tables_said_then(each_sql_database: str) -> None:
    """Invariant 48: tables are read while sagas of all ways run, and computed of those positions, then and later."""
    seed = SystemRandom().randrange(10**6)
    print(f"seed {seed}")

    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(each_sql_database, Random(seed), ORDERS, shop) as (_, taking):
                moments = [await asyncio.to_thread(look, each_sql_database)]
                while not taking.done():
                    await asyncio.sleep(0.03)
                    moments.append(await asyncio.to_thread(look, each_sql_database))
                    if len(moments) % EACH == 0:
                        # Writers go on meanwhile.
                        await asyncio.to_thread(compare, each_sql_database, moments[-1])
            moments.append(look(each_sql_database))
            seen = {one.position: one for one in moments}
            chosen = sorted(seen)[:: max(1, len(seen) // LOOKS)]
            assert len(chosen) > 5
            for position in [*chosen, max(seen)]:
                compare(each_sql_database, seen[position])

    run(story())


def compare(database: str, moment: Moment) -> None:
    with computed(database, ("position", moment.position)) as then:
        assert (then.position, then.troubles, then.notes) == (moment.position, [], [])
        found = tables_of(then)
    for table in TABLES:
        assert found[table] == moment.tables[table], (table, moment.position)


def test_the_tables_of_projections_are_those_of_that_moment(each_sql_database: str) -> None:
    """Invariant 43: of the end of the log they are what readers see; of a position before they hold nothing later."""

    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(each_sql_database, Random(1), 8, shop):
                pass

    run(story())
    build_read_side(each_sql_database)
    tables = ("order_desk", "money_movements", "open_sagas", "customer_history")
    with opened(each_sql_database) as live:
        head = live.head()
        seen = {table: rows_of(live.query(f"SELECT * FROM {table}")[1]) for table in tables}
        with computed(each_sql_database, ("position", head)) as then:
            assert {table: rows_of(then.store.query(f"SELECT * FROM {table}")[1]) for table in tables} == seen
        with computed(each_sql_database, ("position", head // 2)) as then:
            early = then.store.query("SELECT position FROM customer_history ORDER BY position")[1]
            every = live.query("SELECT position FROM customer_history ORDER BY position")[1]
            assert early == [row for row in every if row[0] <= then.position]
            assert 0 < len(early) < len(every)
            assert then.store.query("SELECT count(*) > 0 FROM open_sagas")[1] in ([(1,)], [(True,)])


def test_a_position_in_the_middle_of_a_decision_is_that_before_it(each_sql_database: str) -> None:
    """Nobody ever saw half of a decision. A time is that of the last event that was recorded by then."""

    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(each_sql_database, Random(2), 4, shop):
                pass

    run(story())
    with opened(each_sql_database) as live:
        log = live.query("SELECT position, saga_id, time FROM saga_history ORDER BY position")[1]
    together = [(one, two) for one, two in pairwise(log) if one[1:] == two[1:]]
    assert together
    for (first, saga_id, recorded), (second, _, _) in together[:3]:
        before = max([position for position, *rest in log if position < first and tuple(rest) != (saga_id, recorded)])
        with computed(each_sql_database, ("position", first)) as then:
            assert then.position == before
        with computed(each_sql_database, ("position", second)) as then:
            assert then.position in (second, before)
    recorded = log[len(log) // 2][2]
    later = next(row[0] for row in log if row[2] > recorded)
    with computed(each_sql_database, ("time", recorded)) as then:
        assert (then.time, then.position) == (recorded, max(row[0] for row in log if row[0] < later))
    with computed(each_sql_database, ("time", log[0][2] - 1)) as then:
        assert (then.position, then.store.query("SELECT * FROM saga_status")[1]) == (0, [])
