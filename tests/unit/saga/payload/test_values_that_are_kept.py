"""What is read back is what was given, or it is refused where it is given, with the path of what cannot be kept."""

import dataclasses
import math
from collections import defaultdict, deque
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from kernel.shapes import (
    CAMEL,
    EITHER,
    HIDDEN,
    LONG_AGO,
    LOUD,
    RECORD,
    UNUSUAL,
    Anything,
    Appointment,
    Asymmetric,
    Base,
    ByEitherName,
    Camel,
    Cents,
    Colour,
    Computed,
    Derived,
    Dog,
    Frugal,
    Generically,
    GenericStruct,
    Growing,
    Hidden,
    InItsWay,
    Loud,
    Mixed,
    Pet,
    Plain,
    Point,
    PydanticRecord,
    Root,
    Size,
    Spoken,
    Stripped,
    Sub,
    SubPlain,
    Tree,
)
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    field_serializer,
    field_validator,
    model_validator,
)

from sagalog import Event
from sagalog.errors import InvalidInput
from sagalog.saga.payload.difference import difference
from sagalog.saga.payload.payload_type import PayloadType


class Queues(BaseModel):
    last: deque[int] = deque()
    of: defaultdict[str, list[int]] = Field(default_factory=lambda: defaultdict[str, list[int]](list))


SECOND_HALF_PAST_TWO = datetime.fromisoformat("2026-10-25T02:30").replace(fold=1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Camel, CAMEL),
        (list[Camel], [CAMEL]),
        (ByEitherName, EITHER(order_id="o-1")),
        (Asymmetric, Asymmetric.model_validate({"in": 1, "b2": 2, "deep": {"c": 3}})),
        (Loud, LOUD),
        (Mixed, Mixed(CAMEL, LOUD, {"a": CAMEL, "b": None})),
        (Cents, Cents(price=Decimal("1.5"))),
        (Stripped, Stripped.model_construct(name=" A ", at=LONG_AGO)),
        (Computed, Computed(a=1)),
        (Appointment, Appointment.model_construct(at=LONG_AGO)),
        (list[Appointment], [Appointment.model_construct(at=LONG_AGO)]),
        (Generically[Generically[Base]], Generically[Generically[Base]](item=Generically[Base](item=Base(a=1)))),
        (GenericStruct[datetime], GenericStruct(LONG_AGO)),
        (Tree, Tree(children=[Tree(), Tree(children=[Tree()])])),
        (Root, Root({"x": Base(a=1)})),
        (Pet, Pet(one=Dog(), other=Dog())),
        (Anything, Anything(d={"a": [1, 1.0, True, None, "x"]}, more=[1])),  # type: ignore[call-arg]
        (Hidden, HIDDEN()),
        (InItsWay, InItsWay(given=3)),
        (PydanticRecord, RECORD(a=1, of=[Base(a=2)])),
        (list[PydanticRecord], [RECORD(a=1, of=[])]),
        (Point, Point(1, "x")),
        (Derived, Derived(2)),
        (Frugal, Frugal(-0.0, [1])),
        (dict[Colour, int], {Colour.RED: 1}),
        (dict[int, str], {1: "a"}),
        (set[int], {3, 1, 2}),
        (frozenset[str], frozenset({"a"})),
        (tuple[int, ...], (1, 2)),
        (bytes, b"\xff\x00"),
        (int, 2**70),
        (int | float, 1.0),
        (list[int | float], [1, 1.0, -(2**60), 5e-324]),
        (Decimal, Decimal("1.10")),
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 6)),  # noqa: DTZ001
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))),
        (datetime, datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC"))),
        (timedelta, timedelta(days=-1, microseconds=3)),
        (Literal["a", 1], 1),
        (Queues, Queues(last=deque([1, 2]), of=defaultdict(list, a=[1]))),
    ],
)
def test_what_is_read_back_is_what_was_given(kind: Any, value: Any) -> None:
    payload = PayloadType(kind)
    read = payload.read(payload.write(value, "it"))
    assert read == value
    assert difference(value, read) is None


def test_what_is_written_has_the_names_that_others_know() -> None:
    """By alias, also inside of others, and not by the names of fields: other services and queries read it, too."""
    camel = {"orderId": "o-1", "unitPrice": "1.10"}
    assert msgspec.json.decode(PayloadType(Camel).write(CAMEL, "it")) == camel
    assert msgspec.json.decode(PayloadType(list[Camel]).write([CAMEL], "it")) == [camel]


def _private(value: Hidden) -> Hidden:
    value._b = 7
    return value


