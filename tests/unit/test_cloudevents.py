"""Messages on the wire: what goes out comes back the same, and whatever else comes in is refused with a reason."""

import json
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Raw, structs

from sagalog.cloudevents import AMQP, HTTP, KAFKA, Binding, Unreadable, attributes_of, decode, encode, headers_of
from sagalog.engine.bus.intake import check_envelope
from sagalog.errors import InvalidIdentifier, InvalidInput
from sagalog.harmless import CONTROLS
from sagalog.messages import Envelope
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.saga.payload.payload_type import MAX_PAYLOAD
from sagalog.saga.times import EARLIEST_TIME, LATEST_TIME

NOW = 1_700_000_000_000_000
BINDINGS = [HTTP, AMQP, KAFKA]

# Of what is no letter, mark, number, punctuation or symbol, only blanks between others are in an id.
plain_text = st.text(st.characters(exclude_categories=["C", "M", "Zl", "Zp"]), min_size=1, max_size=60).filter(
    lambda text: not text.isspace() and CONTROLS.search(text) is None
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=10,
)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    kind = draw(st.sampled_from(["event", "command"]))
    return Envelope(
        id=draw(plain_text),
        kind=cast(Any, kind),
        name=draw(plain_text),
        source=draw(plain_text.filter(lambda text: not text.startswith("sagalog:"))),
        correlation_id=draw(plain_text),
        causation_id=draw(st.none() | plain_text),
        time=draw(st.integers(EARLIEST_TIME, LATEST_TIME)),
        data=Raw(json.dumps(draw(json_values)).encode()),
        saga_id=draw(st.none() | plain_text),
        step=draw(st.none() | plain_text),
    )


def over_the_wire(envelope: Envelope, binding: Binding, service: str = "orders") -> Envelope:
    """Send and receive a message as a transport does."""
    attributes, body = encode(envelope, service)
    headers: dict[str, Any] = dict(headers_of(attributes, binding))
    if binding is KAFKA:
        headers = {name: value.encode() for name, value in headers.items()}
    arrived = decode(attributes_of(headers, binding), body, NOW, "wire")
    assert isinstance(arrived, Envelope), arrived
    return arrived


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: str(binding.prefix))
@given(sent=envelopes())
def test_what_goes_out_comes_in_the_same(binding: Binding, sent: Envelope) -> None:
    arrived = over_the_wire(sent, binding)
    assert arrived == structs.replace(sent, source=f"sagalog:orders/{sent.source}", via="wire")


any_text = st.text(max_size=30) | st.text("#%a/é\n", max_size=30)
far_times = st.sampled_from([0, -1, LATEST_TIME, LATEST_TIME + 1, 2**62, 2**63, 10**5000]) | st.integers()


BAD_DATA = [b"", b"[" * 101 + b"]" * 101, b'"\\ud800"', b'"\xff"', b"1e400", b" 1 ", b'"\\u0000"']


@st.composite
def anything_like_an_envelope(draw: st.DrawFn) -> Envelope:
    """Draw a message in which one thing may be as it should not be."""
    sent = draw(envelopes())
    field = draw(st.sampled_from(["", "time", "data", "via", "id", "name", "source", "correlation_id", "step"]))
    changed: Any = None
    if field == "via":
        # As what came over a transport has it.
        sent = structs.replace(sent, id=f"{sent.source}#{sent.id}")
        changed = "other"
    elif field:
        changed = draw({"time": far_times, "data": st.sampled_from(BAD_DATA).map(Raw)}.get(field, any_text))
    return structs.replace(sent, **{field: changed}) if field else sent


def the_door_takes(envelope: Envelope) -> bool:
    try:
        check_envelope(envelope, Vocabulary([]))
    except (InvalidIdentifier, InvalidInput):
        return False
    return True


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: str(binding.prefix))
@given(sent=anything_like_an_envelope())
def test_whatever_the_door_takes_in_can_go_out_over_every_broker_and_is_the_same_there(
    binding: Binding, sent: Envelope
) -> None:
    assume(the_door_takes(sent))
    arrived = over_the_wire(sent, binding)
    for field in ("id", "kind", "name", "correlation_id", "causation_id", "time", "data", "saga_id", "step"):
        assert getattr(arrived, field) == getattr(sent, field), field


parts = st.text("#%a2", min_size=1, max_size=4)


@st.composite
def addressed(draw: st.DrawFn) -> Envelope:
    """Draw a message as any door may have let it in: with its source before its id or not, from a transport or not."""
    source = draw(parts | parts.map(lambda name: f"sagalog:{name}"))
    message_id = draw(parts | parts.map(lambda rest: source.replace("%", "%25").replace("#", "%23") + "#" + rest))
    return structs.replace(SMALL, source=source, id=message_id, via=draw(st.sampled_from([None, "wire"])))


