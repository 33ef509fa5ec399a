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
    # Checked like the others, because the log stores it as text.
    ("via", "the transport", LONGEST_NAME),
)
_OPTIONAL = frozenset({"causation_id", "saga_id", "step", "via"})


def check_envelope(envelope: Envelope, vocabulary: Vocabulary) -> Envelope:
    """Return the envelope, checked: every store can keep it, and its kind and data match what is declared for its name.

    Raises `InvalidIdentifier` for an unusable id, name or source, `PayloadTooLarge` for too much data, and
    `InvalidInput` for any other mistake.
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
    # A sender's clock may be wrong, but every time that is stored must be one that can be sent, too.
    check_time(envelope.time, f"the time of {what}")
    check_data(envelope, vocabulary, what)
    return envelope


def _check_kind(envelope: Envelope, vocabulary: Vocabulary, what: str) -> None:
    """Raise `InvalidInput` for a command with an event's name or the reverse, because nobody would take it."""
    declared = vocabulary.kind(envelope.name)
    expected = envelope.kind if declared is None else ("command" if issubclass(declared, Command) else "event")
    if envelope.kind != expected:
        raise InvalidInput(f"{what}: expected the kind {expected}, as it is declared here, found {envelope.kind}")


def check_data(envelope: Envelope, vocabulary: Vocabulary, what: str) -> None:
    """Raise `PayloadTooLarge` or `InvalidInput` for data that cannot be stored or does not match its name's type."""
    if type(envelope.data) is not msgspec.Raw:
        raise InvalidInput(f"the data of {what}: expected msgspec.Raw, found {type(envelope.data).__name__}")
    data = bytes(envelope.data)
    if len(data) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"the data of {what} is {len(data):,} bytes of JSON, the cap is {MAX_PAYLOAD:,}")
    data_of(data, f"the data of {what}")
    payload = vocabulary.payload(envelope.name)
    if payload is not None:
        payload.accept(data)