def _changed(value: Derived) -> Derived:
    value.b = 9
    return value


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        (Base, Sub(a=1), r"\$: Sub was given and Base"),
        (list[Base], [Base(a=1), Sub(a=1)], r"\$\[1\]: Sub was given and Base"),
        (list[Plain], [SubPlain(1)], r"\$\[0\]: SubPlain was given and Plain"),
        (Hidden, HIDDEN(a=4), r"\$\.a: another int"),
        (Hidden, _private(HIDDEN()), r"\$\._b: another int"),
        (Derived, _changed(Derived(2)), r"\$\.b: another int"),
        (Growing, Growing(1), r"\$\.a: another int"),
        (Anything, Anything(d={"at": [LONG_AGO]}), r"\$\.d\.at\[0\]: datetime was given and str"),
        (Anything, Anything(more=Decimal(1)), r"\$\.more: Decimal was given and str"),  # type: ignore[call-arg]
        (Anything, Anything(f=math.nan), r"\$\.f: NaN"),
        (Anything, Anything(d={"a": math.inf}), r"\$\.d\.a: NaN"),
        (float, math.nan, r"\$: NaN"),
        (list[float], [1.0, -math.inf], r"\$\[1\]: NaN"),
        (dict[str, float | None], {"no name": math.nan}, r"\$\[\.\.\.\]: NaN"),
        (Any, [math.nan], r"\$\[0\]: NaN"),
        (Any, {"a": Plain(1)}, r"\$\.a: Plain was given and dict"),
        (Any, {"a": (1,)}, r"\$\.a: tuple was given and list"),
        (Any, {"a": {1}}, r"\$\.a: set was given and list"),
        (Any, [UUID(int=1)], r"\$\[0\]: UUID was given and str"),
        (Any, b"a", r"\$: bytes was given and str"),
        (Any, {1: 2}, r"\$: a key is int"),
        (Any, [Colour.RED], r"\$\[0\]: Colour was given and str"),
        (list[int], [Size.SMALL], r"\$\[0\]: Size was given and int"),
        (list[int], (1,), r"\$: tuple was given and list"),
        (str, UUID(int=1), r"\$: UUID was given and str"),
        (Plain, Plain(1, LONG_AGO), r"\$\.b: datetime was given and str"),  # type: ignore[arg-type]
        (Base, Base.model_construct(a=UNUSUAL - 0.5), r"\$\.a: float was given and int"),
        (Base, Base.model_construct(a=True), r"\$\.a: bool"),
        (float, 2**53 + 1, r"\$: int was given and float"),
        (datetime, SECOND_HALF_PAST_TWO, r"\$: a datetime with fold=1"),
        (list[datetime], [SECOND_HALF_PAST_TWO], r"\$\[0\]: a datetime with fold=1"),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")), r"\$: a datetime with a time zone"),
        (dict[str, list[str]], {"a": ["x", "\ud800"]}, r"\$\.a\[1\]: text with half of a surrogate"),
        (dict[str, list[str]], {"a": ["x", "\0"]}, r"\$\.a\[1\] holds a NUL"),
        (Spoken, Spoken(loud=LOUD), r"\$\.loud"),
        (Queues, Queues(last=deque([1], 3)), r"\$\.last: a deque whose maxlen would not be read back; declare a list"),
        (Queues, Queues.model_construct(of=defaultdict(int)), r"\$\.of: a defaultdict whose default_factory"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_path(kind: Any, value: Any, path: str) -> None:
    with pytest.raises((InvalidInput, TypeError), match=path):
        PayloadType(kind).write(value, "it")


def test_an_int_is_a_float_where_one_is_declared() -> None:
    payload = PayloadType(dict[str, float])
    assert repr(payload.read(payload.write({"price": 10}, "it"))) == "{'price': 10.0}"


class Secretive(BaseModel):
    password: SecretStr | None = None


class Necessary(BaseModel):
    gone: int = Field(exclude=True)


class HasSecrets(msgspec.Struct):
    of: list[Secretive]


@dataclasses.dataclass
class PlainSecret:
    password: SecretStr


@dataclasses.dataclass
class TakesMore:
    a: int
    more: dataclasses.InitVar[int]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Secretive, r"Secretive\.password is a SecretStr, of which only asterisks would be kept; pass a reference"),
        (list[Secretive], r"Secretive\.password"),
        (HasSecrets, r"Secretive\.password"),
        (Generically[Secretive], r"Secretive\.password"),
        (PlainSecret, r"PlainSecret\.password"),
        (SecretStr, "it is a SecretStr"),
        (Necessary, r"Necessary\.gone has exclude=True and no default"),
        (TakesMore, "InitVar"),
    ],
)
def test_a_type_whose_values_can_never_be_kept_is_refused_when_it_is_declared(kind: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        PayloadType(kind)


class Revealed(BaseModel):
    password: SecretStr

    @field_serializer("password", when_used="json")
    def _reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


def test_a_secret_with_a_serializer_of_its_own_is_kept() -> None:
    payload = PayloadType(Revealed)
    assert payload.read(payload.write(Revealed(password=SecretStr("s3cr3t")), "it")).password.get_secret_value() == (
        "s3cr3t"
    )


SECRET = "s3cr3t-4711"


class Strict(BaseModel):
    pin: int
    code: str

    @field_validator("code")
    @classmethod
    def _never(cls, code: str) -> str:
        raise ValueError(f"bad code {code}")


class Checked(msgspec.Struct):
    code: str

    def __post_init__(self) -> None:
        raise ValueError(self.code)


@pytest.mark.parametrize(
    ("kind", "data", "path"),
    [
        (Strict, b'{"pin": "%s", "code": "x"}', r"\$\.pin: expected a whole number, found what cannot be read as one"),
        (Strict, b'{"pin": 1, "code": "%s"}', r"\$\.code: a validator refused it"),
        (list[Strict], b'[{"pin": 1, "code": "%s"}]', r"\$\[0\]\.code: a validator refused it"),
        (list[Checked], b'[{"code": "%s"}]', r"\$\[0\]: ValueError"),
        (list[Colour], b'["%s"]', r"\$\[0\]"),
        (list[Literal["a"]], b'["%s"]', r"\$\[0\]"),
        (list[int], b'["%s"]', r"\$\[0\]"),
    ],
)
def test_a_text_about_what_cannot_be_read_has_its_path_and_never_the_value(kind: Any, data: bytes, path: str) -> None:
    with pytest.raises(InvalidInput, match=path) as caught:
        PayloadType(kind).accept(data % SECRET.encode())
    assert SECRET not in str(caught.value)


def test_whatever_a_validator_raises_what_comes_from_outside_is_refused() -> None:
    class Careless(BaseModel):
        a: int

        @model_validator(mode="before")
        @classmethod
        def _look(cls, given: Any) -> Any:
            return given["missing"]["deeper"]

    for kind, data in ((Careless, b"3"), (list[Careless], b'[{"a": 1}]')):
        with pytest.raises(InvalidInput, match=r"KeyError|TypeError"):
            PayloadType(kind).accept(data)


def test_what_comes_from_outside_is_validated_in_full_and_what_is_recorded_is_not_changed_again() -> None:
    data = b'{"name": "a", "words": ["b"], "day": "01.02.2020"}'
    for kind, given in ((Loud, data), (list[Loud], b"[" + data + b"]")):
        payload = PayloadType(kind)
        accepted = payload.accept(given)
        recorded = payload.write(accepted, "it")
        assert payload.read(recorded) == accepted in (LOUD, [LOUD])


def test_a_rule_about_the_clock_holds_at_the_door_and_nowhere_else() -> None:
    class Booked(Event):
        appointment: Appointment

    data = b'{"appointment": {"at": "2020-01-02T03:04:05Z"}}'
    payload = PayloadType(Booked)
    with pytest.raises(InvalidInput, match=r"\$\.appointment\.at: it is not in the future"):
        payload.accept(data)
    for waited in (payload.take(data), payload.read(data)):
        assert waited.appointment.at.year == 2020


# What 0.1 wrote: names of fields, computed fields, nothing by alias.
@pytest.mark.parametrize(
    ("kind", "recorded", "value"),
    [
        (ByEitherName, b'{"order_id":"o-1"}', EITHER(order_id="o-1")),
        (Camel, b'{"order_id":"o-1","unit_price":"1.10"}', CAMEL),
        (list[Camel], b'[{"order_id":"o-1","unit_price":"1.10"}]', [CAMEL]),
        (Mixed, b'{"camel":{"order_id":"o-1","unit_price":"1.10"},"loud":null,"by_name":{}}', Mixed(CAMEL)),
        (Asymmetric, b'{"a":1,"b":2,"c":3}', Asymmetric.model_validate({"in": 1, "b1": 2, "deep": {"c": 3}})),
        (PydanticRecord, b'{"a":1,"of":[],"name":"y"}', RECORD(a=1, of=[], nAme="y")),
    ],
)
def test_what_was_recorded_by_the_names_of_fields_is_still_read(kind: Any, recorded: bytes, value: Any) -> None:
    assert PayloadType(kind).read(recorded) == value


def test_a_validator_brings_what_was_recorded_for_an_older_type_up_to_date() -> None:
    class Order(BaseModel):
        name: str
        amount: int = 0

        @model_validator(mode="before")
        @classmethod
        def _renamed(cls, given: dict[str, Any]) -> dict[str, Any]:
            return {"amount" if name == "qty" else name: one for name, one in given.items()}

    payload = PayloadType(Order)
    assert payload.read(b'{"name":"mug","qty":3}') == Order(name="mug", amount=3)
    assert payload.read(b'{"name":"mug"}') == Order(name="mug")


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (1, 1.5), (1.0, 1), (0.0, -0.0), ({1}, {True}), ([1], (1,)), (Decimal("1.0"), Decimal("1.00"))],
)
def test_what_python_calls_equal_is_not_always_the_same(one: Any, other: Any) -> None:
    assert difference(one, other) is not None


def test_an_own_equality_tells_nothing() -> None:
    class Agreeable(msgspec.Struct, eq=False):
        a: Any

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(InvalidInput, match=r"\$\.a: tuple"):
        PayloadType(Agreeable).write(Agreeable((1,)), "it")
