"""A log record for each step of a message, with its id and correlation id as fields."""

import logging

from sagalog.messages import Envelope
from sagalog.store import InboxRow, Posting, Route, UnmatchedRow

logger = logging.getLogger("sagalog.messages")

# The reason begins like this for a message that is set aside only because an earlier one is.
WAITS_FOR = "waits for"


def log_published(envelope: Envelope) -> None:
    """Log that a message is in the log of messages."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("%s %s published by %s", envelope.name, envelope.id, envelope.source, extra=_fields(envelope))


def log_routed(route: Route) -> None:
    """Log who is to take which message, and which messages nobody could take."""
    if logger.isEnabledFor(logging.INFO):
        for row in route.inbox:
            fields = {"message_id": row.message_id, "message_name": row.name, "recipient": row.recipient}
            logger.info("%s %s routed to %s", row.name, row.message_id, row.recipient, extra=fields)
        for envelope in route.messages:
            log_published(envelope)
    for parked in route.parked:
        log_parked(parked)


def log_handled(row: InboxRow, envelope: Envelope, posting: Posting) -> None:
    """Log the outcome for a message that a participant handled."""
    if posting.parked is not None:
        log_parked(posting.parked)
    elif posting.retry is not None:
        retry = posting.retry
        logger.warning(
            "%s %s is handled again by %s: %s: %s",
            envelope.name,
            envelope.id,
            row.recipient,
            retry.error_type,
            retry.error_text,
            extra=_fields(envelope) | {"recipient": row.recipient, "attempt": retry.attempts, "due_at": retry.due_at},
        )
    elif logger.isEnabledFor(logging.INFO):
        fields = _fields(envelope) | {"recipient": row.recipient, "attempt": row.attempts + 1}
        logger.info("%s %s handled by %s", envelope.name, envelope.id, row.recipient, extra=fields)
        for answer in posting.messages:
            log_published(answer)


def log_parked(row: UnmatchedRow) -> None:
    """Log that nobody could take a message, or that it is tried again later, with the reason."""
    is_parked = row.status == "parked"
    # The message that is waited for was logged as a warning; a long lane would repeat it many times.
    level = logging.INFO if row.reason.startswith(WAITS_FOR) else logging.WARNING
    logger.log(
        logging.ERROR if is_parked else level,
        "%s %s is parked for %s: %s" if is_parked else "%s %s is set aside for %s: %s",
        row.name,
        row.message_id,
        row.consumer,
        row.reason,
        extra={
            "message_id": row.message_id,
            "message_name": row.name,
            "source": row.source,
            "correlation_id": row.correlation_id,
            "causation_id": row.causation_id,
            "recipient": row.consumer,
            "unmatched_id": row.unmatched_id,
        },
    )


def _fields(envelope: Envelope) -> dict[str, object]:
    return {
        "message_id": envelope.id,
        "message_name": envelope.name,
        "source": envelope.source,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
    }
