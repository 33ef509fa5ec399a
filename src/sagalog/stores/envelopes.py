"""Builds envelopes from what the SQL stores keep: an index row, an event of the log, or the body of a note."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sagalog.codec import encode_json
from sagalog.messages import Envelope, Unreadable
from sagalog.store import InboxRow
from sagalog.stores.columns import INBOX, INDEXED

_NO_DATA = msgspec.Raw(b"null")
_REPAIR = "compute the tables from the log again (docs/reference/sql.md), or restore the database from a backup"
_FIELDS = tuple(INDEXED.values())
_OF_THE_INBOX = len(INBOX.all.names)


class _Stated(msgspec.Struct):
    """The fields of a message's event that the index does not have."""

    data: msgspec.Raw
    via: str | None = None


_stated = msgspec.json.Decoder(_Stated)
_envelope = msgspec.json.Decoder(Envelope)


def envelope_of(row: Sequence[Any]) -> Envelope:
    """Return a message from its position, its index columns, and its event in the log.

    If the event is no valid message, for instance after a change by hand, it is returned as `Unreadable`: one bad row
    must not keep the others of its page from being read.
    """
    position, state = row[0], row[-1]
    known: dict[str, Any] = dict(zip(_FIELDS, row[1:-1], strict=True))
    try:
        stated = _stated.decode(b"" if state is None else state)
    except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
        why = "no event" if state is None else str(problem)
        return Unreadable(
            **known,
            data=_NO_DATA,
            problem=f"expected the data of the message {known['id']} at position {position} of the log, found none "
            f"({why}); {_REPAIR}",
            raw=_bytes_of(state),
            position=position,
        )
    return Envelope(**known, data=stated.data, via=stated.via)


def body_of(note: Envelope | None) -> str | None:
    """Return what is kept of a message that is not in the log; None for one that is."""
    return None if note is None else encode_json(note).decode()


def mail_of(row: Sequence[Any]) -> tuple[InboxRow, Envelope]:
    """Return an inbox row and its message, from the row's columns, its body and the columns of the message.

    A message that cannot be read is returned as `Unreadable`, with what the inbox row itself says.
    """
    mail = InboxRow(*row[:_OF_THE_INBOX])
    body, message = row[_OF_THE_INBOX], row[_OF_THE_INBOX + 1 :]
    if body is None and message[0] is not None:
        return mail, envelope_of(message)
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
