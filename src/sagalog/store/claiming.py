"""The part of the port that gives sagas to workers: those that are due or have messages, each to one worker only."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.rows import StatusRow


class Claiming(Protocol):
    """The role of a store to give sagas to workers."""

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give up to `limit` sagas without an owner to a worker: those that are due, or have messages in their inbox.

        A saga with a message in its inbox is given whatever its status, and even if it is not due. Sagas of `but` are
        left out. `now` is in microseconds since the epoch.
        """
        ...

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Claim only sagas that are due, without looking at any inbox, so that trouble with inboxes does not matter."""
        ...

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker, due or not; return False if a live worker owns it or it does not exist."""
        ...

    def due(self, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because they are due, oldest first."""
        ...

    def with_mail(self, definitions: Sequence[str], limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because of their inbox, oldest first."""
        ...
