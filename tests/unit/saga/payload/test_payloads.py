"""Inputs and results as JSON and back: pydantic, msgspec, dataclasses, and everything that cannot be stored."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sagalog.errors import InvalidInput, PayloadTooLarge
from sagalog.saga.payload.payload_type import MAX_PAYLOAD, PayloadType


class Model(BaseModel):
    name: str
    at: datetime
    price: Decimal


class Record(msgspec.Struct, frozen=True):
    name: str
    at: datetime
    price: Decimal


@dataclass(frozen=True)
class Plain:
    name: str
    at: datetime
    price: Decimal


class Nested(msgspec.Struct, frozen=True):
    model: Model
    records: list[Record]


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIELDS: dict[str, Any] = {"name": "Zoë \U0001f600", "at": NOW, "price": Decimal("1.10")}


@pytest.mark.parametrize("value", [Model(**FIELDS), Record(**FIELDS), Plain(**FIELDS)])
def test_a_payload_comes_back_as_it_was(value: Any) -> None:
    kind = PayloadType(type(value))
    assert kind.read(kind.write(value, "it")) == value


def test_models_inside_structs_come_back_too() -> None:
    kind = PayloadType(Nested)
    value = Nested(Model(**FIELDS), [Record(**FIELDS)])
    assert kind.read(kind.write(value, "it")) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (type(None), None),
        (int, 3),
        (list[str], ["a"]),
        (dict[str, int], {"a": 1}),
        (UUID, UUID(int=7)),
        (str | None, None),
    ],
)
def test_plain_types_are_payloads(kind: Any, value: Any) -> None:
    payload = PayloadType(kind)
    assert payload.read(payload.write(value, "it")) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Model, Record(**FIELDS)),
        (Model, {"name": "x"}),
        (Record, {"name": "x"}),
        (Plain, "x"),
        (int, "3"),
        (str, None),
        (type(None), 0),
        (list[int], ["a"]),
        (Record, Record(name=3, at=NOW, price=Decimal(1))),  # type: ignore[arg-type]
        (object, object()),
        (dict[str, int], {"a": object()}),
    ],
)
def test_a_value_of_another_type_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        PayloadType(kind).write(value, "it")


def test_a_payload_over_the_cap_is_refused_with_both_sizes() -> None:
    kind = PayloadType(str)
    assert kind.write("x" * (MAX_PAYLOAD - 2), "it")
    with pytest.raises(PayloadTooLarge, match="the input is 262,145 bytes of JSON, the cap is 262,144"):
        kind.write("x" * (MAX_PAYLOAD - 1), "the input")


@pytest.mark.parametrize("text", ["\0", "a\0b", "\\\0", "\\\\\0"])
def test_a_nul_is_refused_wherever_it_hides(text: str) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        PayloadType(list[dict[str, str]]).write([{"a": text}], "it")
    with pytest.raises(InvalidInput, match="NUL"):
        PayloadType(dict[str, int]).write({text: 1}, "it")


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "u0000"])
def test_text_that_only_looks_like_a_nul_is_kept(text: str) -> None:
    kind = PayloadType(str)
    assert kind.read(kind.write(text, "it")) == text


class Named(BaseModel):
    name: str


@pytest.mark.parametrize("kind", [str, Any])
def test_a_lone_surrogate_is_refused_and_not_shown(kind: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored as JSON"):
        PayloadType(kind).write("secret \ud800", "it")


def test_a_lone_surrogate_in_a_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be stored as JSON"):
        PayloadType(Named).write(Named.model_construct(name="\ud800"), "it")


def test_thousands_of_levels_are_refused_and_do_not_crash() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="cannot be stored as JSON"):
        PayloadType(Any).write(deep, "it")
    with pytest.raises(InvalidInput):
        PayloadType(Any).read(b"[" * 200_000)


def test_json_of_another_type_is_not_read() -> None:
    for kind in (Model, Record, Plain, int):
        with pytest.raises(InvalidInput, match=f"expected {kind.__name__}"):
            PayloadType(kind).read(b'{"price": "x"}')


def test_a_type_that_nobody_can_store_is_refused_at_once() -> None:
    for kind in (socket_like := type("Socket", (), {}), list[socket_like]):  # type: ignore[valid-type]
        with pytest.raises(TypeError):
            PayloadType(kind)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_other_text_comes_back_as_it_was(text: str) -> None:
    for kind in (PayloadType(str), PayloadType(Any)):
        assert kind.read(kind.write(text, "it")) == text
    model = PayloadType(Named)
    assert model.read(model.write(Named(name=text), "it")).name == text
