"""Messages to be routed or sent again, read when their turn comes: from `saga_unmatched`, or from the log."""

from sagalog.engine.blocking import Blocking
from sagalog.messages import Envelope, Unreadable
from sagalog.store import Store, UnmatchedQuery, UnmatchedRow


async def with_message(store: Store, blocking: Blocking, row: UnmatchedRow) -> UnmatchedRow | None:
    """Return a row with its message; None if it is no longer to be routed again."""
    query = UnmatchedQuery(statuses=("redelivering",), unmatched_id=row.unmatched_id, limit=1)
    for found in await blocking.read(store.unmatched, query):
        return found
    return None


async def mended_message(store: Store, blocking: Blocking, row: UnmatchedRow) -> Envelope | None:
    """Return a message that was parked as unreadable, if it can be read by now."""
    if row.kind != "unreadable" or row.position is None:
        return None
    for position, envelope in await blocking.read(store.read_messages, row.position - 1, 1):
        if position == row.position and not isinstance(envelope, Unreadable):
            return envelope
    return None
