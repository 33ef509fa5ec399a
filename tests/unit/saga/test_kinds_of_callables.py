"""Each kind of callable, at each place where a handler is declared: it works, or is refused in a sentence."""

# mypy: disable-error-code="empty-body, no-untyped-def, misc, untyped-decorator"
# pyright: basic

import asyncio
import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest
from kernel.kinds_of_callables import Kinds, choosing, kinds_of, plainly
from msgspec import Struct
from pydantic import BaseModel

from sagalog import Command, Event, Participant, Saga
from sagalog.errors import DefinitionError
from sagalog.saga.callables import annotations_of, is_async, name_of_callable

if TYPE_CHECKING:
    from decimal import Decimal


class Order(Struct, frozen=True):
    order_id: str


class Ask(Command):
    order_id: str


class Asked(Event):
    order_id: str


def order() -> Saga[Order]:
    return Saga("orders", input=Order, timeout=None, key=lambda given: given.order_id)


def as_step(kind: Any) -> Any:
    saga: Any = order()
    saga.step(compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_compensation(kind: Any) -> Any:
    saga: Any = order()

    @saga.step
    def first(given: Order) -> Order: ...

    first.compensate(kind)
    return saga.definition.steps["first"].compensation.is_async


def as_request(kind: Any) -> Any:
    saga: Any = order()
    saga.request(Asked, compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_element_step(kind: Any) -> Any:
    saga: Any = Saga("orders", input=str)
    saga.step(for_each=lambda text: [Order(text)], compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_command_handler(kind: Any) -> Any:
    one: Any = Participant("shop")
    one.handles(Ask)(kind)
    return one.definition.handlers["Ask"][0].is_async


def as_reaction(kind: Any) -> Any:
    one: Any = Participant("shop")
    one.on()(kind) if isinstance(kind, type) else one.on(kind)
    return one.definition.handlers["Asked"][0].is_async


HANDLERS: dict[str, tuple[Callable[[Any], Any], Kinds]] = {
    "step": (as_step, kinds_of(Order, str, lambda: "done")),
    "compensation": (as_compensation, kinds_of(Order, None, lambda: None)),
    "request": (as_request, kinds_of(Order, Ask, lambda: Ask(order_id="o"))),
    "step for each": (as_element_step, kinds_of(Order, str, lambda: "done")),
    "handles": (as_command_handler, kinds_of(Ask, Asked, lambda: Asked(order_id="o"))),
    "on": (as_reaction, kinds_of(Asked, None, lambda: None)),
}
WORKS = [(place, kind, False) for place, (_, kinds) in HANDLERS.items() for kind in kinds.works]
WORKS += [(place, kind, True) for place, (_, kinds) in HANDLERS.items() for kind in kinds.works_async]
# Where a function is given what it needs by position, it need not say more than how many there are.
BY_NAME = ("step", "request")
CHOOSES = [(place, kind) for place, (_, kinds) in HANDLERS.items() for kind in kinds.chooses]
REFUSED = [(place, kind) for place, (_, kinds) in HANDLERS.items() for kind in kinds.refused]


@pytest.mark.parametrize(("place", "kind", "later"), WORKS)
def test_a_kind_that_works_is_known_for_what_calling_it_gives(place: str, kind: str, later: bool) -> None:
    declare, kinds = HANDLERS[place]
    assert declare({**kinds.works, **kinds.works_async}[kind]) is later


@pytest.mark.parametrize(("place", "kind"), REFUSED)
def test_a_kind_that_cannot_work_is_refused_when_it_is_declared(place: str, kind: str) -> None:
    declare, kinds = HANDLERS[place]
    with pytest.raises(DefinitionError) as caught:
        declare(kinds.refused[kind])
    assert len(str(caught.value).splitlines()) <= 6, str(caught.value)


@pytest.mark.parametrize(("place", "kind"), CHOOSES)
def test_what_chooses_by_what_it_is_given_first_works_only_where_that_is_given_by_position(
    place: str, kind: str
) -> None:
    declare, kinds = HANDLERS[place]
    if place not in BY_NAME:
        assert declare(kinds.chooses[kind]) is False
        return
    with pytest.raises(DefinitionError, match=r"made by functools.singledispatch, .* write a function that calls it"):
        declare(kinds.chooses[kind])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("chooses from def and async def", "functions of which later is async; let all of them be plain"),
        ("chooses from def and a generator", "functions of which generator is a generator; let all"),
    ],
)
def test_all_that_is_chosen_from_has_to_be_plain(kind: str, said: str) -> None:
    declare, kinds = HANDLERS["compensation"]
    with pytest.raises(DefinitionError, match=said):
        declare(kinds.never[kind])


def test_a_function_that_calls_what_chooses_is_a_handler_like_any_other() -> None:
    def by_kind(given: Order) -> str: ...

    chooses = choosing(by_kind)

    @functools.wraps(chooses)
    def first(given: Order) -> str:
        return chooses(given)  # type: ignore[no-any-return]

    assert as_step(first) is False


@dataclasses.dataclass
class Changeable:
    of: str


@dataclasses.dataclass(frozen=True)
class Deep:
    of: tuple[Changeable, ...]


@dataclasses.dataclass(frozen=True)
class Hashed:
    of: list[str]

    def __hash__(self) -> int:
        return 1


class Model(BaseModel):
    of: str


class FrozenModel(BaseModel, frozen=True):
    of: list[str]


class Mutable(Struct):
    of: str


class Lines(Struct, frozen=True):
    of: dict[str, int]


UNHASHABLE = [Changeable, Mutable, Deep, Model, FrozenModel, Lines, list[Order], dict[str, int], Model | None]


def cached(kind: Any) -> Any:
    def pay(given: Any) -> str: ...

    pay.__annotations__["given"] = kind
    return functools.lru_cache(pay)


@pytest.mark.parametrize("kind", UNHASHABLE, ids=str)
def test_a_cached_function_of_what_cannot_be_hashed_is_refused_when_it_is_declared(kind: Any) -> None:
    saga: Any = Saga("orders", input=kind)
    for one in (cached(kind), plainly(cached(kind)), functools.partial(cached(kind))):
        with pytest.raises(DefinitionError, match=r"cached by functools, .* cannot; declare it without the cache, and"):
            saga.step(name="pay", compensation=None)(one)
            _ = saga.definition
        saga = Saga("orders", input=kind)


@pytest.mark.parametrize("kind", [Order, Hashed, int, tuple[Order, ...]], ids=str)
def test_a_cached_function_of_what_can_be_hashed_is_a_handler_like_any_other(kind: Any) -> None:
    saga: Any = Saga("orders", input=kind)
    saga.step(name="pay", compensation=None)(cached(kind))
    assert saga.definition.steps["pay"].is_async is False


# ------------------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("plain wrapper of async def", "plain function around a coroutine function"),
        ("def that returns a coroutine", "declare it with async def"),
        ("def that returns an awaitable", "declare it with async def"),
        ("async generator", "it is a generator"),
        ("generator", "it is a generator"),
        ("context manager", "it is a generator"),
        ("raw class method", "it is no function but a classmethod; declare what the class"),
        ("partial method", "it is no function but a partialmethod; declare what the class"),
        ("method that chooses", "is a functools.singledispatchmethod, .* write a function that calls it"),
        ("no function", "it is no function but an int; write a function"),
        ("class", "it is the class Made; write a function"),
        ("builtin", "not written in Python"),
        ("lambda", "has no type, so nothing provides it; annotate it"),
        ("wrapper that hides", "functools.wraps"),
        ("wrapper that takes less", r"says that it takes \(order.*, and takes \(\)"),
    ],
)
def test_the_sentence_says_what_to_write_instead(kind: str, said: str) -> None:
    declare, kinds = HANDLERS["step"]
    with pytest.raises(DefinitionError, match=said):
        declare(kinds.refused[kind])


