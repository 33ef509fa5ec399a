"""The part of the port that appends decisions to sagas, each one completely or not at all."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sagalog.store.requests import Append, AppendOutcome

# Called with the driver's connection, and with how many events a transaction has written at most.
Companion = Callable[[Any, int], None]


class Appending(Protocol):
    """The role of a store to append decisions."""

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write all appends that can be written, in one durable transaction; a conflict fails only its own append.

        The outcomes come in the order of `appends`. An append that was written before, although its acknowledgement was
        lost, counts as written. Raises `StoreUnavailable` when it is unknown whether it was written; appending the same
        again is safe. Each append has at least one event. Its messages, commands and notes are written together with
        its events, and what it has taken leaves the inbox. A message that it took but that is not in the inbox is a
        conflict.
        """
        ...

    def accompany(self, companion: Companion) -> Callable[[], None]:
        """Call `companion` at the end of each transaction that writes to the log; return a function that stops it.

        What it writes on that connection is committed with the events, and what it raises fails the transaction. It
        commits nothing itself. Only stores with SQL support it.
        """
        ...
