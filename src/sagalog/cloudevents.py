"""Converts envelopes to CloudEvents 1.0 in binary mode and back: attributes and a body, pure. It opens no connection.

`decode` never raises for messages from outside: one that cannot be read is returned as `Unreadable` with the reason.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, cast
from urllib.parse import quote, unquote

import msgspec
from msgspec import Raw, Struct

from sagalog.errors import InvalidIdentifier, InvalidInput
from sagalog.messages import Envelope
from sagalog.saga.identifiers import check_identifier
from sagalog.saga.payload.payload_type import MAX_PAYLOAD, refuse_unstorable
from sagalog.saga.times import check_time, date_of, time_of

SPECVERSION = "1.0"
# The source of messages of services that use sagalog: `sagalog:<service>/<source>`. Their ids are unique everywhere,
# because a command's id depends on its saga's. Other sources may number their messages from 1.
OUR_SCHEME = "sagalog:"
DEEPEST = 100

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_KINDS: dict[str, Literal["event", "command"]] = {"event": "event", "command": "command"}


class Binding(Struct, frozen=True):
    """How one kind of broker writes attributes as headers.

    `prefix` is put before their names. `percent`: values are percent-encoded, because the broker's headers are ASCII.
    """

    prefix: str
    percent: bool


HTTP = Binding("ce-", True)  # NATS as well
AMQP = Binding("cloudEvents_", False)
KAFKA = Binding("ce_", False)
_PREFIXES = ("ce-", "ce_", "cloudevents:", "cloudevents_")

# Unreadable values stay among the attributes in a marked form, so that two different messages never get the same id:
# bytes that are not UTF-8 as lone surrogates (PEP 383), other types after one mark, and values of a repeated header
# joined by another. No text that was sent can hold any of these, and `decode` refuses them.
NO_TEXT = "\ud800"
TWICE = "\ud801"
_BYTE = re.compile("[\udc80-\udcff]")
_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


class Unreadable(Struct, frozen=True):
    """A message from outside that cannot be taken, and the reason."""

    reason: str


def headers_of(attributes: Mapping[str, str], binding: Binding) -> dict[str, str]:
    """Return attributes as the headers of a broker; the content type goes into the broker's own field for it."""
    found = {
        binding.prefix + name: quote(value, safe=_SAFE) if binding.percent else value
        for name, value in attributes.items()
        if name != "datacontenttype"
    }
    found["content-type"] = attributes["datacontenttype"]
    return found


# Printable ASCII without the space, the quotation mark and the percent sign, as in the HTTP binding.
_SAFE = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"%')


def attributes_of(headers: Mapping[str, object] | Iterable[tuple[str, object]], binding: Binding) -> dict[str, str]:
    """Return the attributes among a broker's headers, with any of the known prefixes.

    Unreadable values are kept in a marked form, so that different messages stay different: see `NO_TEXT` and `TWICE`.
    """
    pairs = cast("Mapping[str, object]", headers).items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    types: dict[str, str] = {}
    for name, value in pairs:
        text = _text_of(value)
        if text is None:
            continue
        lowered = name.lower()
        if lowered == "content-type":
            _add(types, "datacontenttype", text)
            continue
        for prefix in _PREFIXES:
            if lowered.startswith(prefix):
                _add(found, lowered.removeprefix(prefix), _unquoted(text) if binding.percent else text)
                break
    # The broker's own field for the content type wins.
    return found | types


