"""Reads a message that is to be routed or sent again, from its row of `saga_unmatched` or from the log."""

from sagalog.engine.blocking import Blocking
from sagalog.messages import Envelope, Unreadable
from sagalog.store import Store, UnmatchedQuery, UnmatchedRow


async def with_message(store: Store, blocking: Blocking, row: UnmatchedRow) -> UnmatchedRow | None:
    """Return the row with its message; None if it no longer waits to be delivered again."""
    query = UnmatchedQuery(statuses=("redelivering",), unmatched_id=row.unmatched_id, limit=1)
    for found in await blocking.read(store.unmatched, query):
        return found
    return None


async def mended_message(store: Store, blocking: Blocking, row: UnmatchedRow) -> Envelope | None:
    """Return a message that was parked as unreadable, if the log has it and it can be read now; otherwise None."""
    if row.kind != "unreadable" or row.position is None:
        return None
    for position, envelope in await blocking.read(store.read_messages, row.position - 1, 1):
        if position == row.position and not isinstance(envelope, Unreadable):
            return envelope
    return None
