"""What comes from outside is checked here before it enters the log, or parked with the reason. It routes nothing."""

import hashlib
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from sagalog.clock import Clock, new_id
from sagalog.cloudevents import data_of
from sagalog.codec import encode_json
from sagalog.errors import InvalidInput, PayloadTooLarge
from sagalog.messages import Command, Envelope, Unreadable
from sagalog.saga.events import error_from
from sagalog.saga.identifiers import LONGEST_ID, LONGEST_NAME, check_identifier
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.saga.payload.payload_type import MAX_PAYLOAD
from sagalog.saga.times import check_time
from sagalog.store import UnmatchedRow

# The consumer under which messages are parked that never got into the log.
DOOR = "door"
LONGEST_RAW = 64 * 1024

_IDENTIFIERS = (
    ("name", "the name", LONGEST_NAME),
    ("id", "the id", LONGEST_ID),
    ("source", "the source", LONGEST_NAME),
    ("correlation_id", "the correlation id", LONGEST_ID),
    ("causation_id", "the causation id", LONGEST_ID),
    ("saga_id", "the saga id", LONGEST_ID),
    ("step", "the step", LONGEST_ID),
    # The log has it as text, and nobody could read it as anything else.
    ("via", "the transport", LONGEST_NAME),
)
_OPTIONAL = frozenset({"causation_id", "saga_id", "step", "via"})


def check_envelope(envelope: Envelope, vocabulary: Vocabulary) -> Envelope:
    """Return an envelope that every store can keep and whose data is what its name says.

    Raises `InvalidIdentifier` for an id, name or source that is none (no identity, no entry), `PayloadTooLarge` and
    `InvalidInput` for its data, `InvalidInput` for a kind that its name does not have.
    """
    what = f"message {check_identifier(envelope.name, 'the name of the message', LONGEST_NAME)}"
    exact: dict[str, str] = {}
    for field, called, longest in _IDENTIFIERS:
        given: Any = getattr(envelope, field)
        if not (given is None and field in _OPTIONAL):
            text = check_identifier(cast(str, given), f"{called} of {what}", longest)
            if text is not given:
                exact[field] = text
    if exact:
        envelope = replace(envelope, **exact)
    if envelope.kind not in ("event", "command"):
        raise InvalidInput(f"{what}: expected the kind event or command, found {envelope.kind!r}")
    _check_kind(envelope, vocabulary, what)
    # Clocks of others may be wrong, but what comes in must be able to go out.
    check_time(envelope.time, f"the time of {what}")
    check_data(envelope, vocabulary, what)
    return envelope


def _check_kind(envelope: Envelope, vocabulary: Vocabulary, what: str) -> None:
    """Raise `InvalidInput` for a command with the name of an event, or the other way round: nobody would take it."""
    declared = vocabulary.kind(envelope.name)
    expected = envelope.kind if declared is None else ("command" if issubclass(declared, Command) else "event")
    if envelope.kind != expected:
        raise InvalidInput(f"{what}: expected the kind {expected}, as it is declared here, found {envelope.kind}")


def check_data(envelope: Envelope, vocabulary: Vocabulary, what: str) -> None:
    """Raise `PayloadTooLarge` or `InvalidInput` for data that cannot be kept, or is not what the name says."""
    if type(envelope.data) is not msgspec.Raw:
        raise InvalidInput(f"the data of {what}: expected msgspec.Raw, found {type(envelope.data).__name__}")
    data = bytes(envelope.data)
    if len(data) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"the data of {what} is {len(data):,} bytes of JSON, the cap is {MAX_PAYLOAD:,}")
    data_of(data, f"the data of {what}")
    payload = vocabulary.payload(envelope.name)
    if payload is not None:
        payload.accept(data)


def unknown(envelope: Envelope) -> str:
    """Return why a message is parked whose name is none of this process's."""
    return f"nobody knows {envelope.kind}s called {envelope.name}; add who takes them, then redeliver it"


def parked_row(clock: Clock, consumer: str, envelope: Envelope, position: int | None, reason: str) -> UnmatchedRow:
    """Return the row of `saga_unmatched` that says why a consumer could not take a message.

    One that cannot be read is kept as what is there in its place, and known by its digest.
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
    """Return the row of a message that no database takes as it is: its digest for its id, and all texts in ASCII."""
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
    """Return the id under which a message is parked whose own id no database takes."""
    return "raw-" + hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def raw_row(clock: Clock, source: str, raw: bytes | str, reason: str) -> UnmatchedRow:
    r"""Return the row for something that came from `source` and could not be read as a message.

    The same again is the same row: its id is that of its bytes, of which 64 KiB are kept. What is no text among them is
    kept as its escape (`\xff`).
    """
    data = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    text = data[:LONGEST_RAW].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return UnmatchedRow(
        unmatched_id=new_id(clock),
        consumer=DOOR,
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