def _text_of(value: object) -> str | None:
    """Return the value of a header as text; None if it has none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool | int | float | datetime):
        return str(value)
    return f"{NO_TEXT}{type(value).__name__}"


def _unquoted(text: str) -> str:
    """Return text with its percent-encoding decoded once; malformed encoding is marked with `NO_TEXT`."""
    return NO_TEXT + text if _PERCENT.search(text) else unquote(text, errors="surrogateescape")


def _add(found: dict[str, str], name: str, text: str) -> None:
    before = found.get(name)
    found[name] = text if before in (None, text) else f"{before}{TWICE}{text}"


def encode(envelope: Envelope, service: str) -> tuple[dict[str, str], bytes]:
    """Return the attributes and the body of a message that `service` sends.

    Raises `InvalidIdentifier` or `InvalidInput` for a message that `decode` would refuse: it is better parked by its
    sender than by its recipient.
    """
    source, message_id = _address(envelope, service)
    attributes = {
        "specversion": SPECVERSION,
        "id": check_identifier(message_id, "id"),
        "source": check_identifier(source, "source"),
        "type": check_identifier(envelope.name, "type"),
        "time": date_of(check_time(envelope.time, "time")),
        "datacontenttype": "application/json",
        "messagekind": envelope.kind,
        "correlationid": check_identifier(envelope.correlation_id, "correlationid"),
    }
    optional = {"causationid": envelope.causation_id, "sagaid": envelope.saga_id, "step": envelope.step}
    for name, value in optional.items():
        if value is not None:
            attributes[name] = check_identifier(value, name)
    body = bytes(envelope.data)
    refuse_deep(body, "the body")
    return attributes, body


def _address(envelope: Envelope, service: str) -> tuple[str, str]:
    """Return the source and the id for the wire; a message from elsewhere keeps its original ones."""
    source = envelope.source
    if source.startswith(OUR_SCHEME):
        return source, envelope.id
    scope = _scope(source)
    if envelope.via is None or not envelope.id.startswith(scope) or envelope.id == scope:
        # Without its source, this id is unique only in our own log, so the message is sent with our source.
        return f"{OUR_SCHEME}{service}/{source}", envelope.id
    return source, envelope.id.removeprefix(scope)


def _scope(source: str) -> str:
    """Return the prefix for the ids of a foreign source; it is different for each source."""
    return source.replace("%", "%25").replace("#", "%23") + "#"


def decode(attributes: Mapping[str, str], body: bytes, now: int, via: str) -> Envelope | Unreadable:
    """Return the message that came over the transport `via`, or the reason why it cannot be read. It never raises.

    A message without a time gets `now` (microseconds since the epoch); one without a correlation id begins its own.
    """
    for name in _READ:
        if (value := attributes.get(name)) is not None and (problem := _unread(name, value)) is not None:
            return Unreadable(problem)
    if (version := attributes.get("specversion")) != SPECVERSION:
        return Unreadable(
            f"expected a CloudEvent in binary mode, specversion {SPECVERSION}, found {_shown(version, 'none')}"
        )
    kind = _KINDS.get(attributes.get("messagekind", "event"))
    if kind is None:
        return Unreadable(f"expected messagekind event or command, found {_shown(attributes['messagekind'])}")
    content = attributes.get("datacontenttype") or "application/json"
    if not _is_json(content):
        return Unreadable(f"expected data in JSON, found datacontenttype {_shown(content)}")
    try:
        source = check_identifier(attributes.get("source", ""), "source")
        message_id = check_identifier(attributes.get("id", ""), "id")
        if not source.startswith(OUR_SCHEME):
            message_id = check_identifier(_scope(source) + message_id, "id, with its source before it")
        given = {name: check_identifier(attributes[name], name) for name in _OPTIONAL if name in attributes}
        return Envelope(
            id=message_id,
            kind=kind,
            name=check_identifier(attributes.get("type", ""), "type"),
            source=source,
            correlation_id=given.get("correlationid", message_id),
            causation_id=given.get("causationid"),
            time=_time_of(attributes.get("time"), now),
            # An empty body is an object without fields.
            data=data_of(body or b"{}", "the body"),
            saga_id=given.get("sagaid"),
            step=given.get("step"),
            via=via,
        )
    except (InvalidIdentifier, InvalidInput) as problem:
        return Unreadable(str(problem))


_OPTIONAL = ("correlationid", "causationid", "sagaid", "step")
_READ = ("specversion", "id", "source", "type", "time", "messagekind", "datacontenttype", *_OPTIONAL)


def _unread(name: str, value: str) -> str | None:
    """Return why an attribute from a transport is no readable text; None if it is."""
    if TWICE in value:
        return f"{name}: expected one header, found several with different values: {_shown(value)}"
    if value.startswith(NO_TEXT):
        return f"{name}: expected text, percent-encoded where headers are ASCII, found {_shown(value)}"
    if (found := _BYTE.search(value)) is not None:
        return f"{name}: expected UTF-8, found the byte 0x{ord(found[0]) - 0xDC00:02X} in {_shown(value)}"
    return None


def _shown(value: str | None, nothing: str = "") -> str:
    return nothing if value is None else ascii(value[:40])


def _is_json(content: str) -> bool:
    media = content.split(";", maxsplit=1)[0].strip().lower()
    # Not structured mode, which holds the attributes as well and must not be taken for the data.
    return not media.startswith("application/cloudevents") and (media.endswith(("/json", "+json")))


def _time_of(text: str | None, now: int) -> int:
    if text is None:
        return now
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        day, clock, fraction, zone = found.groups()
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except (ValueError, OverflowError):
        raise InvalidInput(f"time: expected one as 2026-01-31T12:00:00Z, found {_shown(text)}") from None
    return time_of(moment.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))), "time")


def data_of(body: bytes, what: str) -> Raw:
    """Return a body if it is JSON that every store and every reader can take; raises `InvalidInput` otherwise."""
    if len(body) > MAX_PAYLOAD:
        raise InvalidInput(f"{what} is {len(body):,} bytes, the cap is {MAX_PAYLOAD:,}; pass a reference to large data")
    try:
        # Only decoding it finds text that is not UTF-8 and lone surrogates.
        msgspec.json.encode(msgspec.json.decode(body))
    except RecursionError:
        raise InvalidInput(_too_deep(what)) from None
    except (msgspec.MsgspecError, ValueError) as problem:
        raise InvalidInput(f"{what} is not JSON: {ascii(str(problem))[1:-1]}") from None
    refuse_deep(body, what)
    refuse_unstorable(body, what)
    return Raw(body)


def refuse_deep(body: bytes, what: str) -> None:
    """Raise `InvalidInput` if valid JSON is nested deeper than every reader can take."""
    if _is_deep(body):
        raise InvalidInput(_too_deep(what))


def _too_deep(what: str) -> str:
    return f"{what} is nested more than {DEEPEST} deep"


def _is_deep(body: bytes) -> bool:
    """Tell whether the brackets of valid JSON are nested too deep."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            return True
    return False


_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
