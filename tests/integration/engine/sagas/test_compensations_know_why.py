"""A compensation is told why its saga is rolled back, the same at each attempt; an action is told nothing."""

import asyncio
from datetime import timedelta

import pytest

from sagalog import Refused, Retry, Saga, StepContext
from sagalog.process_manager import ProcessManager
from sagalog.projections import Trouble
from sagalog.store import Store

told: list[tuple[str, int, Trouble | None]] = []


def tell(context: StepContext) -> None:
    told.append((context.step, context.attempt, context.cause))


def story_of(problem: Exception | None, timeout: float = 30) -> Saga[str]:
    saga = Saga("story", input=str, key=lambda name: name, timeout=timedelta(seconds=timeout))

    @saga.step
    async def first(name: str, ctx: StepContext) -> None:
        tell(ctx)

    @first.compensate(retry=Retry(attempts=3, delay=0))
    async def undo_first(_: None, ctx: StepContext) -> None:
        tell(ctx)
        if ctx.attempt == 1:
            raise ConnectionError("not yet")

    @saga.step(compensation=None, retry=Retry(attempts=1))
    async def second(name: str) -> None:
        if problem is None:
            await asyncio.sleep(60)
        else:
            raise problem

    return saga


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (Refused("no stock"), Trouble("Refused", "no stock", "refused", "second")),
        (ValueError("a bad number"), Trouble("ValueError", "a bad number", "error", "second")),
    ],
)
def test_a_compensation_is_told_the_error_of_the_step_that_failed(
    each_database: str | Store, problem: Exception, cause: Trouble
) -> None:
    """Invariant 25: what was first is not lost behind what came of it."""
    told.clear()

    async def run() -> None:
        saga = story_of(problem)
        async with ProcessManager(each_database, sagas=[saga]) as manager:
            result = await manager.execute(saga, "o-1", timeout=20)
            assert result.status == "failed"

    asyncio.run(run())
    assert told == [("first", 1, None), ("first", 1, cause), ("first", 2, cause)]


def test_a_compensation_is_told_that_the_time_of_its_saga_was_over() -> None:
    told.clear()

    async def run() -> None:
        saga = story_of(None, timeout=0.2)
        async with ProcessManager("memory://", sagas=[saga]) as manager:
            await manager.execute(saga, "o-1", timeout=20)

    asyncio.run(run())
    cause = told[-1][2]
    assert cause is not None
    assert (cause.type, cause.kind, cause.step) == ("StepTimeout", "timeout", "second")
