"""The order book: which orders were placed, each once; it must not say what became of them.

What became of an order is the status of its saga, which is never behind; a copy here would be.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from domain.database import statements
from domain.errors import NotDone
from domain.ordering.messages import Order
from domain.service import Service, require_key, require_same

SQL = statements(Path(__file__).with_name("ordering.sql"))


class OrderConflict(NotDone):
    """The id of an order is taken by an order with other content."""


class Ordering(Service):
    """The order book."""

    statements: ClassVar[Mapping[str, str]] = SQL

    def place(self, order: Order, *, key: str) -> bool:
        """Enter an order in the book; false says that this very order was there.

        Raises OrderConflict if its id belongs to another order, KeyReused if its key does.
        """
        require_key(key)
        content = order.model_dump_json()
        with self.database.transaction() as connection:
            row = connection.execute(SQL["order_by_key"], {"key": key}).fetchone()
            if row is not None:
                require_same(key, row, {"order_id": order.order_id, "content": content})
                return False
            row = connection.execute(SQL["order"], {"order_id": order.order_id}).fetchone()
            if row is not None:
                if row["content"] == content:
                    return False
                raise OrderConflict(
                    f"order {order.order_id} is in the book with other content: give the new order an id of its own"
                )
            connection.execute(
                SQL["insert_order"],
                {
                    "order_id": order.order_id,
                    "key": key,
                    "total_cents": order.total_cents,
                    "content": content,
                    "placed_at": self._now(),
                },
            )
            self._record(connection, "place", key=key, order_id=order.order_id, amount=1)
            return True

    def close_return(self, return_id: str, order_id: str, *, key: str) -> None:
        """Note that a return is over; again is a no-op."""
        require_key(key)
        content = {"return_id": return_id, "order_id": order_id, "closed_at": self._now()}
        with self.database.transaction() as connection:
            if connection.execute(SQL["insert_return"], content).rowcount:
                self._record(connection, "close_return", key=key, order_id="", item=return_id, amount=0)

    def closed_returns(self) -> dict[str, str]:
        """Read the returns that are over: order id by return id."""
        return {row["return_id"]: row["order_id"] for row in self.database.rows(SQL["closed_returns"])}

    def find(self, order_id: str) -> Order | None:
        """Read an order from the book."""
        rows = self.database.rows(SQL["order"], {"order_id": order_id})
        return Order.model_validate_json(rows[0]["content"]) if rows else None

    def totals(self) -> dict[str, int]:
        """Read what each order in the book costs, in cents by order id."""
        return {row["order_id"]: row["total_cents"] for row in self.database.rows(SQL["totals"])}
