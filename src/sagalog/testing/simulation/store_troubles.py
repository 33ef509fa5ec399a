"""A database in trouble, for simulations: read-only for a while, too slow, or refusing one write for a while.

It decides nothing: a fault begins a trouble, which ends by itself in virtual time.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from sagalog.errors import BatchTooLarge, StoreError, StoreFull, StoreReadOnly, StoreUnavailable, WriteRefused
from sagalog.store import Append, Posting, Route
from sagalog.testing.simulation.faults import Fault

# In seconds: shorter than the first retry; as long as a few retries; longer than a lease.
LENGTHS = (0.03, 1.0, 6.0)
# Troubles of one write: it is refused, by the database or by something unexpected. Otherwise: troubles of a whole
# database.
REFUSALS = (WriteRefused, OverflowError)
LOCKS = (StoreUnavailable, StoreReadOnly, StoreFull, BatchTooLarge, StoreError)


class StoreTroubles:
    """The present troubles of a world's database; `now` is its virtual time in seconds."""

    def __init__(self, seeded: random.Random, now: Callable[[], float]) -> None:
        self._seeded = seeded
        self._now = now
        self._read_only_until = 0.0
        self._refused: dict[str, tuple[float, type[Exception]]] = {}
        self._refuse_next: type[Exception] | None = None
        self._too_large_next = False

    def begin(self, fault: Fault) -> None:
        """Begin the trouble of a fault; faults that do not concern the database do nothing."""
        if fault == "read-only":
            self._read_only_until = self._now() + self._seeded.choice(LENGTHS)
        elif fault == "refused":
            self._refuse_next = self._seeded.choice(REFUSALS)
        elif fault == "locked":
            self._refuse_next = self._seeded.choice(LOCKS)
        elif fault == "too large":
            self._too_large_next = True

    def check(self, arguments: tuple[Any, ...]) -> None:
        """Raise the database's error for a write that it does not accept now."""
        if self._now() < self._read_only_until:
            raise StoreReadOnly("cannot execute INSERT in a read-only transaction")
        first: Any = arguments[0] if arguments else ()
        # Appends and postings come as a list, a route alone.
        writes = cast("Sequence[Any]", first if isinstance(first, list) else (first,))
        if self._too_large_next:
            self._too_large_next = False
            raise BatchTooLarge("canceling statement due to statement timeout")
        about = sorted({one for write in writes for one in _identities(write)})
        if self._refuse_next is not None and about:
            until = self._now() + self._seeded.choice(LENGTHS)
            self._refused[self._seeded.choice(about)] = until, self._refuse_next
            self._refuse_next = None
        for one in about:
            until, kind = self._refused.get(one, (0.0, WriteRefused))
            if until > self._now():
                raise kind("not this row, for now")


def _identities(write: object) -> Iterator[str]:
    """Yield the identities in a write, so that the same item is refused again, whatever else is in the batch."""
    if isinstance(write, Append):
        yield f"saga {write.saga_id}"
    elif isinstance(write, Posting):
        yield from (f"message {one.id}" for one in write.messages)
        if write.taken is not None:
            yield f"message {write.taken[1]}"
        if write.retry is not None:
            yield f"message {write.retry.message_id}"
        if write.parked is not None:
            yield f"message {write.parked.message_id}"
    elif isinstance(write, Route):
        yield from (f"start {one.status.saga_key}" for one in write.starts)
        yield from (f"message {one.message_id}" for one in write.inbox)
        yield from (f"message {one.message_id}" for one in write.parked)
        yield from (f"message {one.id}" for one in write.messages)
