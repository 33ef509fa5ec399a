"""The part of the port about the log: the streams of sagas, and all events in one order."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.rows import StoredEvent


class Reading(Protocol):
    """The role of a store to read its log."""

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        """Return the saga's events above version `after`, in order; empty if there is no such saga."""
        ...

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """Return the events of several sagas, by saga id."""
        ...

    def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """Return events of all sagas above position `after`, in order; no lower position appears later."""
        ...

    def head(self) -> int:
        """Return the position of the last event in the log; 0 if it is empty."""
        ...
