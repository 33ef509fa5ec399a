"""Deadlines, retries and the dates shown follow the clock that a service's own tests freeze."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time
from sagas.greeting import Card, Greeting, greet

from sagalog import Refused, Retry, Saga, StepContext
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import StatusRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUICK = Settings(lease=100_000, poll=0.01, longest_wait=0)


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


async def looks(manager: ProcessManager, times: int) -> None:
    """Wait until the worker has looked for due sagas so many times."""
    seen = 0
    claim = manager.store.claim

    def counted(
        worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        nonlocal seen
        seen += 1
        return claim(worker_id, definitions, now, limit, but)

    manager.store.claim = counted  # type: ignore[method-assign]
    while seen <= times:
        await asyncio.sleep(0)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/time.db"


def test_the_dates_shown_are_those_of_the_frozen_clock(database: str) -> None:
    async def ask() -> None:
        saga = greet(timeout=timedelta(hours=1))
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            run = await manager.start(saga, Greeting("ada"))
            await run.result(5)
            row = await run.status()
            assert (row.started_at, row.ended_at) == (microseconds(NOON), microseconds(NOON))
            assert row.deadline_at == microseconds(NOON + timedelta(hours=1))
            assert {event.time for event in await manager.history(run.id)} == {microseconds(NOON)}

    with freeze_time(NOON, real_asyncio=True):
        asyncio.run(ask())


def test_a_retry_waits_for_its_time_and_no_longer(database: str) -> None:
    """Invariant 33: the retry is a row; the saga is not even in memory while it waits."""
    attempts: list[datetime] = []
    saga = Saga("moody", input=Greeting, key=lambda greeting: greeting.name, timeout=timedelta(days=30))

    @saga.step(retry=Retry(attempts=2, delay=3600, max_delay=3600, jitter=0), compensation=None)
    async def write(greeting: Greeting, ctx: StepContext) -> Card:
        attempts.append(datetime.now(UTC))
        if ctx.attempt == 1:
            raise ConnectionError("not now")
        return Card(greeting.name)

    assert write.name == "write"

    async def ask() -> None:
        with freeze_time(NOON, real_asyncio=True) as frozen:
            async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
                run = await manager.start(saga, Greeting("ada"))
                while (await run.status()).owner is not None:
                    await asyncio.sleep(0)
                row = await run.status()
                assert row.waiting_for == "retry of write"
                assert row.waiting_until == microseconds(NOON + timedelta(hours=1))
                frozen.tick(timedelta(minutes=59))
                await looks(manager, 3)
                assert len(attempts) == 1
                frozen.tick(timedelta(minutes=1))
                assert (await run.result(5)).status == "completed"

    asyncio.run(ask())
    assert attempts == [NOON, NOON + timedelta(hours=1)]


def test_the_deadline_of_a_saga_that_waits_rolls_it_back(database: str) -> None:
    """Invariant 30: the deadline undoes, it does not kill."""
    undone: list[str] = []
    saga = Saga("late", input=Greeting, key=lambda greeting: greeting.name, timeout=timedelta(hours=2))

    @saga.step
    async def write(greeting: Greeting) -> Card:
        return Card(greeting.name)

    @write.compensate
    async def tear(card: Card | None) -> None:
        undone.append("nothing" if card is None else card.text)

    @saga.step(retry=Retry(attempts=5, delay=86_400, max_delay=86_400), compensation=None)
    async def post(card: Card) -> None:
        raise ConnectionError("the post office is closed")

    assert post.name == "post"

    async def ask() -> None:
        with freeze_time(NOON, real_asyncio=True) as frozen:
            async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
                run = await manager.start(saga, Greeting("ada"))
                while (await run.status()).waiting_for != "retry of post":
                    await asyncio.sleep(0)
                frozen.tick(timedelta(hours=2))
                result = await run.result(5)
                assert result.status == "failed"
                assert result.error is not None
                assert result.error.type == "DeadlineReached"

    asyncio.run(ask())
    assert undone == ["ada"]


def test_a_handler_is_told_when_its_time_is_over(database: str) -> None:
    seen: list[datetime | None] = []
    saga = Saga("told", input=Greeting, key=lambda greeting: greeting.name, timeout=timedelta(seconds=50))

    @saga.step(timeout=30, compensation=None)
    async def first(greeting: Greeting, ctx: StepContext) -> None:
        seen.append(ctx.deadline)

    @saga.step(timeout=90, compensation=None)
    async def second(greeting: Greeting, ctx: StepContext) -> None:
        seen.append(ctx.deadline)
        raise Refused("enough")

    assert (first.name, second.name) == ("first", "second")

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            await manager.execute(saga, Greeting("ada"), timeout=5)

    with freeze_time(NOON, real_asyncio=True):
        asyncio.run(ask())
    assert seen == [NOON + timedelta(seconds=30), NOON + timedelta(seconds=50)]
