"""The port to the log of another application, which is followed: it is only read. All calls block."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct


class Notification(Struct, frozen=True, gc=False):
    """One entry of the log, of a class that is followed.

    Ids grow along the log, and may have gaps. `originator_id` and `originator_version` name the aggregate and the
    entry's place among its events; `stored` is the entry in the source's own form.
    """

    id: int
    originator_id: str
    originator_version: int
    topic: str
    kind: type
    stored: Any


class Page(Struct, frozen=True, gc=False):
    """Part of the log: the notifications of followed classes, and the last id that was looked at.

    `more` says that the log goes on after it.
    """

    notifications: Sequence[Notification]
    position: int
    more: bool


class Source(Protocol):
    """A log that is read by position. Each call raises `SourceUnavailable` when it cannot be read for now."""

    name: str

    def head(self) -> int:
        """Return the id of the last entry; 0 if there is none."""
        ...

    def read(self, after: int, limit: int) -> Page:
        """Return entries from up to `limit` ids above `after`, in order; no lower id appears later."""
        ...

    def find(self, notification_id: int) -> Notification | None:
        """Return one entry; None if it does not exist, or is of a class that is not followed."""
        ...

    def decode(self, notification: Notification) -> object:
        """Return the entry's event; raises whatever its decoder raises."""
        ...

    def text(self, notification: Notification) -> str:
        """Return the entry as JSON for a person to read."""
        ...
