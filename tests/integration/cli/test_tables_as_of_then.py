"""The tables as of a position are those that stood there then, on both databases, while writers go on."""

import asyncio
from random import Random, SystemRandom

import pytest
from sagas.earlier_moments import TABLES, computed, look, orders_taken, tables_of
from sagas.greeting import run
from sagas.shop import Shop

ORDERS = 40
LOOKS = 12


@pytest.mark.slow
def test_what_is_computed_of_a_position_is_what_the_tables_said_then(each_sql_database: str) -> None:
    """Invariants 48 and 54: tables are read while sagas of all ways run, and computed of the same positions later."""
    seed = SystemRandom().randrange(10**6)
    print(f"seed {seed}")

    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(each_sql_database, Random(seed), ORDERS, shop) as (_, taking):
                moments = [await asyncio.to_thread(look, each_sql_database)]
                while not taking.done():
                    await asyncio.sleep(0.03)
                    moments.append(await asyncio.to_thread(look, each_sql_database))
            moments.append(look(each_sql_database))
            seen = {one.position: one for one in moments}
            chosen = sorted(seen)[:: max(1, len(seen) // LOOKS)]
            assert len(chosen) > 5
            for position in [*chosen, max(seen)]:
                with computed(each_sql_database, ("position", position)) as then:
                    assert (then.position, then.troubles, then.notes) == (position, [], [])
                    found = tables_of(then)
                for table in TABLES:
                    assert found[table] == seen[position].tables[table], (table, position)

    run(story())
