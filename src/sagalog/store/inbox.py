"""The part of the port about inboxes: who is still to take what, and in which order."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.messages import Envelope
from sagalog.store.rows import InboxRow


class Inboxes(Protocol):
    """A store that says what is still to be taken."""

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return what is in the inboxes of the sagas that a worker owns, but these, in the order of positions."""
        ...

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas for which `mail` has something, who has waited longest first."""
        ...

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due, in the order of positions."""
        ...
