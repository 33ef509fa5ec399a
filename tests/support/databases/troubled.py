"""A store in memory that answers with what a test says: every class of error that stores have, and strange ones."""

from collections.abc import Callable, Sequence

from sagalog.errors import (
    BatchTooLarge,
    SchemaTooOld,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    WriteRefused,
)
from sagalog.store import Append, AppendOutcome
from sagalog.stores.memory.store import MemoryStore

# Every class of error that a store has for a write.
CLASSES = [StoreUnavailable, StoreReadOnly, StoreFull, BatchTooLarge, WriteRefused, StoreError, SchemaTooOld]
TRANSIENT = [one for one in CLASSES if one is not WriteRefused]
# What is no error of a store at all: a mistake in the driver, or in the store itself.
STRANGE = [OverflowError, MemoryError, RecursionError, KeyError]


class Troubled(MemoryStore):
    """A store that answers with what a test says before anything is written; `trouble` may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Callable[[Sequence[Append]], None] = lambda _: None
        self.asked = 0
        self.batches: list[int] = []

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        self.asked += 1
        self.trouble(appends)
        self.batches.append(len(appends))
        return super().append(appends)


def for_a_while(problem: Exception, times: int, which: Callable[[Append], bool]) -> Callable[[Sequence[Append]], None]:
    """Raise so many times when a batch holds one of these."""
    left = [times]

    def trouble(appends: Sequence[Append]) -> None:
        if left[0] > 0 and any(which(one) for one in appends):
            left[0] -= 1
            raise problem

    return trouble


def goes_on(one: Append) -> bool:
    return one.status.saga_key == "odd" and one.expected > 0
