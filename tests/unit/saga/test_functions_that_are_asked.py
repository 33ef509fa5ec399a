"""Functions that are asked about one value, such as conditions: each kind can be asked, or is refused when declared."""

# mypy: disable-error-code="empty-body, no-untyped-def, misc, untyped-decorator"
# pyright: basic

import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from kernel.kinds_of_callables import kinds_of
from msgspec import Struct

from sagalog import Event, Saga
from sagalog.errors import DefinitionError


class Order(Struct, frozen=True):
    order_id: str


class Asked(Event):
    order_id: str


def order() -> Saga[Order]:
    return Saga("orders", input=Order, timeout=None, key=lambda given: given.order_id)


def asked(**options: Any) -> Any:
    saga: Any = order()

    @saga.step(compensation=None, **options)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_for_elements(kind: Any) -> Any:
    saga: Any = order()

    @saga.step(compensation=None, for_each=kind)
    def first(given: str) -> None: ...

    return saga.definition


def asked_for_key(kind: Any) -> Any:
    saga: Any = Saga("orders", input=Order, key=kind)

    @saga.step(compensation=None)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_by_wait(kind: Any) -> Any:
    saga: Any = order()
    saga.wait_for(Asked, key=kind)
    return saga.definition


def asked_by_start(kind: Any) -> Any:
    saga: Any = order()
    saga.started_by(Asked, input=kind)
    return asked_again(saga)


def asked_by_start_for_key(kind: Any) -> Any:
    saga: Any = order()
    saga.started_by(Asked, input=lambda event: Order(event.order_id), key=kind)
    return asked_again(saga)


def asked_again(saga: Any) -> Any:
    @saga.step(compensation=None)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_for_child(kind: Any) -> Any:
    child: Any = Saga("child", input=str)

    @child.step(compensation=None)
    def only(given: str) -> None: ...

    saga: Any = order()
    saga.child(child, input=kind)
    return saga.definition


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "when": lambda kind: asked(when=kind),
    "for_each": asked_for_elements,
    "key": asked_for_key,
    "wait_for key": asked_by_wait,
    "started_by input": asked_by_start,
    "started_by key": asked_by_start_for_key,
    "child input": asked_for_child,
}
ANY = kinds_of(Order, str, lambda: "done")
FITS = {**ANY.works, **ANY.chooses, **{kind: ANY.untyped[kind] for kind in ("lambda", "class", "builtin", "made in C")}}
UNFIT: dict[str, Any] = {
    **ANY.works_async,
    **ANY.never,
    "two": lambda order, more: True,
    "none": lambda: True,
    "less": lambda *, order: True,
}


@pytest.mark.parametrize("kind", FITS)
@pytest.mark.parametrize("place", QUESTIONS)
def test_a_function_of_one_value_can_be_asked_whatever_its_kind(place: str, kind: str) -> None:
    assert QUESTIONS[place](FITS[kind])


@pytest.mark.parametrize("place", QUESTIONS)
def test_a_mock_of_a_function_can_be_asked(place: str) -> None:
    assert QUESTIONS[place](Mock(spec=lambda given: given))


@pytest.mark.parametrize("kind", [*UNFIT, *ANY.generates])
@pytest.mark.parametrize("place", QUESTIONS)
def test_what_cannot_be_asked_about_one_value_at_once_is_refused_when_it_is_declared(place: str, kind: str) -> None:
    if place == "for_each" and kind in ("generator", "partial of a generator", "wrapper of a generator"):
        assert QUESTIONS[place](ANY.generates[kind]), "what yields elements is what for_each= asks for"
        return
    with pytest.raises(DefinitionError, match="takes a function of the"):
        QUESTIONS[place]({**UNFIT, **ANY.generates}[kind])


class Changeable(Struct):
    """One that can be changed, and so cannot be hashed."""

    order_id: str


class Several(Event):
    of: list[str]


@pytest.mark.parametrize("place", QUESTIONS)
def test_a_cached_function_of_what_cannot_be_hashed_is_refused_when_it_is_declared(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "Order", Changeable)
    monkeypatch.setitem(globals(), "Asked", Several)
    for kind in (functools.cache(lambda given: "a"), functools.partial(functools.lru_cache(1)(lambda given: "a"))):
        with pytest.raises(
            DefinitionError, match=r"takes a function of the .*, but it is cached by functools, .* cannot"
        ):
            QUESTIONS[place](kind)
