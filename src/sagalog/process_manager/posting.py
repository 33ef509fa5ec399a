"""Writes messages to the log or to `saga_unmatched`, each once, and logs it when durable. It checks nothing."""

from functools import partial

from sagalog.engine.message_log import log_parked, log_published
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Outcome
from sagalog.messages import Envelope
from sagalog.store import Posting, UnmatchedRow


async def publish(committer: Committer, envelope: Envelope) -> None:
    """Write a message to the log unless its id is there already; return once it is durable."""
    await committer.post(Posting(messages=(envelope,)), patient=False, then=partial(_published, envelope))


async def park(committer: Committer, row: UnmatchedRow) -> None:
    """Write a row to `saga_unmatched`, or update the one for the same message; return once it is durable."""
    await committer.post(Posting(parked=row), patient=False, then=partial(_parked, row))


def _published(envelope: Envelope, outcome: Outcome) -> None:
    if outcome == "written":
        log_published(envelope)


def _parked(row: UnmatchedRow, outcome: Outcome) -> None:
    if outcome == "written":
        log_parked(row)
