"""The same 300 orders, taken each way that the shop knows: they end with the same stock, money, parcels and answers."""

from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack

import pytest
from sagas.fulfilment_ways import WAYS, Left, audited, plant, take
from servers.postgres_server import PostgresServer

from domain.data import read_orders
from domain.sample import EXPECTED_COUNTS, ORDERS_COUNT

pytestmark = pytest.mark.slow

FIRST, *OTHERS = WAYS
KINDS = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))

Taken = dict[str, tuple[str, Left]]
"""The database and what is left, for each way."""


@pytest.fixture(scope="module", params=KINDS)
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Taken]:
    """Take every sample order each way, each on a database of its own and in a shop of its own."""
    with ExitStack() as stack:
        found: Taken = {}
        for way in WAYS:
            if request.param == "sqlite":
                database = f"sqlite:///{tmp_path_factory.mktemp(way) / 'sagas.db'}"
            else:
                server: PostgresServer = request.getfixturevalue("postgres_server")
                database = stack.enter_context(server.database())
            found[way] = database, take(way, database, read_orders())
        yield found


@pytest.mark.parametrize("way", WAYS)
def test_every_order_ends_as_it_must_and_the_ledgers_agree(taken: Taken, way: str) -> None:
    """Invariants 15 and 16: what is completed is whole, what failed has left nothing, each effect was made once."""
    left = taken[way][1]
    assert Counter(left.statuses.values()) == EXPECTED_COUNTS
    assert len(left.statuses) == ORDERS_COUNT
    assert left.violations == []


@pytest.mark.parametrize("way", OTHERS)
def test_each_order_ends_the_same(taken: Taken, way: str) -> None:
    assert taken[way][1].statuses == taken[FIRST][1].statuses


@pytest.mark.parametrize("way", OTHERS)
def test_the_same_stock_money_and_parcels_are_left(taken: Taken, way: str) -> None:
    """For each order the same things were really done, and undone, as the ledgers of the services tell."""
    first, other = taken[FIRST][1], taken[way][1]
    assert other.levels == first.levels
    assert other.balance_cents == first.balance_cents
    assert other.effects == first.effects


@pytest.mark.parametrize("way", OTHERS)
def test_the_read_side_says_the_same_of_each_order(taken: Taken, way: str) -> None:
    first, other = taken[FIRST][1], taken[way][1]
    assert len(first.answers) == ORDERS_COUNT
    assert other.answers == first.answers


@pytest.mark.parametrize("way", WAYS)
def test_no_audit_returns_a_row(taken: Taken, way: str) -> None:
    assert audited(taken[way][0]) == set()


def test_the_audits_find_the_same_wrong_whichever_way_an_order_was_taken(taken: Taken) -> None:
    """Last in this file, for it spoils the databases: an audit that never looks finds nothing either."""
    found: dict[str, set[tuple[str, str]]] = {}
    for way, (database, _) in taken.items():
        for name in ("a_refund_that_was_not_made", "an_end_without_a_time", "a_reason_that_is_gone"):
            plant(database, name)
        found[way] = audited(database)
    assert found[FIRST] == {
        ("captured_but_neither_shipped_nor_refunded", "order-0139"),
        ("failed_but_not_undone", "order-0139"),
        ("ended_but_not_closed", "order-0001"),
        ("stuck_without_a_reason", "order-0153"),
    }
    assert all(rows == found[FIRST] for rows in found.values())
