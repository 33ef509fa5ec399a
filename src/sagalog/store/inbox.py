"""The part of the port about inboxes: which messages are still to be taken, by whom, and in which order."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.messages import Envelope
from sagalog.store.rows import InboxRow


class Inboxes(Protocol):
    """The role of a store to keep inboxes."""

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return up to `limit` inbox rows of the sagas that a worker owns, without those of `but`, by position."""
        ...

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas for which `mail` has rows; the longest wait comes first."""
        ...

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return up to `limit` rows that are the first of their lane of a recipient, pending and due, by position.

        If more than `limit` of them were tried before, only those of them count that have been due for longest.
        """
        ...
