"""Queued writes, and the pieces in which they are written. It writes nothing itself."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from sagalog.store import Append, Posting

logger = logging.getLogger("sagalog.engine")

# The size of an append or a posting without its payloads, roughly.
BYTES_OF_A_WRITE = 600

# What has become of a write: "written", or why it was not. An exception: nobody knows, or the database refuses it.
Outcome = str | Exception
# Called once with that.
Then = Callable[[Outcome], None]
# A callback and its outcome.
Told = tuple[Then, Outcome]
# A write, and the callback for its outcome.
Queued = tuple[Any, Then]
Write = Callable[[Sequence[Any]], Sequence[str]]


class Piece(Struct, eq=False):
    """The writes of one transaction, until their outcomes are known."""

    queued: list[Queued]
    write: Write
    # How often it has failed, alone or within a larger piece, and the last error.
    tries: int = 0
    problem: Exception | None = None
    # How often it was refused alone, and how often it has rested.
    refusals: int = 0
    rests: int = 0


def tell(then: Then, outcome: Outcome) -> None:
    """Call back with the outcome of a write; an exception of the callback must not end the writing."""
    try:
        then(outcome)
    except Exception:
        logger.exception("what follows from a write could not be done")


def resolve(future: "asyncio.Future[Any]", outcome: Outcome) -> None:
    """Give a future the outcome of a write, if somebody still waits for it."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def size_of(write: Append | Posting) -> int:
    """Return roughly how many bytes a write has; a result counts twice, in its event and in the row of its step."""
    if isinstance(write, Append):
        size = BYTES_OF_A_WRITE
        for _, state in write.events:
            size += 2 * len(state)
        return size
    return BYTES_OF_A_WRITE + sum(len(one.data) for one in write.messages)


def name_of(write: Append | Posting) -> str:
    """Return the name of a write for the log."""
    return f"the decision of saga {write.saga_id}" if isinstance(write, Append) else "a posting"
