"""Messages on the wire: what goes out comes back the same, and whatever else comes in is refused with a reason."""

import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from sagalog.cloudevents import AMQP, HTTP, KAFKA, Binding, Unreadable, attributes_of, decode, encode, headers_of
from sagalog.messages import Envelope
from sagalog.saga.payload import MAX_PAYLOAD

NOW = 1_700_000_000_000_000
BINDINGS = [HTTP, AMQP, KAFKA]

plain_text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
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
        time=draw(st.integers(0, 4_000_000_000_000_000)),
        data=Raw(json.dumps(draw(json_values)).encode()),
        saga_id=draw(st.none() | plain_text),
        step=draw(st.none() | plain_text),
    )


def over_the_wire(envelope: Envelope, binding: Binding, service: str = "orders") -> Envelope:
    """Send and receive a message as a transport does."""
    attributes, body = encode(envelope, service)
    arrived = decode(attributes_of(headers_of(attributes, binding), binding), body, NOW, "wire")
    assert isinstance(arrived, Envelope), arrived
    return arrived


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: str(binding.prefix))
@given(sent=envelopes())
def test_what_goes_out_comes_in_the_same(binding: Binding, sent: Envelope) -> None:
    arrived = over_the_wire(sent, binding)
    assert arrived == structs.replace(sent, source=f"sagalog:orders/{sent.source}", via="wire")


@given(sent=envelopes())
def test_headers_of_an_ascii_broker_are_ascii_without_line_ends(sent: Envelope) -> None:
    attributes, _ = encode(sent, "orders")
    for name, value in headers_of(attributes, HTTP).items():
        assert (name + value).isascii()
        assert (name + value).isprintable()


@given(first=st.tuples(plain_text, plain_text), second=st.tuples(plain_text, plain_text))
def test_ids_of_two_foreign_sources_never_collide(first: tuple[str, str], second: tuple[str, str]) -> None:
    """INVARIANTS 7: a message is known by its source and its id, whatever characters they hold."""
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
