"""The orders read model says for each order what was reserved, paid, shipped and given back."""

from collections.abc import Iterator

import pytest
from databases.saga_tables import SagaTables

from projections.orders import OrderRow, orders


@pytest.fixture
def rows() -> Iterator[dict[str, OrderRow]]:
    with SagaTables() as tables:
        tables.healthy()
        yield {row.saga_id: row for row in orders(tables.connection)}


def test_a_completed_order_shows_what_it_got(rows: dict[str, OrderRow]) -> None:
    assert rows["completed"] == OrderRow(
        order_id="order-completed",
        saga_id="completed",
        run=1,
        status="completed",
        current_step=None,
        reservation_id="res-1",
        paid_cents=250,
        tracking_id="trk-1",
        stock_given_back=False,
        money_given_back=False,
        shipment_cancelled=False,
        reason=None,
        started_at=1,
        ended_at=9,
    )


def test_a_refused_payment_shows_the_stock_given_back(rows: dict[str, OrderRow]) -> None:
    row = rows["refused-second"]
    assert (row.paid_cents, row.stock_given_back, row.money_given_back) == (None, True, False)
    assert row.reason == "why"


def test_a_stuck_order_shows_what_is_not_given_back(rows: dict[str, OrderRow]) -> None:
    row = rows["stuck"]
    assert (row.paid_cents, row.money_given_back, row.shipment_cancelled) == (250, False, True)
    assert (row.current_step, row.ended_at) == ("process_payment", None)


def test_every_saga_of_an_order_has_one_row(rows: dict[str, OrderRow]) -> None:
    assert len(rows) == 10
