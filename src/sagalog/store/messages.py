"""The part of the port about messages: in the log once, read in its order, and what became of commands."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.messages import Envelope
from sagalog.store.requests import Posting, PostOutcome
from sagalog.store.rows import CommandRow


class Messages(Protocol):
    """A store that keeps messages."""

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages, and what became of rows of inboxes, in one durable transaction; each posting wholly or not.

        A message whose id is in the log already, as an event or as a saga's command, is passed over: posting the same
        again is safe, and a posting without `taken` and `retry` is always "written". "conflict": the row that was taken
        or is to be retried is gone, or has been attempted more often than `retry` knows; nothing of that posting is
        written. A row of `parked` replaces the one for the same consumer and message, and keeps its id. Raises
        `InvalidIdentifier` for a text with NUL or lone surrogates, as `route` does; nothing is written.
        """
        ...

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after` with their positions, in order. Never passes one committed later."""
        ...

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids in the order of their positions."""
        ...

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message where it first stands in the log."""
        ...

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those commands that sagas have issued."""
        ...

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has issued, in the order in which it did."""
        ...

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace which messages there are above position `after`, up to `upto`, by what was computed from the log."""
        ...