def test_a_function_that_says_it_wraps_itself_or_what_is_none_is_told_from_outside() -> None:
    def round_about(given: Order) -> str: ...

    round_about.__wrapped__ = round_about  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError, match="nobody knows what it takes"):
        as_step(round_about)

    def lying(given: Order) -> str: ...

    lying.__wrapped__ = 5  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError):
        as_step(lying)


@pytest.mark.parametrize("place", HANDLERS)
def test_what_only_says_that_it_is_a_function_is_refused_in_a_sentence(place: str) -> None:
    def pay(given: Order) -> str: ...

    for mock in (Mock(spec=pay), MagicMock(spec=pay), Mock(), AsyncMock()):
        with pytest.raises(DefinitionError):
            HANDLERS[place][0](mock)


def test_a_name_that_only_type_checkers_know_is_told() -> None:
    def pay(given: Order) -> "Decimal": ...

    with pytest.raises(DefinitionError, match=r"annotations cannot be resolved .*Decimal"):
        as_step(pay)


def test_types_written_as_text_are_found_where_the_function_was_declared() -> None:
    class Local(Struct):
        name: str

    def pay(given: "Order", more: "int" = 0) -> "Local":
        return Local("x")

    assert annotations_of(functools.partial(pay, more=2)) == {"given": Order, "more": int, "return": Local}


def test_a_step_may_be_the_function_of_another_saga_too() -> None:
    saga: Any = order()

    @saga.step(compensation=None)
    async def pay(given: Order) -> str:
        return "paid"

    assert as_step(pay) is True
    assert is_async(pay)
    assert asyncio.run(pay(Order("o-1"))) == "paid"
