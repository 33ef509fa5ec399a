"""What tests of declarations declare with: a few types, and how to read the mistakes that building tells."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from sagalog import Saga
from sagalog.errors import DefinitionError


class Order(Struct, frozen=True):
    order_id: str


class Reservation(Struct, frozen=True):
    reservation_id: str


class Payment(Struct, frozen=True):
    payment_id: str


class Inventory:
    pass


def new_saga(**options: Any) -> Saga[Order]:
    return Saga("orders", input=Order, **options)


def mistakes(saga: Saga[Any]) -> list[str]:
    """Return the mistakes that building the saga tells."""
    with pytest.raises(DefinitionError) as caught:
        _ = saga.definition
    first, *listed = str(caught.value).splitlines()
    assert first == f"saga {saga.name!r} is declared wrongly:"
    return [line.removeprefix("  - ") for line in listed]


def only(saga: Saga[Any], *parts: str) -> None:
    """Expect exactly one mistake whose text has all of these parts."""
    found = mistakes(saga)
    assert len(found) == 1, found
    for part in parts:
        assert part in found[0]


def waived(saga: Saga[Order], **options: Any) -> Callable[[Callable[..., Any]], Any]:
    step: Callable[[Callable[..., Any]], Any] = saga.step(compensation=None, **options)
    return step


def always(order: Order) -> bool:
    """Tell of every order that it is wanted: a condition."""
    return bool(order)
