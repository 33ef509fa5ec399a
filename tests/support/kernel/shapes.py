"""Types of every kind that an input or a result may be of, and values of those that are not easily made."""

import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    FutureDatetime,
    PrivateAttr,
    RootModel,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from sagalog import Event

T = TypeVar("T")
LONG_AGO = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Base(BaseModel):
    a: int


class Sub(Base):
    b: int = 0


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    order_id: str
    unit_price: Decimal | None = None


class ByEitherName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    order_id: str | None = Field(None, alias="orderId")


class Asymmetric(BaseModel):
    a: int = Field(validation_alias="in", serialization_alias="out")
    b: int = Field(validation_alias=AliasChoices("b1", "b2"))
    c: int = Field(validation_alias=AliasPath("deep", "c"))


class Loud(BaseModel):
    """Every rule changes the value, and none takes what it has made."""

    name: str
    words: list[Annotated[str, AfterValidator(lambda text: text + "!")]] = []
    day: date

    @field_validator("name")
    @classmethod
    def _louder(cls, name: str) -> str:
        return name + "!"

    @field_validator("day", mode="before")
    @classmethod
    def _german(cls, day: str) -> date:
        return datetime.strptime(day, "%d.%m.%Y").replace(tzinfo=UTC).date()

    @model_validator(mode="after")
    def _loudest(self) -> "Loud":
        self.name += "?"
        return self


class Cents(BaseModel):
    price: Decimal

    @field_serializer("price")
    def _in_cents(self, price: Decimal) -> int:
        return int(price * 100)

    @field_validator("price", mode="before")
    @classmethod
    def _from_cents(cls, price: Any) -> Any:
        return Decimal(price) / 100 if isinstance(price, int) else price


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_to_lower=True, strict=True)
    name: str
    at: datetime | None = None


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def b(self) -> int:
        return self.a + 1


class Appointment(BaseModel):
    at: FutureDatetime


class Generically(BaseModel, Generic[T]):
    item: T


class GenericStruct(msgspec.Struct, Generic[T]):
    item: T


class Tree(BaseModel):
    children: list["Tree"] = []


class Root(RootModel[dict[str, Base]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Pet(BaseModel):
    one: Cat | Dog
    other: Annotated[Cat | Dog, Field(discriminator="kind")]


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")
    d: dict[str, Any] = {}
    f: float | None = None


class Hidden(BaseModel):
    a: int = Field(3, exclude=True)
    _b: int = PrivateAttr(1)


class InItsWay(BaseModel):
    """Its own `__init__` and what follows it."""

    a: int
    _twice: int = 0

    def __init__(self, *, given: int) -> None:
        super().__init__(a=given)

    def model_post_init(self, context: Any, /) -> None:
        self._twice = self.a * 2


@pydantic_dataclass
class PydanticRecord:
    a: int
    of: list[Base]
    name: str = Field("x", alias="nAme")


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclasses.dataclass
class Plain:
    a: int
    b: str | None = None


@dataclasses.dataclass
class SubPlain(Plain):
    c: int = 0


@dataclasses.dataclass
class Derived:
    a: int
    b: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.b = self.a * 2


@dataclasses.dataclass
class Growing:
    a: int

    def __post_init__(self) -> None:
        self.a += 1


class Frugal(msgspec.Struct, omit_defaults=True, rename="camel", tag="frugal"):
    some_number: float = 0.0
    several: list[int] = []


class Mixed(msgspec.Struct):
    camel: Camel
    loud: Loud | None = None
    by_name: dict[str, Camel | None] = {}


class Spoken(Event):
    loud: Loud


LOUD = Loud(name="a", words=["b"], day="01.02.2020")  # type: ignore[arg-type]
CAMEL = Camel(orderId="o-1", unitPrice=Decimal("1.10"))  # type: ignore[call-arg]
UNUSUAL: Any = 1.5
# Aliases are no names of parameters for mypy, or the only ones.
EITHER: Any = ByEitherName
HIDDEN: Any = Hidden
RECORD: Any = PydanticRecord
