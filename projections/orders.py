"""What has become of each order, read from the saga tables; it must not keep a table of its own."""

from pathlib import Path
from typing import NamedTuple

from projections import Connection

SQL = Path(__file__).with_name("orders.sql").read_text(encoding="utf-8")


class OrderRow(NamedTuple):
    """One run of an order's saga; the columns are those of `orders.sql`."""

    order_id: str
    saga_id: str
    run: int
    status: str
    current_step: str | None
    reservation_id: str | None
    """What was reserved, paid and shipped stays here when it was given back: see the flags."""
    paid_cents: int | None
    tracking_id: str | None
    stock_given_back: bool
    money_given_back: bool
    shipment_cancelled: bool
    reason: str | None
    started_at: int
    """Microseconds since the epoch."""
    ended_at: int | None


def orders(connection: Connection) -> list[OrderRow]:
    """Read every order, oldest saga first."""
    rows = [OrderRow._make(row) for row in connection.execute(SQL)]
    return [
        row._replace(
            stock_given_back=bool(row.stock_given_back),
            money_given_back=bool(row.money_given_back),
            shipment_cancelled=bool(row.shipment_cancelled),
        )
        for row in rows
    ]
