"""What could not be read and was parked, read again where it stands: somebody may have mended it. It mends nothing."""

from sagalog.engine.blocking import Blocking
from sagalog.messages import Envelope, Unreadable
from sagalog.store import Store, UnmatchedRow


async def mended_message(store: Store, blocking: Blocking, row: UnmatchedRow) -> Envelope | None:
    """Return the message that was parked since it could not be read, if it can be read by now."""
    if row.kind != "unreadable" or row.position is None:
        return None
    for position, envelope in await blocking.read(store.read_messages, row.position - 1, 1):
        if position == row.position and not isinstance(envelope, Unreadable):
            return envelope
    return None
