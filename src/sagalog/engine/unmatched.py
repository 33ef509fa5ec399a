"""The rows of `saga_unmatched`: messages that could not be taken, and why. It writes none."""

import hashlib

from msgspec.structs import replace

from sagalog.clock import Clock, new_id
from sagalog.codec import encode_json
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.events import error_from
from sagalog.saga.identifiers import LONGEST_NAME, check_identifier
from sagalog.store import UnmatchedRow

# The consumer in rows of messages that were parked on arrival and are not in the log. The stored word stays as old rows
# have it.
INTAKE = "door"
LONGEST_RAW = 64 * 1024


def unknown(envelope: Envelope) -> str:
    """Return why a message is parked whose name this process does not know."""
    return f"nobody knows {envelope.kind}s called {envelope.name}; add who takes them, then redeliver it"


def parked_row(clock: Clock, consumer: str, envelope: Envelope, position: int | None, reason: str) -> UnmatchedRow:
    """Return the row of `saga_unmatched` that says why a consumer could not take a message.

    An unreadable message is kept as its raw text, and its digest is its id.
    """
    row = UnmatchedRow(
        unmatched_id=new_id(clock),
        consumer=consumer,
        message_id=envelope.id,
        kind=envelope.kind,
        name=envelope.name,
        source=envelope.source,
        reason=error_from("error", "", reason).message,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        position=position,
        message=_text_of(envelope),
        parked_at=clock.now(),
    )
    return cut_down(row) if isinstance(envelope, Unreadable) else row


def _text_of(envelope: Envelope) -> str:
    if isinstance(envelope, Unreadable):
        return envelope.raw[:LONGEST_RAW].decode("utf-8", "backslashreplace")
    return encode_json(envelope).decode()


def cut_down(row: UnmatchedRow) -> UnmatchedRow:
    """Return the row of a message that the database refuses as it is: a digest as its id, and all texts in ASCII."""
    return replace(
        row,
        message_id=digest_id(row.message_id),
        kind="unreadable",
        name=ascii(row.name)[1:-1][:200],
        source=ascii(row.source)[1:-1][:200],
        reason=ascii(row.reason)[1:-1],
        correlation_id=None,
        causation_id=None,
        message=ascii(row.message)[1:-1],
    )


def digest_id(message_id: str) -> str:
    """Return the id under which a message is parked if the database refuses its own id."""
    return "raw-" + hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def raw_row(clock: Clock, source: str, raw: bytes | str, reason: str) -> UnmatchedRow:
    r"""Return the row for something that came from `source` and could not be read as a message.

    The id is a digest of its bytes, so the same bytes are the same row. 64 KiB are kept, and bytes that are no text as
    escapes (`\xff`).
    """
    data = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    text = data[:LONGEST_RAW].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return UnmatchedRow(
        unmatched_id=new_id(clock),
        consumer=INTAKE,
        message_id="raw-" + hashlib.sha256(data).hexdigest()[:32],
        kind="unreadable",
        name="",
        source=check_identifier(source, "the source", LONGEST_NAME),
        reason=error_from("error", "", reason).message,
        correlation_id=None,
        causation_id=None,
        position=None,
        # Escapes take more room than what they stand for.
        message=text.encode()[:LONGEST_RAW].decode("utf-8", "ignore"),
        parked_at=clock.now(),
    )
