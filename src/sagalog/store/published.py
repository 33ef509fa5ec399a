"""How messages stand in the log, the same in every store: streams, topics, envelopes from rows. It writes nothing."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sagalog.messages import Envelope, Unreadable
from sagalog.store import InboxRow

# An event, or a command that no saga issued, is a stream of its own with its envelope as the one event.
PUBLISHED = "sagalog.MessagePublished.1"
PREFIX = "message:"
_INBOX_COLUMNS = 11
_NO_DATA = msgspec.Raw(b"null")
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
    state: bytes | str | None,
) -> Envelope:
    """Return a message from its row of the index and its event in the log, which has the data at the top.

    If the event there is no message, since somebody has written to the tables, it is `Unreadable`: one row must not
    keep others of the same page from being read.
    """
    try:
        stated = _stated.decode(b"" if state is None else state)
    except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
        why = "no event" if state is None else str(problem)
        return Unreadable(
            id=id,
            kind=kind,
            name=name,
            source=source,
            correlation_id=correlation_id,
            causation_id=causation_id,
            time=time,
            data=_NO_DATA,
            saga_id=saga_id,
            step=step,
            problem=f"expected the data of the message {id} at position {position} of the log, found none ({why}); "
            f"{_REPAIR}",
            raw=_bytes_of(state),
            position=position,
        )
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
    """Return a row of an inbox and what it is about, from its columns, its body and the columns of the message.

    What cannot be read of it is `Unreadable`, with what the row of the inbox itself says.
    """
    mail = InboxRow(*row[:_INBOX_COLUMNS])
    body, message = row[_INBOX_COLUMNS], row[_INBOX_COLUMNS + 1 :]
    if body is None and message[0] is not None:
        return mail, envelope_of(*message)
    why = "none"
    if body is not None:
        try:
            return mail, _envelope.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
            why = f"something else in its body ({problem})"
    return mail, Unreadable(
        id=mail.message_id,
        kind="event" if body is None else "note",
        name=mail.name,
        source="",
        correlation_id=mail.lane,
        time=mail.arrived_at,
        data=_NO_DATA,
        problem=f"expected the message {mail.message_id} at position {mail.position} of the log, found {why}; "
        f"{_REPAIR}",
        raw=_bytes_of(body),
        position=mail.position,
    )


def _bytes_of(found: bytes | str | None) -> bytes:
    return found.encode("utf-8", "surrogatepass") if isinstance(found, str) else bytes(found or b"")
