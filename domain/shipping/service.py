"""The carrier: bookings and cancellations, idempotent by key; it must not decide for an order."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from domain.database import statements
from domain.errors import AlreadyUndone, NotDone, Unavailable
from domain.service import Service, identity, require_key
from domain.shipping.messages import Shipment

SQL = statements(Path(__file__).with_name("shipping.sql"))

UNSERVED_DESTINATIONS = frozenset({"Atlantis"})


class NotServed(NotDone):
    """The carrier does not drive to a destination: nothing was booked."""


class CarrierDown(Unavailable):
    """The carrier did not take the booking; its caller cannot tell this from CarrierMute."""


class CarrierMute(Unavailable):
    """No answer came, although the booking was made."""


class Carrier(Service):
    """The carrier: books parcels and cancels them."""

    statements: ClassVar[Mapping[str, str]] = SQL

    def book(self, order_id: str, destination: str, *, key: str, down_for: int = 0, mute_for: int = 0) -> Shipment:
        """Book a parcel to a destination for an order.

        The carrier does nothing the first `down_for` times it is asked under this key, and after
        that books but does not answer `mute_for` times.
        Raises CarrierDown or CarrierMute then; NotServed; AlreadyUndone once `cancel` has been
        asked for with this key; KeyReused for another order or destination under the same key.
        """
        require_key(key)
        content = {"order_id": order_id, "destination": destination}
        with self.database.transaction() as connection:
            row = self._find(connection, "shipment", key, content)
            if row is not None:
                status, reason = row["status"], row["reason"]
            elif destination in UNSERVED_DESTINATIONS:
                status, reason = "refused", f"no service to {destination}"
                self._insert(connection, key, status, reason, content)
            else:
                status, reason = "", ""
            tries = 0
            if status in ("", "booked"):
                tries = self._count_try(connection, key) if down_for or mute_for else 1
                if not status and tries > down_for:
                    status = "booked"
                    self._insert(connection, key, status, reason, content)
                    self._record(connection, "book", key=key, order_id=order_id, item=destination, amount=1)
        if status == "refused":
            raise NotServed(reason)
        if status in ("cancelled", "void"):
            raise AlreadyUndone(f"shipment {key!r} has been cancelled")
        if not status:
            raise CarrierDown(f"order {order_id}: the carrier is down (try {tries})")
        if tries <= down_for + mute_for:
            raise CarrierMute(f"order {order_id}: the carrier did not answer (try {tries})")
        return Shipment(tracking_id=identity("trk", key), order_id=order_id, destination=destination)

    def cancel(self, *, undoes: str, key: str) -> None:
        """Cancel what was booked under the key `undoes`.

        If nothing was, that is remembered, and a booking that arrives later is refused.
        """
        require_key(key)
        with self.database.transaction() as connection:
            row = self._find(connection, "shipment", undoes, {})
            if row is None:
                void = {"order_id": "", "destination": ""}
                self._insert(connection, undoes, "void", "", void, undone_by=key)
            elif row["status"] == "booked":
                connection.execute(SQL["cancel"], {"key": undoes, "undone_by": key})
                self._record(
                    connection,
                    "cancel",
                    key=key,
                    undoes=undoes,
                    order_id=row["order_id"],
                    item=row["destination"],
                    amount=-1,
                )

    def live(self) -> dict[str, str]:
        """Read the bookings that hold: order id by idempotency key."""
        return {row["key"]: row["order_id"] for row in self.database.rows(SQL["live"])}

    def _count_try(self, connection: sqlite3.Connection, key: str) -> int:
        connection.execute(SQL["count_try"], {"key": key})
        return int(connection.execute(SQL["tries"], {"key": key}).fetchone()["tries"])

    def _insert(
        self,
        connection: sqlite3.Connection,
        key: str,
        status: str,
        reason: str,
        content: Mapping[str, str],
        undone_by: str | None = None,
    ) -> None:
        connection.execute(
            SQL["insert_shipment"],
            {"key": key, "status": status, "reason": reason, "undone_by": undone_by, **content},
        )
