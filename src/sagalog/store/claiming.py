"""The part of the port about handing out sagas: what is due or has mail, and to one worker only."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.rows import StatusRow


class Claiming(Protocol):
    """A store that gives sagas to workers."""

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give up to `limit` sagas that nobody owns to a worker: those that are due, and those that have mail.

        A saga with a row in its inbox is given whatever its status is and whenever it is due. Those of `but` are left
        to others.
        """
        ...

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give what `claim` gives because it is due; what is wrong with anybody's mail is of no interest."""
        ...

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker whether it is due or not; False if a live worker owns it or it does not exist."""
        ...

    def due(self, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because they are due, the oldest first."""
        ...

    def with_mail(self, definitions: Sequence[str], limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because they have mail, the oldest first."""
        ...
