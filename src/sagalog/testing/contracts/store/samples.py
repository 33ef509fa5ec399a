"""Sample appends like an engine's, small and invented, for tests of stores; it knows no store and no engine."""

import itertools
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sagalog.clock import new_id
from sagalog.store import Append, Lease, StatusRow, StepRow

# A moment in November 2026, in microseconds: stores get the time as an argument and must never read a clock.
NOW = 1_795_400_000_000_000
SECOND = 1_000_000
DEFINITION = "digest-of-the-first-definition"

_milliseconds = itertools.count()


class _Ticks:
    """A clock that advances by a millisecond with each reading, so that new ids are in order."""

    def now(self) -> int:
        return NOW + next(_milliseconds) * 1000

    def chance(self) -> float:
        return 0.5

    def token(self) -> int:
        return secrets.randbits(62)


def sample_id() -> str:
    """Return a new saga id that sorts after all earlier ones."""
    return new_id(_Ticks())


def sample_event(name: str, **data: Any) -> tuple[str, bytes]:
    """Return the topic and JSON of an event; a random number makes it differ from all others."""
    body = {"time": NOW, "token": secrets.randbits(50), **data}
    return f"sagalog.{name}.1", msgspec.json.encode(body)


def start(
    key: str | None = None,
    *,
    saga: str = "order-fulfilment",
    run: int = 1,
    definition: str = DEFINITION,
    due_at: int | None = NOW,
    owner: str | None = None,
    **columns: Any,
) -> Append:
    """Return the append that starts a saga: one event; by default it is due at once and has no owner."""
    saga_id = sample_id()
    row = StatusRow(
        saga_id=saga_id,
        saga_name=saga,
        saga_version=1,
        definition=definition,
        saga_key=saga_id if key is None else key,
        run=run,
        status="started",
        current_step="reserve_inventory",
        waiting_for="step reserve_inventory",
        waiting_until=NOW + 60 * SECOND,
        attempt=1,
        error_type=None,
        error_text=None,
        correlation_id=f"correlation of {saga_id}",
        causation_id=None,
        started_at=NOW,
        updated_at=NOW,
        ended_at=None,
        deadline_at=NOW + 86_400 * SECOND,
        due_at=due_at,
        version=1,
        owner=owner,
    )
    row = replace(row, **columns)
    return Append(saga_id, 0, [sample_event("SagaStarted", key=row.saga_key)], row, (), None)


def following(
    before: Append,
    *events: tuple[str, bytes],
    steps: Sequence[StepRow] = (),
    holder: str | None = None,
    **columns: Any,
) -> Append:
    """Return the next append of the same saga with the given columns changed; the holder stays the owner."""
    written = list(events) or [sample_event("StepSucceeded", step="reserve_inventory")]
    version = before.status.version
    changes = {"version": version + len(written), "status": "pending", "owner": holder, "updated_at": NOW + 1}
    return Append(before.saga_id, version, written, replace(before.status, **changes | columns), steps, holder)


def ending(before: Append, status: str = "completed", *, holder: str | None = None, **columns: Any) -> Append:
    """Return the append that ends a saga: nothing is due any more and it has no owner."""
    name = {"completed": "SagaCompleted", "failed": "SagaFailed", "stuck": "SagaStuck"}[status]
    at_rest: dict[str, Any] = {
        "current_step": None,
        "waiting_for": None,
        "waiting_until": None,
        "due_at": None,
        "owner": None,
    }
    ended: dict[str, Any] = {"status": status, "ended_at": None if status == "stuck" else NOW + 2}
    return following(before, sample_event(name), holder=holder, **at_rest | ended | columns)


def step(saga_id: str, name: str, ordinal: int = 1, direction: str = "action", **columns: Any) -> StepRow:
    """Return the row of a step that has succeeded."""
    row = StepRow(
        saga_id=saga_id,
        step=name,
        direction=direction,
        ordinal=ordinal,
        status="succeeded" if direction == "action" else "compensated",
        attempts=1,
        started_at=NOW,
        ended_at=NOW + 1,
        error_type=None,
        error_text=None,
        undoes=name if direction == "compensation" else None,
        result='{"reservation":"r-1"}' if direction == "action" else None,
    )
    return replace(row, **columns)


def lease(worker_id: str, until: int = NOW + 10 * SECOND) -> Lease:
    """Return a worker's lease."""
    return Lease(worker_id, "a-machine", 4242, NOW, until)
