"""Putting messages into the log, or into `saga_unmatched`: once, and logged when durable. It checks nothing."""

from functools import partial

from sagalog.engine.message_log import log_parked, log_published
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Written
from sagalog.messages import Envelope
from sagalog.store import Posting, UnmatchedRow


async def publish(committer: Committer, envelope: Envelope) -> None:
    """Put a message into the log, unless one with its id is there; returns once it is durable."""
    await committer.post(Posting(messages=(envelope,)), patient=False, then=partial(_published, envelope))


async def park(committer: Committer, row: UnmatchedRow) -> None:
    """Put a message that could not be taken into `saga_unmatched`, unless it is there; return once it is durable."""
    await committer.post(Posting(parked=row), patient=False, then=partial(_parked, row))


def _published(envelope: Envelope, written: Written) -> None:
    if written:
        log_published(envelope)


def _parked(row: UnmatchedRow, written: Written) -> None:
    if written:
        log_parked(row)
