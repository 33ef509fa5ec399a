"""What is said of a value that does not fit: the path first, what is wrong there in words, and never the value."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, ConfigDict, Field

from sagalog.errors import InvalidInput
from sagalog.saga.payload.payload_type import PayloadType


@dataclass
class Plain:
    name: str
    cents: int = 0


class Closed(Struct, forbid_unknown_fields=True):
    name: str = ""


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sku: str = Field(max_length=3, default="a")
    count: int = Field(gt=0, default=1)
    kind: Literal["a", "b"] = "a"
    yes: bool = True
    maybe: float | None = None


class Model(BaseModel):
    lines: list[Line]


def line(text: str) -> str:
    return f'{{"lines":[{{{text}}}]}}'


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (Plain, '{"name":3}', "$.name: expected str, found int"),
        (Plain, '{"cents":3}', "$.name: it is missing"),
        (Plain, "[]", "$: expected object, found array"),
        (dict[str, Plain], '{"a":{"name":"x","cents":"y"}}', "$[...].cents: expected int, found str"),
        (list[Plain], '[{"name":"x"},{}]', "$[1].name: it is missing"),
        (Closed, '{"nam":"x"}', "$.nam: there is no such field"),
        (Model, "{}", "$.lines: it is missing"),
        (Model, '{"lines":3}', "$.lines: expected a list, found int"),
        (Model, line('"sku":3'), "$.lines[0].sku: expected text, found int"),
        (Model, line('"sku":"abcd"'), "$.lines[0].sku: it is too long"),
        (Model, line('"count":0'), "$.lines[0].count: it is too small"),
        (Model, line('"count":"many"'), "$.lines[0].count: expected a whole number, found what cannot be read as one"),
        (Model, line('"count":1.5'), "$.lines[0].count: expected a whole number, found one with a fraction"),
        (Model, line('"kind":"c"'), "$.lines[0].kind: it is none of the values that are allowed"),
        (Model, line('"yes":[]'), "$.lines[0].yes: expected true or false, found list"),
        (Model, line('"maybe":"x"'), "$.lines[0].maybe: expected a number, found what cannot be read as one"),
        (Model, line('"skuu":"x"'), "$.lines[0].skuu: there is no such field"),
        (Model, "[]", "$: expected an object, found list"),
        (list[Model], "[{}]", "$[0].lines: it is missing"),
    ],
)
def test_the_path_comes_first_and_then_words(kind: Any, data: str, said: str) -> None:
    """It was `string_type`, `missing`, or a sentence with the path at its end."""
    with pytest.raises(InvalidInput) as caught:
        PayloadType(kind).accept(Raw(data.encode()))
    assert str(caught.value).partition("found other JSON: ")[2] == said


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Colour(StrEnum):
    RED = "red"


class Other(Struct):
    label: str


HUGE = 10**400
ENDLESS = 10**5000
HALF = (
    "text with half of a surrogate pair in it, which cannot be stored as JSON; leave it out, or decode the text with "
)
TOO_LONG = "a whole number of more than 4,300 digits, which cannot be stored as JSON; give it as text, and declare that"


def kind_of(given: object) -> str:
    return given if isinstance(given, str) and given.startswith("$") else type(given).__name__


def subclass(name: str, of: str) -> str:
    return f"{name}, which cannot be stored as JSON, for {of} would be read back, of which it is a subclass; give {of}("


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (bool, 1, "$: expected bool, found int"),
        (bool, "secret", "$: expected bool, found str"),
        (int, True, "$: expected int, found bool"),
        (int, None, "$: expected int, found None"),
        (int | None, "secret", "$: expected int | None, found str"),
        (None, "secret", "$: expected None, found str"),
        (str, 1, "$: expected str, found int"),
        (Closed, Other("secret"), "$: expected Closed, found Other"),
        (Plain, Other("secret"), "$: expected Plain, found Other"),
        (Line, Other("secret"), "$: expected Line, found Other"),
        (list[bool], [True, 1], "$[1]: expected bool, found int"),
        (Plain, Plain("a", "secret"), "$.cents: expected int, found str"),  # type: ignore[arg-type]
        (Literal["a", "b"], "secret", "$: it is none of the values that are allowed"),
        (str, "secret\ud800", f"$: {HALF}"),
        (list[str], ["a", "secret\udcff"], f"$[1]: {HALF}"),
        (dict[str, int], {"secret\ud800": 1}, "$: a key with half of a surrogate pair in it, which cannot be stored"),
        (Any, {"a": [{"b": "secret\ud800"}]}, f"$.a[0].b: {HALF}"),
        (Line, Line.model_construct(sku="secret\ud800"), f"$.sku: {HALF}"),
        (Plain, Plain("secret\ud800"), f"$.name: {HALF}"),
        (int, ENDLESS, f"$: {TOO_LONG}"),
        (dict[str, list[int]], {"a": [1, -ENDLESS]}, f"$.a[1]: {TOO_LONG}"),
        (Plain, Plain("a", ENDLESS), f"$.cents: {TOO_LONG}"),
        (Line, Line.model_construct(count=ENDLESS), f"$.count: {TOO_LONG}"),
        (dict[int, str], {ENDLESS: "a"}, f"$: a key is {TOO_LONG}"),
        (float, HUGE, "$: a number larger than what is declared there can hold; declare an int, or a Decimal"),
        (list[float], [1.0, HUGE], "$[1]: a number larger than what is declared there can hold"),
        (dict[str, str], {"a": 2**70}, "$[...]: expected str, found int"),
        (str, HUGE, "$: expected str, found int"),
        (str, Name("secret"), f"$: {subclass('Name', 'str')}"),
        (Any, [Name("secret")], f"$[0]: {subclass('Name', 'str')}"),
        (int, Count(7), f"$: {subclass('Count', 'int')}"),
        (Plain, Plain(Name("secret")), f"$.name: {subclass('Name', 'str')}"),
        (dict[bool, int], {True: 1}, "$: a key is bool, which cannot be stored as JSON; let the keys be text or whole"),
        (Any, [object()], "$[0]: object, which cannot be stored as JSON; give something of a type that can be kept"),
    ],
    # Not by the value: so many digits nobody writes out.
    ids=kind_of,
)
def test_a_value_that_cannot_be_written_is_told_once_and_with_its_path(kind: Any, value: Any, said: str) -> None:
    """It was `expected bool, found int: $: expected bool, found int`, or a name of a class of Python's errors."""
    with pytest.raises((InvalidInput, TypeError)) as caught:
        PayloadType(kind).write(value, "the input of saga x")
    assert str(caught.value).startswith(f"the input of saga x: {said}")
    assert "secret" not in str(caught.value)
    assert "Error" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, HUGE), (int, -(2**64)), (float, 2**64), (Any, {"a": HUGE}), (Line, Line.model_construct(count=HUGE))],
)
def test_whole_numbers_beyond_64_bits_are_kept(kind: Any, value: Any) -> None:
    payload = PayloadType(kind)
    assert payload.read(payload.write(value, "it")) == value


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (str, Colour.RED, "$: Colour was given and str would be read back; declare the type that is given"),
        (
            float,
            2**53 + 1,
            "$: int was given and float would be read back, which cannot be equal to it; declare an int",
        ),
    ],
)
def test_a_value_that_would_be_another_one_is_told_with_its_path(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PayloadType(kind).write(value, "the input of saga x")
    assert str(caught.value).startswith(f"the input of saga x would not be read back as it is: {said}")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            float,
            "1" + "0" * 400,
            "$: a number larger than what is declared there can hold; declare an int, or a Decimal",
        ),
        (Literal["a", "b"], '"secret"', "$: it is none of the values that are allowed"),
        (Colour, '"secret"', "$: it is none of the values that are allowed"),
    ],
)
def test_what_comes_from_outside_is_told_likewise(kind: Any, data: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PayloadType(kind).accept(Raw(data.encode()))
    assert str(caught.value).partition("found other JSON: ")[2] == said
