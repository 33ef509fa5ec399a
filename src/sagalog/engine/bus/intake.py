"""Checks of messages from outside before they enter the log. It parks and routes nothing."""

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from sagalog.cloudevents import data_of
from sagalog.errors import InvalidInput, PayloadTooLarge
from sagalog.messages import Command, Envelope
from sagalog.saga.identifiers import LONGEST_ID, LONGEST_NAME, check_identifier
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.saga.payload.payload_type import MAX_PAYLOAD
from sagalog.saga.times import check_time

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
