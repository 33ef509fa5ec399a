"""The part of the port about writing: what was decided of sagas, each decision whole or not at all."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Append, AppendOutcome


class Appending(Protocol):
    """A store that decisions are written to."""

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write all that can be written in one durable transaction; a conflict fails only its own append.

        An append that had landed before (its acknowledgement was lost) counts as written. Raises `StoreUnavailable`
        when nobody knows whether it was written: appending the same again is safe. Each append has an event at least;
        its messages, commands and notes are written, and what it has taken leaves the inbox, with its events or not at
        all. A message that is taken but is not in the inbox (any more) is a conflict.
        """
        ...
