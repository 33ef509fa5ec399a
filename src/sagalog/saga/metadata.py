"""What is known of an event beside itself: where it stands in the log, when it was recorded, and of what it is."""

from datetime import UTC, datetime

from msgspec import Struct


class Metadata(Struct, frozen=True, gc=False):
    """Where and when an event was recorded, and of which saga; of a domain event the fields about sagas are None.

    `position` is its place in the log and `id` its identity, the same whenever it is read. `time` is in microseconds
    since the epoch. `saga` is the saga's name. `correlation_id` is shared by all that a first cause led to, and
    `causation_id` is what led to this.
    """

    id: str
    position: int
    time: int
    correlation_id: str
    causation_id: str | None
    saga: str | None = None
    saga_id: str | None = None
    key: str | None = None
    run: int | None = None

    @property
    def at(self) -> datetime:
        """Return the time as a datetime in UTC."""
        return datetime.fromtimestamp(self.time / 1e6, UTC)
