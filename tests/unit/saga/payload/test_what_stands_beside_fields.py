"""What stands beside the fields of an instance: refused with its path, unless the instance finds it again by itself."""

import dataclasses
import functools
import threading
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec
import pydantic.dataclasses
import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field

from sagalog.errors import InvalidInput
from sagalog.saga.payload.difference import difference
from sagalog.saga.payload.payload_type import PayloadType

T = TypeVar("T")


@dataclasses.dataclass
class Parcel:
    weight: int
    CURRENCY: ClassVar[str] = "EUR"

    @functools.cached_property
    def doubled(self) -> int:
        return self.weight * 2

    def is_heavy(self) -> bool:
        return self.weight > 20


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: int


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int


class Unslotted(Slotted):
    """Instances of it have a `__dict__` again."""


@dataclasses.dataclass
class Totalled:
    """It finds by itself what is no field."""

    a: int

    def __post_init__(self) -> None:
        self.total = self.a + 1
        self.lock = threading.Lock()


@dataclasses.dataclass
class Crate(Generic[T]):
    item: T


@pydantic.dataclasses.dataclass
class CheckedRecord:
    a: int


@pydantic.dataclasses.dataclass(config=ConfigDict(extra="allow"))
class Wider:
    a: int


class Model(BaseModel):
    a: int

    @functools.cached_property
    def doubled(self) -> int:
        return self.a * 2

    @computed_field  # type: ignore[prop-decorator]
    @functools.cached_property
    def shown(self) -> str:
        return str(self.a)


class Open(msgspec.Struct, dict=True):
    a: int


class Pair(NamedTuple):
    a: int


class PairWithDict(Pair):
    """A named tuple whose instances have a `__dict__`."""


def marked(value: Any, name: str = "note", to: Any = "x") -> Any:
    """Set an attribute on an instance, whatever its class says of that."""
    if isinstance(value, msgspec.Struct):
        setattr(value, name, to)
    else:
        object.__setattr__(value, name, to)
    return value


def looked_at(value: Any, *names: str) -> Any:
    """Ask for attributes, which are kept in the instance then."""
    for name in names:
        getattr(value, name)
    return value


BESIDE: list[tuple[Any, Any, str]] = [
    (Parcel, marked(Parcel(1)), r"\$\.note"),
    (Parcel, marked(Parcel(1), "CURRENCY", "USD"), r"\$\.CURRENCY"),
    (Parcel, marked(Parcel(1), "is_heavy", lambda: True), r"\$\.is_heavy"),
    (Frozen, marked(Frozen(1)), r"\$\.note"),
    (Unslotted, marked(Unslotted(1)), r"\$\.note"),
    (Totalled, marked(Totalled(1)), r"\$\.note"),
    (Crate[int], marked(Crate[int](1)), r"\$\.note"),
    (list[Parcel], [Parcel(1), marked(Parcel(2))], r"\$\[1\]\.note"),
    (dict[str, Frozen | None], {"a": marked(Frozen(1))}, r"\$\.a\.note"),
    (Crate[Parcel], Crate(marked(Parcel(1))), r"\$\.item\.note"),
    (Model, Model(a=1).model_copy(update={"note": "x"}), r"\$\.note"),
    (list[Model], [marked(Model(a=1))], r"\$\[0\]\.note"),
    (CheckedRecord, marked(CheckedRecord(1)), r"\$\.note"),
    (Wider, Wider(a=1, note="x"), r"\$\.note"),  # type: ignore[call-arg]
    (Open, marked(Open(1)), r"\$\.note"),
    (PairWithDict, marked(PairWithDict(1)), r"\$\.note"),
]


@pytest.mark.parametrize(("kind", "value", "path"), BESIDE)
def test_what_is_set_on_an_instance_and_is_no_field_is_refused_with_its_path(kind: Any, value: Any, path: str) -> None:
    with pytest.raises(InvalidInput, match=path + ": it was set on the instance and is no field; declare it as one"):
        PayloadType(kind).write(value, "it")


def test_what_an_instance_found_by_itself_and_was_changed_since_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\$\.total: another int would be read back"):
        PayloadType(Totalled).write(marked(Totalled(1), "total", 9), "it")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Parcel, looked_at(Parcel(1), "doubled")),
        (Model, looked_at(Model(a=1), "doubled", "shown")),
        (list[Model], [looked_at(Model(a=1), "doubled")]),
        (Totalled, Totalled(1)),
        (Crate[int], Crate[int](1)),
        (Unslotted, Unslotted(1)),
        (Open, Open(1)),
        (PairWithDict, PairWithDict(1)),
    ],
)
def test_what_is_found_again_is_kept_nowhere_and_lost_nowhere(kind: Any, value: Any) -> None:
    payload = PayloadType(kind)
    read = payload.read(payload.write(value, "it"))
    assert difference(value, read) is None
    assert type(read) is type(value)


class Patch(BaseModel):
    name: str | None = None
    made: list[int] = Field(default_factory=lambda: [1])


def test_every_field_of_a_model_that_is_read_back_counts_as_set_and_has_the_value_that_it_had() -> None:
    """Said in docs/howto/values.md: a default that changes later, or is made anew, changes nothing that is recorded."""
    payload = PayloadType(Patch)
    given = Patch()
    read = payload.read(payload.write(given, "it"))
    assert read == given
    assert (given.model_fields_set, read.model_fields_set) == (set(), {"name", "made"})
    assert read.model_dump(exclude_unset=True) == {"name": None, "made": [1]}
