"""The port of a log that somebody else writes and that is followed here: it is only read. All calls block."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct


class Notification(Struct, frozen=True, gc=False):
    """One entry of the log, of a class that is followed.

    Ids grow along the log, and may have gaps. `originator_id` and `originator_version` say which aggregate it is about
    and the place among its events; `stored` is the entry as the source keeps it.
    """

    id: int
    originator_id: str
    originator_version: int
    topic: str
    kind: type
    stored: Any


class Page(Struct, frozen=True, gc=False):
    """A stretch of the log: the notifications of classes that are followed, and the last id that was looked at.

    `more` says that there was no end to it.
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
        """Look at up to `limit` entries above id `after`, in order. Never passes one that is committed later."""
        ...

    def find(self, notification_id: int) -> Notification | None:
        """Return one entry; None if it is not there, or of a class that is not followed."""
        ...

    def decode(self, notification: Notification) -> object:
        """Return the entry's event; raises whatever its reader raises for what it cannot read."""
        ...

    def text(self, notification: Notification) -> str:
        """Return the entry as JSON for a person to read."""
        ...
