"""What a handler may know about its attempt: `StepContext`, and errors as they are told."""

from datetime import UTC, datetime

from msgspec import Struct

from sagalog.saga.identifiers import effect_of


class Trouble(Struct, frozen=True, gc=False):
    """An error as it is told: the name of its class, its text, what it says of the effect, and the step it is from.

    `kind` is "refused" (definitely not done), "error", "timeout", "lost" (nobody knows), "fault" (a mistake in a
    program), "deadline", "late" or "parent".
    """

    type: str
    message: str
    kind: str
    step: str | None


class StepContext(Struct, frozen=True, kw_only=True):
    """What a handler may know about its call: the saga, the step and the attempt.

    `idempotency_key` is the same for all attempts of one action (or of one compensation). Pass it to the service that
    is called, so that a repeated call has one effect. `deadline` is when this attempt must end (UTC). In a compensation
    `cause` is why the saga is rolled back.
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
    cause: Trouble | None = None

    @property
    def deadline(self) -> datetime | None:
        """Return when this attempt must end (UTC), or None if it has no time limit."""
        return None if self.deadline_us is None else datetime.fromtimestamp(self.deadline_us / 1e6, UTC)

    @property
    def action_key(self) -> str:
        """Return the idempotency key of the step's action; a compensation uses it to name what is undone."""
        found = effect_of(self.saga_id, self.step, self.idempotency_key)
        return f"{self.saga_id}:{self.step}" if found is None else found[0]
