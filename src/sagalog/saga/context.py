"""What a handler may know about its attempt: `StepContext`."""

from datetime import UTC, datetime

from msgspec import Struct

from sagalog.saga.identifiers import effect_of


class StepContext(Struct, frozen=True, kw_only=True):
    """What a handler may know about its call: the saga, the step and the attempt.

    `idempotency_key` is the same for all attempts of one action (or of one compensation). Pass it to the service that
    is called, so that a repeated call has one effect. `deadline` is when this attempt must end (UTC).
    """

    saga_id: str
    saga_name: str
    key: str
    correlation_id: str
    causation_id: str | None
    step: str
    attempt: int
    idempotency_key: str
    deadline_us: int | None = None

    @property
    def deadline(self) -> datetime | None:
        """Return when this attempt must end (UTC), or None if it has no time limit."""
        return None if self.deadline_us is None else datetime.fromtimestamp(self.deadline_us / 1e6, UTC)

    @property
    def action_key(self) -> str:
        """Return the idempotency key of the step's action; a compensation uses it to name what is undone."""
        found = effect_of(self.saga_id, self.step, self.idempotency_key)
        return f"{self.saga_id}:{self.step}" if found is None else found[0]
