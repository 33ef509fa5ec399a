"""How messages stand in the log, the same in every store: streams, topics, envelopes from rows. It writes nothing."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sagalog.errors import StoreError
from sagalog.messages import Envelope
from sagalog.store import InboxRow

# An event, or a command that no saga issued, is a stream of its own with its envelope as the one event.
PUBLISHED = "sagalog.MessagePublished.1"
PREFIX = "message:"
_INBOX_COLUMNS = 11
_REPAIR = "compute the tables from the log again (docs/reference/sql.md), or restore the database from a backup"


class _Stated(msgspec.Struct):
    data: msgspec.Raw
    via: str | None = None


_stated = msgspec.json.Decoder(_Stated)
_envelope = msgspec.json.Decoder(Envelope)


def stream_of(message_id: str) -> str:
    """Return the id of the stream that a published message is."""
    return PREFIX + message_id


def is_message_stream(stream_id: str) -> bool:
    """Tell whether a stream of the log is a published message and no saga."""
    return stream_id.startswith(PREFIX)


def envelope_of(
    position: int,
    id: str,
    kind: Any,
    name: str,
    source: str,
    correlation_id: str,
    causation_id: str | None,
    time: int,
    saga_id: str | None,
    step: str | None,
    state: bytes,
) -> Envelope:
    """Return a message from its row of the index and its event in the log, which has the data at the top.

    Raises `StoreError` if the event there is no message: somebody has written to the tables.
    """
    try:
        stated = _stated.decode(state)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise StoreError(
            f"expected the data of the message {id} at position {position} of the log, found none ({problem}); "
            f"{_REPAIR}"
        ) from None
    return Envelope(
        id=id,
        kind=kind,
        name=name,
        source=source,
        correlation_id=correlation_id,
        causation_id=causation_id,
        time=time,
        data=stated.data,
        saga_id=saga_id,
        step=step,
        via=stated.via,
    )


def mail_of(row: Sequence[Any]) -> tuple[InboxRow, Envelope]:
    """Return a row of an inbox and what it is about, from its columns, its body and the columns of the message."""
    mail = InboxRow(*row[:_INBOX_COLUMNS])
    body, message = row[_INBOX_COLUMNS], row[_INBOX_COLUMNS + 1 :]
    if body is not None:
        return mail, _envelope.decode(body)
    if message[0] is None:
        raise StoreError(
            f"expected the message {mail.message_id} at position {mail.position} of the log, found none; {_REPAIR}"
        )
    return mail, envelope_of(*message)
