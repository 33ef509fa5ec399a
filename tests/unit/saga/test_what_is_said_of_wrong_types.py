"""What is of the wrong type is told in a sentence: what was expected, what was found, what to do. Services, too."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable
from unittest.mock import Mock

import pytest

from sagalog import Event, Participant, Retry, Saga
from sagalog.errors import DefinitionError, InvalidRetry, InvalidSettings, SagalogError, ServiceNotProvided
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings


@dataclass
class Order:
    order_id: str


class Ordered(Event):
    order_id: str


async def handler(order: Order) -> None: ...


def same(order: Order) -> Order:
    return order


def saga() -> Any:
    """Return a saga without steps; typed as anything, since no type checker lets pass what it is given here."""
    return Saga("orders", input=Order, key=lambda order: order.order_id)


FULL: Any = saga()
SENTENCES: dict[str, tuple[Callable[[], object], type[SagalogError], str]] = {
    "a duration in words": (
        lambda: saga().step(name="charge", timeout="1m")(handler),
        DefinitionError,
        (
            "step charge: expected a timeout over 0 seconds and under 100 years, found '1m'; "
            "write seconds, such as 60, or timedelta(minutes=1)"
        ),
    ),
    "a pivot that says yes": (
        lambda: saga().step(name="charge", pivot="yes")(handler),
        DefinitionError,
        "step charge: expected True or False for pivot=, found 'yes'",
    ),
    "a compensation in the decorator": (
        lambda: saga().step(name="charge", compensation=print)(handler),
        DefinitionError,
        (
            "step charge: expected nothing but None for compensation=, which says that there is nothing to undo, found "
            "<built-in function print>; declare how it is undone with @charge.compensate"
        ),
    ),
    "a child by its name": (
        lambda: saga().child("other", input=same),
        DefinitionError,
        "expected another Saga for a child of saga orders, found 'other'",
    ),
    "a policy that is none": (
        lambda: Retry(attempts=cast(Any, "3")),
        InvalidRetry,
        "Retry(attempts=...) is a whole number from 1 to 1,000,000, or None for any number, found '3'",
    ),
    "a saga that stands alone": (
        lambda: ProcessManager("memory://", sagas=FULL),
        DefinitionError,
        (
            "expected a list of Saga for sagas=, found one that stands alone, <Saga orders version 1>; "
            "write sagas=[...] around it"
        ),
    ),
    "a class of sagas": (
        lambda: ProcessManager("memory://", sagas=[Participant("packing")]),  # type: ignore[list-item]
        DefinitionError,
        "expected a list of Saga for sagas=, found <Participant packing> in it",
    ),
    "services in a list": (
        lambda: ProcessManager("memory://", services=cast(Any, [3])),
        DefinitionError,
        "expected {Type: instance} for services=, found [3]; say of which type each of them is",
    ),
    "a path": (
        lambda: ProcessManager(cast(Any, Path("shop.db"))),
        InvalidSettings,
        (
            "expected a database such as sqlite:///shop.db or postgresql://user@host/shop, found the path 'shop.db'; "
            "write sqlite:/// before it"
        ),
    ),
    "settings by a dict": (
        lambda: ProcessManager("memory://", settings=cast(Any, {"lease": 3})),
        InvalidSettings,
        "expected Settings, such as Settings(lease=30), for settings=, found {'lease': 3}",
    ),
    "a lease that is over before it begins": (
        lambda: Settings(lease=-3),
        InvalidSettings,
        "settings are wrong: lease (SAGALOG_LEASE): expected seconds over 0 and at most 2,000,000, found -3",
    ),
    "a setting that there is none of": (
        lambda: Settings(**cast(Any, {"leese": 3})),
        InvalidSettings,
        "settings are wrong: there is no setting 'leese', write lease",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_refused_says_what_was_expected_and_found_and_what_to_do(name: str) -> None:
    call, kind, text = SENTENCES[name]
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, SagalogError)
    assert str(caught.value) == text


# ---------------------------------------------------------------------------------------------- services


class Printer:
    """A service."""

    def show(self) -> None: ...


class Proxy:
    """What passes everything on to something else, as a witness or a stand-in does."""

    def __init__(self, behind: object) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> object:
        return getattr(self._behind, name)


class Prints(Protocol):
    """A service of which it cannot be asked whether something is one."""

    def prints(self) -> None: ...


@runtime_checkable
class Posts(Protocol):
    """A service of which it can be asked."""

    def post(self) -> None: ...


class Post:
    def post(self) -> None: ...


class Laser(Printer):
    """A better service."""


def needing(kind: Any) -> Callable[[dict[Any, Any]], ProcessManager]:
    """Return what builds a process manager around a step, a compensation and a handler that ask for a type."""
    made = saga()
    desk = Participant("desk")

    async def act(order: Order, service: Any) -> None: ...

    async def undone(nothing: None, service: Any) -> None: ...

    async def answered(event: Ordered, service: Any) -> None: ...

    for function in (act, undone, answered):
        function.__annotations__["service"] = kind
    made.step(act).compensate(undone)
    desk.on(answered)
    return lambda given: ProcessManager("memory://", sagas=[made], participants=[desk], services=given)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Printer, Printer()),
        (Printer, Laser()),
        (Printer, Mock(spec=Printer)),
        (Printer | None, None),
        (Prints, Printer()),
        (Posts, Post()),
        (Printer, Proxy(Printer())),
    ],
    ids=[
        "itself",
        "a subclass",
        "a mock of it",
        "none where it may be",
        "a protocol that cannot be asked",
        "a protocol",
        "a proxy",
    ],
)
def test_a_service_is_an_instance_of_its_type_as_far_as_that_can_be_asked(kind: Any, given: object) -> None:
    key = Printer if kind == Printer | None else kind
    assert needing(kind)({key: given}) is not None


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        (Printer, Post(), "<"),
        (Printer, Printer, "the class Printer itself"),
        (Printer, None, "None"),
        (Printer, "printer", "'printer'"),
        (Posts, Printer(), "<"),
    ],
    ids=["another", "the class", "none", "a word", "a protocol"],
)
def test_a_service_that_is_something_else_is_refused_and_says_who_asks_for_it(
    kind: Any, given: object, found: str
) -> None:
    """A step found out when it called the first method, and made its saga stuck."""
    with pytest.raises(ServiceNotProvided) as caught:
        needing(kind)({kind: given})
    name = kind.__name__
    first, *who, advice = str(caught.value).split("\n")
    assert first == "these services are not of the type under which they are given:"
    assert [line.partition(", found ")[0] for line in who] == [
        f"  - orders.act: service: expected an instance of {name}",
        f"  - desk.answered: service: expected an instance of {name}",
    ]
    assert all(line.partition(", found ")[2].startswith(found) for line in who)
    assert advice.startswith("give an instance of the type, or something that has all its public names")
