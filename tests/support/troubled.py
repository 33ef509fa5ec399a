"""A store in memory that answers with what a test says, before anything is written."""

from collections.abc import Callable, Sequence

from sagalog.store import Append, AppendOutcome
from sagalog.stores.memory import MemoryStore


class Troubled(MemoryStore):
    """Answer with what a test says before anything is written; `trouble` may raise."""

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
