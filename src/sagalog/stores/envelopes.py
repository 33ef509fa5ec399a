"""Envelopes from what the SQL stores keep of them: a row of the index, an event of the log, the body of a note."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sagalog.messages import Envelope, Unreadable
from sagalog.store import InboxRow
from sagalog.stores.columns import INBOX, INDEXED

_NO_DATA = msgspec.Raw(b"null")
_REPAIR = "compute the tables from the log again (docs/reference/sql.md), or restore the database from a backup"
_FIELDS = tuple(INDEXED.values())
_OF_THE_INBOX = len(INBOX.all.names)


class _Stated(msgspec.Struct):
    """What the event of a message has at its top, and the index has not."""

    data: msgspec.Raw
    via: str | None = None


_stated = msgspec.json.Decoder(_Stated)
_envelope = msgspec.json.Decoder(Envelope)


def envelope_of(row: Sequence[Any]) -> Envelope:
    """Return a message from its position, the columns of its row in the index, and its event in the log.

    If the event there is no message, since somebody has written to the tables, it is `Unreadable`: one row must not
    keep others of the same page from being read.
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


def mail_of(row: Sequence[Any]) -> tuple[InboxRow, Envelope]:
    """Return a row of an inbox and what it is about, from its columns, its body and the columns of the message.

    What cannot be read of it is `Unreadable`, with what the row of the inbox itself says.
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
