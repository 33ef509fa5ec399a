"""What is said of a value that does not fit: the path first, what is wrong there in words, and never the value."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, ConfigDict, Field

from sagalog.errors import InvalidInput
from sagalog.saga.payload import PayloadType


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
