"""A batch that collects what consumers do with messages, until it is written. It reads and writes nothing."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.engine.cycle import Decision, append_of
from sagalog.messages import Envelope
from sagalog.store import Advance, InboxRow, Route, UnmatchedRow

Found = Sequence[tuple[int, Envelope]]


class Batch:
    """What consumers do with some messages, collected for one write."""

    def __init__(self) -> None:
        self.begun: list[Decision] = []
        self.inbox: list[InboxRow] = []
        self.notes: dict[str, Envelope] = {}
        self.messages: list[Envelope] = []
        self.parked: list[UnmatchedRow] = []

    def __bool__(self) -> bool:
        """Tell whether there is anything to write."""
        return bool(self.begun or self.inbox or self.messages or self.parked)

    def route(self, advances: Sequence[Advance], redelivered: Sequence[str] = ()) -> Route:
        """Return the batch as one write; any worker may claim the sagas that it starts."""
        starts = [append_of(decision, None, None) for decision in self.begun]
        return Route(advances, starts, self.inbox, self.messages, self.parked, redelivered, self.notes)


def inbox_row(recipient: str, lane: str, position: int, envelope: Envelope, now: int) -> InboxRow:
    """Return the inbox row that gives a message to its recipient."""
    return InboxRow(recipient, envelope.id, lane, envelope.name, now, now, position=position)


class Routes(Protocol):
    """The routing of one consumer."""

    consumer: str

    async def route(self, found: Found, batch: Batch) -> None:
        """Add to `batch` what this consumer does with these messages and positions; may read the store."""
        ...
