"""A handler takes the input by the type that the saga declares, however that type is written."""

# ruff: noqa: UP045 - how a type is written is what is tested

import asyncio
from typing import Annotated, Any, Optional

import msgspec
import pydantic
import pytest
from kernel.declared import mistakes
from sagas.greeting import QUICK

from sagalog import Saga
from sagalog.errors import InvalidInput
from sagalog.process_manager import ProcessManager


def saga_of(kind: Any, parameter: Any = None) -> Saga[Any]:
    """Return a saga whose only step, and whose compensation, take a parameter of a type, the input's own if none."""
    saga: Saga[Any] = Saga("any", input=kind)

    def act(given: Any) -> str:
        return repr(given)

    def undo(done: str, given: Any) -> None: ...

    act.__annotations__["given"] = undo.__annotations__["given"] = kind if parameter is None else parameter
    saga.step(act).compensate(undo)
    return saga


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Optional[int], None),
        (Optional[int], 3),
        (int | None, 3),
        (int | str, "x"),
        (int | str | None, None),
        (list[int] | None, [1]),
        (Annotated[int, msgspec.Meta(gt=0)], 3),
        (Annotated[int | None, "a note"], None),
        (list[Annotated[int, "a note"]], [3]),
        (None, None),
        (type(None), None),
    ],
    ids=str,
)
def test_a_step_takes_an_input_of_the_declared_type(kind: Any, value: Any) -> None:
    saga = saga_of(kind)

    async def run() -> Any:
        async with ProcessManager("memory://", sagas=[saga], settings=QUICK) as manager:
            return await manager.execute(saga, value, key="k", timeout=5)

    assert asyncio.run(run()).data == {"act": repr(value)}


def test_a_constraint_of_an_input_is_kept() -> None:
    saga = saga_of(Annotated[int, msgspec.Meta(gt=0)])

    async def run() -> None:
        async with ProcessManager("memory://", sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(InvalidInput, match=r"> ?0|>= 1"):
                await manager.start(saga, -1, key="k")

    asyncio.run(run())


def test_an_input_that_may_be_none_is_no_input_that_never_is() -> None:
    assert set(mistakes(saga_of(Optional[int], int))) == {
        f"{which}: parameter given: the input may be None; declare given: int | None"
        for which in ("compensation of step act", "step act")
    }


@pytest.mark.parametrize(
    "kind", [Annotated[int, pydantic.Field(gt=0)], pydantic.PositiveInt, list[pydantic.PositiveInt]], ids=str
)
def test_a_constraint_that_nobody_would_check_is_refused_where_it_is_declared(kind: Any) -> None:
    (told,) = mistakes(saga_of(kind))
    assert told.startswith("input: ")
    assert "is pydantic's, which checks the fields of its own classes; here nobody would: write msgspec.Meta" in told


def test_a_child_is_given_an_input_of_the_declared_type() -> None:
    child: Saga[Any] = saga_of(Optional[int])
    parent = Saga("parent", input=str)

    @parent.child(child, compensation=None)
    def begin(given: str) -> Optional[int]:
        return None

    noted: Saga[Any] = saga_of(Annotated[int, "a note"])

    @parent.child(noted, name="noted", compensation=None)
    def begin_noted(given: str) -> Annotated[int, "a note"]:
        return 1

    assert len(parent.definition.stages) == 2