SMALL = Envelope(id="1", kind="event", name="Paid", source="x", correlation_id="1", time=1, data=Raw(b"{}"))


@given(first=addressed(), second=addressed())
def test_no_two_messages_of_one_log_become_one_on_the_wire(first: Envelope, second: Envelope) -> None:
    assert the_door_takes(first)
    assert the_door_takes(second)
    wire = [(attributes["source"], attributes["id"]) for attributes, _ in (encode(one, "s") for one in (first, second))]
    assert first.id == second.id or wire[0] != wire[1]


@given(sent=envelopes())
def test_headers_of_an_ascii_broker_are_ascii_without_line_ends(sent: Envelope) -> None:
    attributes, _ = encode(sent, "orders")
    for name, value in headers_of(attributes, HTTP).items():
        assert (name + value).isascii()
        assert (name + value).isprintable()


@given(first=st.tuples(plain_text, plain_text), second=st.tuples(plain_text, plain_text))
def test_ids_of_two_foreign_sources_never_collide(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Invariant 7: a message is known by its source and its id, whatever characters they hold."""
    pairs = [foreign(source=f"urn:{source}", id=message_id) for source, message_id in (first, second)]
    found = [decode(attributes, b"{}", NOW, "wire") for attributes in pairs]
    ids = [one.id for one in found if isinstance(one, Envelope)]
    assert (len(set(ids)) == 1) == (first == second)


@given(sent=envelopes())
def test_what_came_from_elsewhere_goes_on_under_its_own_source_and_id(sent: Envelope) -> None:
    attributes, body = encode(sent, "orders")
    foreign_attributes = attributes | {"source": "https://bank.example/a#b", "id": sent.id}
    arrived = decode(foreign_attributes, body, NOW, "wire")
    assert isinstance(arrived, Envelope)
    again, _ = encode(arrived, "bridge")
    assert (again["source"], again["id"]) == ("https://bank.example/a#b", sent.id)


@given(
    attributes=st.dictionaries(
        st.sampled_from(
            ["specversion", "id", "source", "type", "time", "messagekind", "correlationid", "datacontenttype"]
        )
        | st.text(),
        st.text() | st.sampled_from(["1.0", "event", "command", "application/json"]),
    ),
    body=st.binary() | st.just(b"{}"),
)
def test_whatever_comes_in_is_a_message_or_a_reason(attributes: dict[str, str], body: bytes) -> None:
    found = decode(attributes, body, NOW, "wire")
    if isinstance(found, Unreadable):
        assert found.reason
        assert found.reason.isprintable()
    else:
        msgspec.json.decode(msgspec.json.encode(found), type=Envelope)


def foreign(**changed: str | None) -> dict[str, str]:
    """Return the least that a message needs, as another kind of system sends it."""
    attributes: dict[str, str | None] = {"specversion": "1.0", "id": "42", "source": "urn:bank", "type": "Paid"}
    return {name: value for name, value in (attributes | changed).items() if value is not None}


def test_the_least_that_a_message_needs_is_enough() -> None:
    found = decode(foreign(), b"", NOW, "wire")
    assert found == Envelope(
        id="urn:bank#42",
        kind="event",
        name="Paid",
        source="urn:bank",
        correlation_id="urn:bank#42",
        time=NOW,
        data=Raw(b"{}"),
        via="wire",
    )


def test_ids_from_services_on_sagalog_stay_as_they_are() -> None:
    """A reply names its command by id, so that id must be the same on both sides."""
    found = decode(foreign(source="sagalog:orders/saga:fulfilment", id="s-1:charge"), b"{}", NOW, "wire")
    assert isinstance(found, Envelope)
    assert found.id == "s-1:charge"


DEEP = 100_000
BAD: list[tuple[str, dict[str, str | None], bytes, str]] = [
    (
        "no attributes at all",
        dict.fromkeys(["specversion", "id", "source", "type"]),
        b"{}",
        "specversion 1.0, found none",
    ),
    ("another version", {"specversion": "0.3"}, b"{}", "found '0.3'"),
    ("no id", {"id": None}, b"{}", "id: expected 1 to 500 bytes of UTF-8, found 0"),
    ("an empty id", {"id": ""}, b"{}", "id: expected 1 to 500 bytes of UTF-8, found 0"),
    ("an id with NUL", {"id": "a\0b"}, b"{}", "U+0000"),
    ("an id with a lone surrogate", {"id": "a\ud800b"}, b"{}", "U+D800"),
    ("an id of 501 characters", {"id": "x" * 501}, b"{}", "found 501"),
    ("an id too long with its source", {"id": "x" * 495}, b"{}", "with its source before it"),
    ("no source", {"source": None}, b"{}", "source: expected"),
    ("no type", {"type": None}, b"{}", "type: expected"),
    ("a strange kind", {"messagekind": "note"}, b"{}", "messagekind event or command, found 'note'"),
    ("a causation id with a line end", {"causationid": "a\r\nb"}, b"{}", "U+000D"),
    ("a time that is none", {"time": "yesterday"}, b"{}", "time: expected"),
    ("a day that is none", {"time": "2026-02-30T12:00:00Z"}, b"{}", "time: expected"),
    (
        "the last second of 9999 behind UTC",
        {"time": "9999-12-31T23:59:59-14:00"},
        b"{}",
        "time: expected a time between",
    ),
    ("the first second of 1970 ahead of UTC", {"time": "1970-01-01T00:00:00+14:00"}, b"{}", "time: expected a time"),
    ("a time of the year 1", {"time": "0001-01-01T00:00:00+14:00"}, b"{}", "time: expected a time between"),
    ("a zone of a hundred hours", {"time": "2026-02-03T12:00:00+99:00"}, b"{}", "time: expected"),
    ("a time without a zone", {"time": "2026-02-03T12:00:00"}, b"{}", "time: expected"),
    ("another encoding", {"datacontenttype": "application/xml"}, b"<a/>", "expected data in JSON"),
    ("structured mode", {"datacontenttype": "application/cloudevents+json"}, b"{}", "expected data in JSON"),
    ("malformed JSON", {}, b'{"a":', "not JSON"),
    ("two values", {}, b"{}{}", "not JSON"),
    ("no UTF-8", {}, b'{"a":"\xff"}', "not JSON"),
    ("a lone surrogate inside", {}, b'{"a":"\\ud800"}', "not JSON"),
    ("a NUL inside", {}, b'{"a":"\\u0000"}', "NUL"),
    ("a body of 2 MB", {}, b'{"a":"' + b"x" * 2**21 + b'"}', f"the cap is {MAX_PAYLOAD:,}"),
    ("nesting 100,000 deep", {}, b"[" * DEEP + b"]" * DEEP, "nested more than 100 deep"),
    ("nesting without an end", {}, b'{"a":' * 40_000, "nested"),
    ("nesting 101 deep", {}, b"[" * 101 + b"]" * 101, "nested more than 100 deep"),
]


@pytest.mark.parametrize(("changed", "body", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_refused_with_a_reason(changed: dict[str, str | None], body: bytes, reason: str) -> None:
    found = decode(foreign(**changed), body, NOW, "wire")
    assert isinstance(found, Unreadable)
    assert reason in found.reason
    assert len(found.reason) < 300


def test_brackets_in_text_are_no_nesting() -> None:
    body = json.dumps({"a": "[" * 5000, "b": '\\"{' * 3000}).encode()
    assert isinstance(decode(foreign(), body, NOW, "wire"), Envelope)
    assert isinstance(decode(foreign(), b"[" * 100 + b"]" * 100, NOW, "wire"), Envelope)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456),
        ("2023-11-15t00:13:20+02:00", 1_700_000_000_000_000),
        ("1970-01-01T14:00:00+14:00", EARLIEST_TIME),
        ("9999-12-31T23:59:59.999999999Z", LATEST_TIME),
        ("9999-12-31T09:59:59.999999-14:00", LATEST_TIME),
    ],
)
def test_times_are_read_as_the_standard_writes_them(text: str, microseconds: int) -> None:
    found = decode(foreign(time=text), b"{}", NOW, "wire")
    assert isinstance(found, Envelope)
    assert found.time == microseconds


@pytest.mark.parametrize("prefix", ["ce-", "CE-", "ce_", "cloudEvents:", "cloudEvents_"])
def test_attributes_are_found_under_every_prefix_that_the_bindings_know(prefix: str) -> None:
    headers: dict[str, object] = {f"{prefix}{name}": value for name, value in foreign().items()}
    headers |= {"Content-Type": b"application/json", "traceparent": 7}
    found = attributes_of(headers, AMQP)
    assert found == foreign(datacontenttype="application/json")


def test_the_range_of_times_is_that_of_the_years_1970_to_9999() -> None:
    assert datetime.fromtimestamp(EARLIEST_TIME, UTC).isoformat() == "1970-01-01T00:00:00+00:00"
    for time in (EARLIEST_TIME, LATEST_TIME):
        sent = Envelope(id="1", kind="event", name="Paid", source="x", correlation_id="1", time=time, data=Raw(b"{}"))
        assert check_envelope(sent, Vocabulary([])).time == time
        attributes, _ = encode(sent, "orders")
        assert attributes["time"] in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
        for beyond in (EARLIEST_TIME - 1, LATEST_TIME + 1, 2**62, 10**5000, 1.5, True):
            with pytest.raises(InvalidInput, match="1970-01-01T00:00:00Z and 9999-12-31T23:59:59"):
                check_envelope(structs.replace(sent, time=cast(int, beyond)), Vocabulary([]))


# -------------------------------------------------------------------------------------- what cannot be read as text


Headers = dict[str, Any] | list[tuple[str, Any]]


def read(headers: Headers, binding: Binding) -> Envelope | Unreadable:
    """Return what a message with these headers beside the least that it needs is read as."""
    given = list(headers.items()) if isinstance(headers, dict) else headers
    names = {name.lower() for name, _ in given}
    least = [(f"{binding.prefix}{name}", value) for name, value in foreign().items()]
    beside = [(name, value) for name, value in least if name.lower() not in names]
    return decode(attributes_of([*beside, *given], binding), b"{}", NOW, "wire")


UNREAD: list[tuple[str, Binding, Headers, str]] = [
    ("bytes of another encoding", KAFKA, {"ce_id": b"\xe9"}, "id: expected UTF-8, found the byte 0xE9 in '\\udce9'"),
    ("bytes cut in the middle", KAFKA, {"ce_id": "é".encode()[:1]}, "id: expected UTF-8, found the byte 0xC3"),
    ("surrogates as bytes", KAFKA, {"ce_id": b"\xed\xa0\x80"}, "id: expected UTF-8, found the byte 0xED"),
    ("percent-encoded bytes that are none", HTTP, {"ce-id": "%FF"}, "id: expected UTF-8, found the byte 0xFF"),
    ("percent-encoding cut off", HTTP, {"ce-id": "50%"}, "id: expected text, percent-encoded"),
    ("percent-encoding with no digits", HTTP, {"ce-source": "urn:%zz"}, "source: expected text, percent-encoded"),
    ("a table", AMQP, {"cloudEvents_id": {"a": 1}}, "id: expected text"),
    ("a list", AMQP, {"cloudEvents_correlationid": [1]}, "correlationid: expected text"),
    ("no value", AMQP, {"cloudEvents_id": None}, "id: expected 1 to 500"),
    ("the type twice", KAFKA, [("ce_type", b"Paid"), ("ce_type", b"Lost")], "type: expected one header, found several"),
    ("two cases", HTTP, [("ce-id", "1"), ("CE-ID", "2")], "id: expected one header, found several"),
    ("two prefixes", KAFKA, [("ce_id", b"1"), ("cloudEvents:id", b"2")], "id: expected one header, found several"),
    (
        "two media types",
        HTTP,
        [("content-type", "a/json"), ("Content-Type", "b/json")],
        "datacontenttype: expected one",
    ),
]


@pytest.mark.parametrize(("binding", "headers", "reason"), [one[1:] for one in UNREAD], ids=[one[0] for one in UNREAD])
def test_an_attribute_that_is_no_text_is_refused_and_replaced_by_nothing(
    binding: Binding, headers: Headers, reason: str
) -> None:
    found = read(headers, binding)
    assert isinstance(found, Unreadable), found
    assert reason in found.reason
    assert found.reason.isprintable()


def test_what_nobody_reads_may_hold_anything() -> None:
    headers: Headers = [("ce_note", b"\xff"), ("ce_note", b"2"), ("trace", b"\xff"), ("ce_id", b"1"), ("CE_ID", b"1")]
    assert isinstance(read(headers, KAFKA), Envelope)


header_values = st.binary(max_size=12) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(first=header_values, second=header_values)
def test_no_two_ids_on_a_broker_of_bytes_are_read_as_one(first: bytes, second: bytes) -> None:
    """Invariant 7: whichever of two came second would be dropped as known."""
    found = [attributes_of({"ce_id": one}, KAFKA) for one in (first, second)]
    assert (found[0] == found[1]) == (first == second)


@given(first=st.text("%2bB+ aA/é", max_size=12), second=st.text("%2bB+ aA/é", max_size=12))
def test_no_two_ids_on_a_broker_of_ascii_are_read_as_one_unless_they_stand_for_the_same(
    first: str, second: str
) -> None:
    sent = [headers_of({"id": one, "datacontenttype": "x"}, HTTP) for one in (first, second)]
    read_back = [attributes_of(headers, HTTP)["id"] for headers in sent]
    assert read_back == [first, second]
    raw = [attributes_of({"ce-id": one}, HTTP)["id"] for one in (first, second)]
    # What somebody wrote without encoding it may mean the same as what was encoded, if every percent sign means one.
    assert first == second or raw[0] != raw[1] or "%" in first + second


def test_what_is_encoded_is_decoded_once() -> None:
    assert attributes_of({"ce-id": "a%252Fb+c"}, HTTP) == {"id": "a%2Fb+c"}
