"""The part of the port about messages: each is in the log once and read in order; and the state of commands."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.messages import Envelope
from sagalog.store.requests import Posting, PostOutcome
from sagalog.store.rows import CommandRow


class Messages(Protocol):
    """The role of a store to keep messages."""

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages and changes of inbox rows in one durable transaction, each posting completely or not at all.

        A message whose id is already in the log, as an event or as a saga's command, is skipped. So posting the same
        again is safe, and a posting without `taken` and `retry` is always "written". "conflict": the row to take or
        retry is gone, or was attempted more often than `retry` says; nothing of that posting is written. A row of
        `parked` replaces an existing one for the same consumer and message, and keeps its id. Raises
        `InvalidIdentifier`, as `route` does, for a text with NUL or lone surrogates; then nothing is written.
        """
        ...

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after`, with positions, in order; no lower position appears later."""
        ...

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids in the order of their positions."""
        ...

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message with its position, the first one if it is in the log twice; None if it is not there."""
        ...

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return, by id, the rows of those of these commands that sagas have sent."""
        ...

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has sent, in the order of sending."""
        ...

    def commands_many(self, saga_ids: Sequence[str]) -> dict[str, list[CommandRow]]:
        """Return, by saga id, what `commands_of` returns of each of these sagas."""
        ...

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace the index of messages above position `after`, up to `upto`, by one computed from the log."""
        ...
