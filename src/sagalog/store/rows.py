"""What is read from a store, as values: rows of its tables, and events of its log. They know no store.

Times are integer microseconds since the epoch.
"""

from typing import Final, Literal

from msgspec import Struct


class StoredEvent(Struct, frozen=True, gc=False):
    """One event of the log."""

    position: int
    saga_id: str
    version: int
    topic: str
    state: bytes


class StatusRow(Struct, frozen=True, gc=False):
    """One row of `saga_status`. Its fields are the columns, in the same order; the store fills `position`."""

    saga_id: str
    saga_name: str
    saga_version: int
    definition: str
    saga_key: str
    run: int
    status: str
    current_step: str | None
    waiting_for: str | None
    waiting_until: int | None
    attempt: int
    error_type: str | None
    error_text: str | None
    correlation_id: str
    causation_id: str | None
    started_at: int
    updated_at: int
    ended_at: int | None
    deadline_at: int | None
    due_at: int | None
    version: int
    position: int = 0
    owner: str | None = None


class StepRow(Struct, frozen=True, gc=False):
    """One row of `saga_steps`: a step of a saga in one direction; `result` is JSON text."""

    saga_id: str
    step: str
    direction: str
    ordinal: int
    status: str
    attempts: int
    started_at: int | None
    ended_at: int | None
    error_type: str | None
    error_text: str | None
    undoes: str | None
    result: str | None
    position: int = 0


class AttributeRow(Struct, frozen=True, gc=False):
    """One row of `saga_attributes`: an attribute of a saga; `value` is its text.

    `number` is the value of one that is a number. The store fills `position`.
    """

    saga_id: str
    name: str
    value: str
    number: int | float | None
    position: int = 0


class CommandRow(Struct, frozen=True, gc=False):
    """One row of `saga_commands`: a command that a saga sent, and its outcome.

    `direction` is "action" or "compensation". `status` is "sent", "succeeded", "refused" or "unanswered". `sendings`
    counts how often the saga sent it; the store counts `deliveries` and fills `position`.
    """

    command_id: str
    name: str
    saga_id: str
    step: str
    direction: str
    status: str
    sendings: int
    correlation_id: str
    causation_id: str | None
    issued_at: int
    answered_at: int | None
    deliveries: int = 0
    position: int = 0


class InboxRow(Struct, frozen=True, gc=False):
    """One row of `saga_inbox`: a message that its recipient, a saga or a participant, has not taken yet.

    Rows of one `lane` are taken in the order of their positions. `status` is "pending" or "parked". The recipient is a
    saga id, or the name of a consumer such as `participant:payments`.
    """

    recipient: str
    message_id: str
    lane: str
    name: str
    arrived_at: int
    due_at: int
    status: str = "pending"
    attempts: int = 0
    error_type: str | None = None
    error_text: str | None = None
    position: int = 0


UnmatchedStatus = Literal["parked", "redelivering", "redelivered", "discarded"]
UNMATCHED_STATUSES: Final[tuple[UnmatchedStatus, ...]] = ("parked", "redelivering", "redelivered", "discarded")


class UnmatchedRow(Struct, frozen=True, gc=False):
    """One row of `saga_unmatched`: a message that nobody could take, the reason, and a person's decision.

    `consumer` is the one that should have taken it. `message` is the envelope as JSON, or the text that could not be
    read as one. `status` is "parked", "redelivering", "redelivered" or "discarded".
    """

    unmatched_id: str
    consumer: str
    message_id: str
    kind: str
    name: str
    source: str
    reason: str
    correlation_id: str | None
    causation_id: str | None
    position: int | None
    message: str
    parked_at: int
    status: str = "parked"
    actor: str | None = None
    settled_reason: str | None = None
    settled_at: int | None = None


class ConsumerRow(Struct, frozen=True, gc=False):
    """One row of `saga_consumers`: how far a consumer has read, and the worker that reads for it."""

    consumer: str
    position: int
    owner: str | None
    updated_at: int


class HeldLease(Struct, frozen=True, gc=False):
    """A worker's lease as others see it; its length is None if an older version of sagalog began it."""

    worker_id: str
    lease_until: int
    length: int | None


class SilentWorker(Struct, frozen=True, gc=False):
    """A worker whose sign of life is gone: its lease, its host and process.

    `is_sure`: hardly anything but the end of the process can have ended the sign. Otherwise a living worker may have
    lost it, and then it shows another one soon.
    """

    lease: HeldLease
    host: str
    pid: int
    is_sure: bool = False
