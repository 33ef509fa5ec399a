"""Every kind of callable that may be declared runs to its end, and a coroutine that nobody awaits is a fault."""

# mypy: disable-error-code="empty-body, no-untyped-def, misc, untyped-decorator, no-any-return"
# pyright: basic

import asyncio
from typing import Any

import pytest
from kernel.kinds_of_callables import kinds_of
from msgspec import Struct

from sagalog import Saga
from sagalog.process_manager import ProcessManager
from sagalog.saga.callables import name_of_callable, plain_answer


class Order(Struct, frozen=True):
    order_id: str


ANY = kinds_of(Order, str, lambda: "done")
LATER = ANY.works_async["async def"]


def order() -> Saga[Order]:
    return Saga("orders", input=Order, timeout=None, key=lambda given: given.order_id)


async def ended(saga: Saga[Order]) -> Any:
    async with ProcessManager("memory://", sagas=[saga]) as manager:
        run = await manager.start(saga, Order("o-1"))
        result = await run.result(20)
        return result, await run.status()


@pytest.mark.parametrize("kind", [*ANY.works, *ANY.works_async])
def test_a_step_of_every_kind_runs_to_its_end(kind: str) -> None:
    saga: Any = order()
    saga.step(compensation=None)({**ANY.works, **ANY.works_async}[kind])
    result, _ = asyncio.run(ended(saga))
    assert result.status == "completed"
    assert result.data == {name_of_callable({**ANY.works, **ANY.works_async}[kind]): "done"}


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_a_function_says_nothing_of_is_a_fault_and_is_closed() -> None:
    def pay(given: Order) -> str:
        return LATER(given)

    async def pay_later(given: Order) -> str:
        return LATER(given)

    for function in (pay, pay_later):
        saga: Any = order()
        saga.step(compensation=None)(function)
        result, row = asyncio.run(ended(saga))
        assert result.status == "stuck"
        assert f"{function.__name__} returned a coroutine, which nobody awaits" in (row.error_text or "")


@pytest.mark.filterwarnings("error")
def test_a_condition_that_gives_a_coroutine_is_no_condition() -> None:
    saga: Any = order()

    @saga.step(compensation=None, when=lambda given: LATER(given) or True)
    def pay(given: Order) -> None: ...

    result, _ = asyncio.run(ended(saga))
    assert result.status == "stuck"


def test_what_was_given_at_once_is_given_on() -> None:
    for value in (None, "text", [1], iter(()), Order("o")):
        assert plain_answer(value, "it") is value
