"""Types and values of every kind, made up: what is accepted comes back as it was, all else is refused with a path."""

import dataclasses
import enum
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar, Union

import msgspec
from hypothesis import HealthCheck, given, reject, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from pydantic.errors import PydanticUserError

from sagalog.errors import InvalidInput
from sagalog.saga.payload.payload_type import PayloadType

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Box(BaseModel, Generic[T]):
    item: T


class Crate(msgspec.Struct, Generic[T]):
    item: T


class Made(NamedTuple):
    """A type, and how its values are made: some of them are of another type than is declared."""

    kind: Any
    values: st.SearchStrategy[Any]


TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=5)
TIMES = st.datetimes(timezones=st.sampled_from([None, UTC]))
LEAVES: list[Made] = [
    Made(str, TEXTS),
    Made(int, st.integers()),
    Made(bool, st.booleans()),
    Made(float, st.floats()),
    Made(type(None), st.none()),
    Made(bytes, st.binary(max_size=4)),
    Made(Decimal, st.decimals(allow_nan=False)),
    Made(datetime, TIMES),
    Made(date, st.dates()),
    Made(timedelta, st.timedeltas(min_value=timedelta(days=-999), max_value=timedelta(days=999))),
    Made(uuid.UUID, st.uuids()),
    Made(Colour, st.sampled_from(Colour)),
    Made(Size, st.sampled_from(Size)),
    Made(int | float, st.integers() | st.floats(allow_nan=False)),
    Made(str | int | bool | None, TEXTS | st.integers() | st.booleans() | st.none()),
]
ANYTHING = st.one_of(*(leaf.values for leaf in LEAVES))
LEAVES.append(
    Made(Any, st.recursive(ANYTHING, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner)))
)


def _of(kind: Any, *inner: Any) -> Any:
    return kind[inner]


def _wrong_now_and_then(made: Made) -> Made:
    # What nobody checks: a field of a dataclass or a Struct takes anything.
    return Made(made.kind, st.one_of(*[made.values] * 9, ANYTHING))


@st.composite
def classes(draw: st.DrawFn, inner: st.SearchStrategy[Made]) -> Made:
    """A Struct, a dataclass or a model, with names, defaults and aliases of its own."""
    fields = [draw(inner) for _ in range(draw(st.integers(1, 3)))]
    optional = [draw(st.booleans()) for _ in fields]
    names = [f"field_{n}" for n in range(len(fields))]
    kinds: list[Any] = [
        _of(Union, made.kind, None) if none else made.kind for made, none in zip(fields, optional, strict=True)
    ]
    values = [made.values | st.none() if none else made.values for made, none in zip(fields, optional, strict=True)]
    which = draw(st.sampled_from(["struct", "dataclass", "model"]))
    kind: Any
    if which == "struct":
        rename: Any = draw(st.sampled_from([None, "camel"]))
        kind = msgspec.defstruct(
            "Record",
            [
                (name, one, None) if none else (name, one)
                for name, one, none in zip(names, kinds, optional, strict=True)
            ],
            kw_only=True,
            rename=rename,
            tag=draw(st.booleans()),
            array_like=draw(st.booleans()),
            omit_defaults=draw(st.booleans()),
        )
    elif which == "dataclass":
        kind = dataclasses.make_dataclass(
            "Plain",
            [(n, k, None) if none else (n, k) for n, k, none in zip(names, kinds, optional, strict=True)],
            kw_only=True,
        )
    else:
        aliased = draw(st.booleans())
        given_fields: dict[str, Any] = {
            name: (one, Field(None if none else ..., alias=f"alias{name}" if aliased else None))
            for name, one, none in zip(names, kinds, optional, strict=True)
        }
        try:
            model = create_model("Model", **given_fields)
        except PydanticUserError:
            reject()
        return Made(model, st.builds(model.model_construct, **dict(zip(names, values, strict=True))))
    return Made(kind, st.builds(kind, **dict(zip(names, values, strict=True))))


def _boxed(made: Made) -> Made:
    try:
        kind: Any = _of(Box, made.kind)
    except PydanticUserError:
        # A Struct, which no model can hold.
        reject()
    return Made(kind, st.builds(kind.model_construct, item=made.values))


def _several(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.one_of(
        inner.map(lambda made: Made(_of(list, made.kind), st.lists(made.values, max_size=3))),
        inner.map(lambda made: Made(_of(dict, str, made.kind), st.dictionaries(TEXTS, made.values, max_size=3))),
        inner.map(lambda made: Made(_of(tuple, made.kind, int), st.tuples(made.values, st.integers()))),
        inner.map(_boxed),
        inner.map(lambda made: Made(_of(Crate, made.kind), st.builds(Crate, item=made.values))),
        inner.map(lambda made: Made(_of(Union, made.kind, None), made.values | st.none())),
        classes(inner),
    )


TYPES = st.recursive(st.sampled_from(LEAVES).map(_wrong_now_and_then), _several, max_leaves=4)


def _shown(value: Any) -> str:
    # Both mean UTC, and where the offset is said, `fold` says nothing.
    said = re.sub(r"TzInfo\((0|UTC)\)", "datetime.timezone.utc", repr(value))
    return re.sub(r", fold=1(?=, tzinfo)", "", said)


@seed(20261128)
@settings(
    max_examples=400,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.large_base_example],
)
@given(st.data())
def test_every_value_comes_back_as_it_was_or_is_refused_with_a_path(data: st.DataObject) -> None:
    made = data.draw(TYPES)
    try:
        payload = PayloadType(made.kind)
    except TypeError:
        # Unions that JSON cannot tell apart.
        return
    value = data.draw(made.values)
    problem: str | None = None
    written = msgspec.Raw()
    try:
        written = payload.write(value, "it")
    except (InvalidInput, TypeError) as refused:
        problem = str(refused)
    if problem is not None:
        assert re.search(r"\$|expected", problem), problem
        return
    read = payload.read(written)
    assert type(read) is type(value) or (type(value), type(read)) == (int, float)
    shown = _shown(read)
    # An int is a float where one is declared.
    assert shown == _shown(value) or (".0" in shown and read == value)
    # What was read is kept as well, and as the same bytes.
    assert bytes(payload.write(read, "it")) == bytes(payload.write(payload.read(written), "it"))
