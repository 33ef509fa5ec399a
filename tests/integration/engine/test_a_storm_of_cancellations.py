"""A handler that cancels every task of the loop, at any moments, keeps nothing from its right end."""

import asyncio
from collections import Counter

import pytest
from followed.bookshop import Bookshop, bookshop
from lab.storm import LONGEST, SETTINGS, Ledger, Storm, Voyage, process, served, until

from sagalog.store import Query, Store, UnmatchedQuery
from sagalog.stores import store_for

VOYAGES = range(1, 10)


def ended(store: Store) -> dict[str, str]:
    rows = store.find(Query(limit=1000))
    return {f"{row.saga_name} {row.saga_key}": row.status for row in rows if row.saga_name in ("voyage", "storm")}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pause", [0.03, 0.3], ids=["often", "seldom"])
def test_everything_comes_to_its_right_end_and_nothing_known_is_done_twice(
    each_database: str | Store, seed: int, pause: float
) -> None:
    store = store_for(each_database, SETTINGS.store_options()) if isinstance(each_database, str) else each_database
    ledger = Ledger()
    expected = {f"voyage {n}": "failed" if Voyage(n).is_refused else "completed" for n in VOYAGES}
    expected["storm storm"] = "completed"
    with bookshop("popo") as application:
        manager, storm = process(store, application, ledger, seed)
        with served(manager) as loop:
            strikes = Storm(40 if pause < 0.1 else 10, pause)
            asyncio.run_coroutine_threadsafe(manager.start(storm, strikes), loop).result(LONGEST)
            sail(application)
            until(lambda: ended(store) == expected, lambda: ended(store))
            messages = [envelope for _, envelope in store.read_messages(0, 10_000)]
            assert store.unmatched(UnmatchedQuery()) == []
    assert ledger.twice == []
    names = Counter(envelope.name for envelope in messages)
    assert (names["Placed"], names["Booked"], names["Boarded"]) == (len(VOYAGES),) * 3
    done = Counter(what for what, _ in ledger.done)
    refused = sum(Voyage(n).is_refused for n in VOYAGES)
    assert (done["depart"], done["pay"], done["load"], done["prepare"]) == (9, 9, 18, 9)
    assert (done["refund"], done["unload"], done["leave_alone"]) == (refused, 2 * refused, refused)


def sail(application: Bookshop) -> None:
    for number in VOYAGES:
        application.place(number)
