"""The inventory: stock per SKU and reservations, idempotent by key; it must not decide for an order."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import msgspec

from domain.database import statements
from domain.errors import AlreadyUndone, NotDone
from domain.inventory.messages import Reservation, Restocked
from domain.service import Service, identity, require_key

SQL = statements(Path(__file__).with_name("inventory.sql"))


class OutOfStock(NotDone):
    """More pieces were to be reserved than are on hand: none was set aside."""


class Inventory(Service):
    """The inventory: sets stock aside for orders and takes it back."""

    statements: ClassVar[Mapping[str, str]] = SQL

    def receive(self, sku: str, quantity: int, *, key: str) -> None:
        """Put `quantity` pieces of a SKU on the shelf, once for each key."""
        self.receive_all({key: (sku, quantity)})

    def receive_all(self, deliveries: Mapping[str, tuple[str, int]]) -> None:
        """Put several deliveries, (SKU, pieces) by key, on the shelf in one transaction."""
        with self.database.transaction() as connection:
            for key, (sku, quantity) in deliveries.items():
                self._receive(connection, sku, quantity, key)

    def _receive(self, connection: sqlite3.Connection, sku: str, quantity: int, key: str) -> None:
        require_key(key)
        content = {"sku": sku, "quantity": require_pieces(sku, quantity, least=0)}
        if self._find(connection, "receipt", key, content) is not None:
            return
        connection.execute(SQL["insert_receipt"], {"key": key, **content})
        connection.execute(SQL["put"], content)
        self._record(connection, "receive", key=key, order_id="", item=sku, amount=quantity)

    def reserve(self, order_id: str, quantities: Mapping[str, int], *, key: str) -> Reservation:
        """Set pieces by SKU aside for an order: all of them or none.

        Raises OutOfStock; AlreadyUndone once `release` has been asked for with this key;
        KeyReused for another order or other pieces under the same key.
        """
        require_key(key)
        wanted = {sku: require_pieces(sku, pieces, least=1) for sku, pieces in sorted(quantities.items())}
        content = {"order_id": order_id, "quantities": msgspec.json.encode(wanted).decode()}
        with self.database.transaction() as connection:
            row = self._find(connection, "reservation", key, content)
            if row is not None:
                status, reason = row["status"], row["reason"]
            else:
                reason = self._shortage(connection, wanted)
                status = "refused" if reason else "reserved"
                connection.execute(
                    SQL["insert_reservation"],
                    {"key": key, "status": status, "reason": reason, "undone_by": None, **content},
                )
                if status == "reserved":
                    self._take(connection, wanted, order_id, key)
        if status == "refused":
            raise OutOfStock(reason)
        if status != "reserved":
            raise AlreadyUndone(f"reservation {key!r} has been released")
        return Reservation(reservation_id=identity("res", key), order_id=order_id, quantities=wanted)

    def release(self, *, undoes: str, key: str) -> None:
        """Put back what was set aside under the key `undoes`.

        If nothing was, that is remembered, and a reservation that arrives later is refused.
        """
        require_key(key)
        with self.database.transaction() as connection:
            row = self._find(connection, "reservation", undoes, {})
            if row is None:
                void = {"order_id": "", "quantities": "{}", "status": "void", "reason": ""}
                connection.execute(SQL["insert_reservation"], {"key": undoes, "undone_by": key, **void})
            elif row["status"] == "reserved":
                connection.execute(SQL["release"], {"key": undoes, "undone_by": key})
                back = msgspec.json.decode(row["quantities"], type=dict[str, int])
                for sku, quantity in back.items():
                    connection.execute(SQL["put"], {"sku": sku, "quantity": quantity})
                    self._record(
                        connection,
                        "release",
                        key=key,
                        undoes=undoes,
                        order_id=row["order_id"],
                        item=sku,
                        amount=quantity,
                    )

    def restock(self, return_id: str, sku: str, quantity: int, *, key: str) -> Restocked:
        """Put pieces that were sent back on the shelf.

        Raises AlreadyUndone once `withdraw` has been asked for with this key; KeyReused for another
        return or other pieces under the same key.
        """
        require_key(key)
        content = {"return_id": return_id, "sku": sku, "quantity": require_pieces(sku, quantity, least=1)}
        with self.database.transaction() as connection:
            row = self._find(connection, "restock", key, content)
            if row is None:
                connection.execute(
                    SQL["insert_restock"], {"key": key, "status": "restocked", "undone_by": None, **content}
                )
                connection.execute(SQL["put"], {"sku": sku, "quantity": quantity})
                self._record(connection, "restock", key=key, order_id="", item=sku, amount=quantity)
        if row is not None and row["status"] != "restocked":
            raise AlreadyUndone(f"restocking {key!r} has been withdrawn")
        return Restocked(return_id=return_id, sku=sku, quantity=quantity)

    def withdraw(self, *, undoes: str, key: str) -> None:
        """Take back off the shelf what was restocked under the key `undoes`.

        If nothing was, that is remembered, and a restocking that arrives later is refused.
        Raises OutOfStock when the pieces have been sold again.
        """
        require_key(key)
        with self.database.transaction() as connection:
            row = self._find(connection, "restock", undoes, {})
            if row is None:
                void = {"return_id": "", "sku": "", "quantity": 0, "status": "void"}
                connection.execute(SQL["insert_restock"], {"key": undoes, "undone_by": key, **void})
            elif row["status"] == "restocked":
                sku, quantity = row["sku"], row["quantity"]
                reason = self._shortage(connection, {sku: quantity})
                if reason:
                    raise OutOfStock(reason)
                connection.execute(SQL["withdraw"], {"key": undoes, "undone_by": key})
                connection.execute(SQL["take"], {"sku": sku, "quantity": quantity})
                self._record(connection, "withdraw", key=key, undoes=undoes, order_id="", item=sku, amount=-quantity)

    def levels(self) -> dict[str, int]:
        """Read the pieces on hand by SKU."""
        return {row["sku"]: row["on_hand"] for row in self.database.rows(SQL["levels"])}

    def live(self) -> dict[str, str]:
        """Read the reservations that hold: order id by idempotency key."""
        return {row["key"]: row["order_id"] for row in self.database.rows(SQL["live"])}

    def restocked(self) -> dict[str, str]:
        """Read what is back on the shelf: return id by idempotency key, one for each line."""
        return {row["key"]: row["return_id"] for row in self.database.rows(SQL["restocked"])}

    def _shortage(self, connection: sqlite3.Connection, wanted: Mapping[str, int]) -> str:
        for sku, quantity in wanted.items():
            row = connection.execute(SQL["on_hand"], {"sku": sku}).fetchone()
            on_hand = 0 if row is None else row["on_hand"]
            if on_hand < quantity:
                return f"{sku}: {quantity} wanted, {on_hand} on hand"
        return ""

    def _take(self, connection: sqlite3.Connection, wanted: Mapping[str, int], order_id: str, key: str) -> None:
        for sku, quantity in wanted.items():
            connection.execute(SQL["take"], {"sku": sku, "quantity": quantity})
            self._record(connection, "reserve", key=key, order_id=order_id, item=sku, amount=-quantity)


def require_pieces(sku: str, quantity: int, *, least: int) -> int:
    """Refuse a number of pieces that would turn an operation into its opposite."""
    if quantity < least:
        raise ValueError(f"{sku}: expected at least {least} pieces, found {quantity}")
    return quantity
