"""The payment service: captures and refunds, idempotent by key; it must not decide for an order.

The card's token decides what happens, as in the sandbox of a payment provider: DECLINED_CARDS,
SLOW_REFUND_CARD and CLOSED_ACCOUNT_CARD; every other token is a card that works.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from domain.database import statements
from domain.errors import AlreadyUndone, NotDone, Unavailable
from domain.payments.messages import PayBack, Payment
from domain.service import Service, identity, require_key

SQL = statements(Path(__file__).with_name("payments.sql"))

DECLINED_CARDS: Mapping[str, str] = {
    "tok_declined": "the bank declined the card",
    "tok_insufficient": "insufficient funds",
    "tok_expired": "the card has expired",
}
SLOW_REFUND_CARD = "tok_slow_refund"
"""It pays; for a refund the bank does not answer the first SLOW_REFUND_TRIES times."""
SLOW_REFUND_TRIES = 2
CLOSED_ACCOUNT_CARD = "tok_closed_account"
"""It pays; a refund cannot be made until a person has had the account opened again."""


class CardDeclined(NotDone):
    """A capture is refused: no money has moved."""


class AccountClosed(NotDone):
    """A refund is refused: the money cannot be given back to this card."""


class NotPaid(NotDone):
    """What was to be paid back was never paid, or less than that was."""


class BankUnavailable(Unavailable):
    """The bank has not answered."""


class Payments(Service):
    """The payment service: captures money on cards and gives it back."""

    statements: ClassVar[Mapping[str, str]] = SQL

    def capture(self, order_id: str, card_token: str, amount_cents: int, *, key: str) -> Payment:
        """Take an amount from a card for an order.

        Raises CardDeclined; AlreadyUndone once `refund` has been asked for with this key;
        KeyReused for another order, card or amount under the same key.
        """
        require_key(key)
        if amount_cents <= 0:
            raise ValueError(f"expected a positive amount in cents, found {amount_cents}")
        content = {"order_id": order_id, "card_token": card_token, "amount_cents": amount_cents}
        with self.database.transaction() as connection:
            row = self._find(connection, "capture", key, content)
            if row is not None:
                status, reason = row["status"], row["reason"]
            else:
                reason = DECLINED_CARDS.get(card_token, "")
                status = "declined" if reason else "captured"
                connection.execute(
                    SQL["insert_capture"],
                    {"key": key, "status": status, "reason": reason, "undone_by": None, **content},
                )
                if status == "captured":
                    self._move(connection, "capture", order_id, card_token, amount_cents, key)
        if status == "declined":
            raise CardDeclined(reason)
        if status != "captured":
            raise AlreadyUndone(f"payment {key!r} has been refunded")
        return Payment(payment_id=identity("pay", key), order_id=order_id, amount_cents=amount_cents)

    def refund(self, *, undoes: str, key: str) -> None:
        """Give back what was captured under the key `undoes`.

        If nothing was, that is remembered, and a capture that arrives later is refused.
        Raises AccountClosed when it cannot be made, BankUnavailable when no answer came.
        """
        require_key(key)
        self.reach_bank(undoes)
        with self.database.transaction() as connection:
            row = self._find(connection, "capture", undoes, {})
            if row is None:
                void = {"order_id": "", "card_token": "", "amount_cents": 0, "reason": ""}
                connection.execute(SQL["insert_capture"], {"key": undoes, "status": "void", "undone_by": key, **void})
            elif row["status"] == "captured":
                card_token, order_id = row["card_token"], row["order_id"]
                closed = self._closed(connection, card_token, order_id)
                if closed:
                    raise AccountClosed(closed)
                connection.execute(SQL["refund"], {"key": undoes, "undone_by": key})
                self._move(connection, "refund", order_id, card_token, -row["amount_cents"], key, undoes)

    def reach_bank(self, key: str) -> None:
        """Ask whether the bank behind a capture's card answers; raises BankUnavailable.

        It counts how often it was asked, so it is a transaction of its own. Whoever refunds inside a transaction
        asks before he begins it: nothing that waits for others belongs inside.
        """
        with self.database.transaction() as connection:
            row = self._find(connection, "capture", key, {})
            silent = (
                row is not None
                and row["status"] == "captured"
                and row["card_token"] == SLOW_REFUND_CARD
                and row["refund_tries"] < SLOW_REFUND_TRIES
            )
            if silent:
                connection.execute(SQL["count_refund_try"], {"key": key})
        # Raised only now: the try that was counted must be kept.
        if row is not None and silent:
            raise BankUnavailable(f"order {row['order_id']}: the bank did not answer")

    def pay_back(self, return_id: str, order_id: str, amount_cents: int, *, key: str) -> PayBack:
        """Give a customer money back for goods of an order that were returned; this is not undone.

        Raises NotPaid for more than the order's payment; AccountClosed; KeyReused for another
        return, order or amount under the same key.
        """
        require_key(key)
        if amount_cents <= 0:
            raise ValueError(f"expected a positive amount in cents, found {amount_cents}")
        content = {"return_id": return_id, "order_id": order_id, "amount_cents": amount_cents}
        with self.database.transaction() as connection:
            row = self._find(connection, "payback", key, content)
            if row is not None:
                reason = row["reason"]
            else:
                card_token, left = self._left(connection, order_id)
                closed = self._closed(connection, card_token, order_id)
                if closed:
                    raise AccountClosed(closed)
                reason = (
                    f"order {order_id}: {amount_cents} cents to pay back, {left} paid" if amount_cents > left else ""
                )
                status = "refused" if reason else "paid"
                connection.execute(SQL["insert_payback"], {"key": key, "status": status, "reason": reason, **content})
                if not reason:
                    self._move(connection, "pay_back", "", card_token, -amount_cents, key)
        if reason:
            raise NotPaid(reason)
        return PayBack(pay_back_id=identity("back", key), return_id=return_id, amount_cents=amount_cents)

    def reopen_account(self, order_id: str, card_token: str = CLOSED_ACCOUNT_CARD) -> None:
        """Note that a person has had the account behind an order's card opened again."""
        with self.database.transaction() as connection:
            connection.execute(SQL["reopen"], {"card_token": card_token, "order_id": order_id})

    def balance_cents(self) -> int:
        """Read the merchant's balance."""
        rows = self.database.rows(SQL["balance"])
        return int(rows[0]["balance_cents"]) if rows else 0

    def live(self) -> dict[str, str]:
        """Read the captures that hold: order id by idempotency key."""
        return {row["key"]: row["order_id"] for row in self.database.rows(SQL["live"])}

    def paid_back(self) -> dict[str, str]:
        """Read what was paid back for returned goods: return id by idempotency key."""
        return {row["key"]: row["return_id"] for row in self.database.rows(SQL["paid_back"])}

    def _left(self, connection: sqlite3.Connection, order_id: str) -> tuple[str, int]:
        """Find the card that an order was paid with, and what of the payment is not paid back."""
        row = connection.execute(SQL["captured_for"], {"order_id": order_id}).fetchone()
        return ("", 0) if row is None else (row["card_token"], row["amount_cents"] - row["paid_back_cents"])

    def _closed(self, connection: sqlite3.Connection, card_token: str, order_id: str) -> str:
        """Say why no money can be given back to a card; empty if it can."""
        if card_token != CLOSED_ACCOUNT_CARD:
            return ""
        card = {"card_token": card_token, "order_id": order_id}
        if connection.execute(SQL["reopened"], card).fetchone() is not None:
            return ""
        return f"order {order_id}: the account of card {card_token} is closed"

    def _move(
        self,
        connection: sqlite3.Connection,
        operation: str,
        order_id: str,
        card_token: str,
        amount_cents: int,
        key: str,
        undoes: str | None = None,
    ) -> None:
        connection.execute(SQL["move"], {"amount_cents": amount_cents})
        self._record(
            connection,
            operation,
            key=key,
            undoes=undoes,
            order_id=order_id,
            item=card_token,
            amount=amount_cents,
        )
