"""Hand-made rows in the saga tables, for what reads them; it must not need a running saga."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from domain.database import statements

SQL = statements(Path(__file__).with_name("saga_tables.sql"))

STEPS: tuple[str, str, str] = ("reserve_inventory", "process_payment", "create_shipment")
RESULTS: Mapping[str, object] = {
    "reserve_inventory": {"reservation_id": "res-1", "quantities": {"mug": 1}},
    "process_payment": {"payment_id": "pay-1", "amount_cents": 250},
    "create_shipment": {"tracking_id": "trk-1", "destination": "Lisbon"},
}


class SagaTables:
    """The saga tables in memory, with rows that are planted in them."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute(SQL["create_status"])
        self.connection.execute(SQL["create_steps"])
        self.connection.execute(SQL["create_inbox"])

    def saga(
        self,
        saga_id: str,
        status: str,
        actions: Mapping[str, str],
        compensations: Mapping[str, str] | None = None,
        **columns: str | int | None,
    ) -> None:
        """Plant a saga with the status of each step's action and compensation.

        What `columns` does not say is as the library would write it for that status.
        """
        ended = status in ("completed", "failed")
        row: dict[str, object] = {
            "saga_id": saga_id,
            "saga_key": f"order-{saga_id}",
            "status": status,
            "current_step": None if ended else "process_payment",
            "error_text": "why" if status in ("failed", "stuck") else None,
            "ended_at": 9 if ended else None,
            "due_at": None if ended or status == "stuck" else 9,
            "owner": None,
            "waiting_for": None,
            "waiting_until": None,
            "causation_id": None,
        }
        self.connection.execute(SQL["insert_status"], row | columns)
        for step, outcome in actions.items():
            result = RESULTS[step] if outcome == "succeeded" else None
            self._step(saga_id, step, "action", outcome, None, result)
        for step, outcome in (compensations or {}).items():
            self._step(saga_id, step, "compensation", outcome, step, None)

    def mail(self, saga_id: str) -> None:
        """Put a message into a saga's inbox."""
        self.connection.execute(SQL["insert_inbox"], {"recipient": saga_id})

    def healthy(self) -> None:
        """Plant one saga of each way in which an order may rightly stand."""
        done = dict.fromkeys(STEPS, "succeeded")
        self.saga("completed", "completed", done)
        self.saga("refused-first", "failed", {STEPS[0]: "refused"})
        self.saga(
            "refused-second",
            "failed",
            {STEPS[0]: "succeeded", STEPS[1]: "refused"},
            {STEPS[0]: "compensated"},
        )
        self.saga(
            "unknown-last",
            "failed",
            {**done, STEPS[2]: "failed"},
            dict.fromkeys(STEPS, "compensated"),
        )
        self.saga(
            "waived",
            "failed",
            {STEPS[0]: "succeeded", STEPS[1]: "refused"},
            {STEPS[0]: "waived"},
        )
        self.saga("started", "started", {})
        self.saga("pending", "pending", {STEPS[0]: "succeeded", STEPS[1]: "retrying"})
        self.saga("owned", "pending", {STEPS[0]: "succeeded"}, due_at=None, owner="worker-1")
        self.saga(
            "compensating",
            "compensating",
            {**done, STEPS[2]: "failed"},
            {STEPS[0]: "pending", STEPS[1]: "running", STEPS[2]: "compensated"},
        )
        self.saga(
            "stuck",
            "stuck",
            {**done, STEPS[2]: "failed"},
            {STEPS[0]: "pending", STEPS[1]: "failed", STEPS[2]: "compensated"},
        )

    def _step(
        self,
        saga_id: str,
        step: str,
        direction: str,
        status: str,
        undoes: str | None,
        result: object,
    ) -> None:
        row = {
            "saga_id": saga_id,
            "step": step,
            "direction": direction,
            "ordinal": STEPS.index(step),
            "status": status,
            "undoes": undoes,
            "result": None if result is None else msgspec.json.encode(result).decode(),
        }
        self.connection.execute(SQL["insert_step"], row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
