"""Participants react to what happens to sagas: durably, in order, at least once with an id, and to nothing twice."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from databases.stores import EACH_KIND, empty_database
from read_models.order_book import Order, sell

from sagalog import Event, MessageContext, Participant, Retry
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.projections import (
    CommandSent,
    Metadata,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaStarted,
    StepSucceeded,
)
from sagalog.readmodel.rebuild import rebuild
from sagalog.settings import Settings

SETTINGS = Settings(poll=0.02)


@dataclass
class Post:
    """Letters that were sent; the first `lost` of them are lost on the way."""

    letters: list[tuple[str | None, str, str, int]] = field(default_factory=list[tuple[str | None, str, str, int]])
    lost: int = 0


class CustomerTold(Event):
    order_id: str


def desk(**options: Any) -> Participant:
    """Return a desk that writes a letter for each order that fails."""
    found = Participant("desk", **options)

    @found.on(saga="sell")
    async def failed(event: SagaFailed, about: Metadata, ctx: MessageContext, post: Post) -> CustomerTold:
        if post.lost:
            post.lost -= 1
            raise ConnectionError("the letter was lost")
        post.letters.append((about.key, event.error.message, ctx.idempotency_key, ctx.attempt))
        return CustomerTold(order_id=str(about.key))

    return found


@pytest.mark.parametrize("kind", EACH_KIND)
def test_each_end_is_heard_once_with_its_id(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    database = empty_database(kind, tmp_path, request)
    post = Post(lost=1)

    async def story() -> list[str]:
        retry = Retry(attempts=3, delay=0.01, jitter=0)
        manager = ProcessManager(
            database, sagas=[sell], participants=[desk(retry=retry)], services={Post: post}, settings=SETTINGS
        )
        async with manager:
            for number in range(4):
                await manager.execute(sell, Order(f"o-{number}", refused=number % 2 == 0))
            async with asyncio.timeout(20):
                while len(post.letters) < 2:
                    await asyncio.sleep(0.01)
            return [row.saga_id for row in await manager.find(statuses=["failed"])]

    ids = asyncio.run(story())
    assert sorted(str(key) for key, *_ in post.letters) == ["o-0", "o-2"]
    assert {text for _, text, *_ in post.letters} == {"nobody delivers there"}
    assert {key.rpartition(":")[0] for _, _, key, _ in post.letters} == set(ids)
    assert sorted(attempt for *_, attempt in post.letters) == [1, 2]


def listening(kinds: object, heard: list[str], saga: str | None = None, step: str | None = None) -> Participant:
    """Return a participant that notes which step, or else which event, it hears of."""
    found = Participant("listener")

    async def note(event: Any, about: Metadata) -> None:
        heard.append(f"{about.key} {getattr(event, 'step', type(event).__name__)}")

    note.__annotations__["event"] = kinds
    found.on(saga=saga, step=step)(note)
    return found


async def heard_within(heard: list[str], number: int) -> None:
    async with asyncio.timeout(20):
        while len(heard) < number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", EACH_KIND)
def test_only_the_saga_and_the_step_that_are_asked_for_are_heard(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = empty_database(kind, tmp_path, request)
    heard: list[str] = []
    listener = listening(StepSucceeded | SagaCompleted, heard, saga="sell")
    other: list[str] = []
    deaf = Participant("deaf")

    @deaf.on(saga="another")
    async def ended(event: SagaCompleted, about: Metadata) -> None:
        other.append(str(about.key))

    async def story() -> None:
        async with ProcessManager(database, sagas=[sell], participants=[listener, deaf], settings=SETTINGS) as manager:
            await manager.execute(sell, Order("o-1"))
            await heard_within(heard, 3)

    asyncio.run(story())
    # One correlation id is one lane, so they come in the order in which they happened.
    assert heard == ["o-1 pay", "o-1 ship", "o-1 SagaCompleted"]
    assert other == []


def test_what_happened_before_is_not_told_and_what_happens_while_nobody_listens_is(each_sql_database: str) -> None:
    heard: list[str] = []

    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], settings=SETTINGS) as alone:
            await alone.execute(sell, Order("before"))
        async with ProcessManager(
            each_sql_database, sagas=[sell], participants=[listening(SagaCompleted, heard)], settings=SETTINGS
        ) as manager:
            await manager.execute(sell, Order("first"))
            await heard_within(heard, 1)
        async with ProcessManager(each_sql_database, sagas=[sell], settings=SETTINGS) as alone:
            await alone.execute(sell, Order("meanwhile"))
        async with ProcessManager(
            each_sql_database, sagas=[sell], participants=[listening(SagaCompleted, heard)], settings=SETTINGS
        ):
            await heard_within(heard, 2)

    asyncio.run(story())
    assert heard == ["first SagaCompleted", "meanwhile SagaCompleted"]


@pytest.mark.parametrize("kind", EACH_KIND)
def test_what_happens_as_soon_as_it_is_open_is_heard(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Others, which begin at the start of the log, are taken too; the saga must not start in the meantime."""
    database = empty_database(kind, tmp_path, request)
    heard: list[str] = []
    other = Participant("other")

    @other.on
    async def note(event: CustomerTold) -> None:
        raise AssertionError("nobody publishes that here")

    async def story() -> None:
        participants = [other, listening(SagaStarted, heard)]
        async with ProcessManager(database, sagas=[sell], participants=participants, settings=SETTINGS) as manager:
            await manager.start(sell, Order("first"))
            await manager.start(sell, Order("second"))
            await heard_within(heard, 2)

    asyncio.run(story())
    assert sorted(heard) == ["first SagaStarted", "second SagaStarted"]


def test_one_that_cannot_be_handled_is_parked_and_delivered_again(each_sql_database: str) -> None:
    """A person sees it among the messages that nobody could take, and lets it be delivered again."""
    post = Post(lost=1)

    async def story() -> None:
        manager = ProcessManager(
            each_sql_database,
            sagas=[sell],
            participants=[desk(retry=Retry(attempts=1))],
            services={Post: post},
            settings=SETTINGS,
        )
        async with manager:
            run = await manager.start(sell, Order("o-1", refused=True))
            await run.result()
            async with asyncio.timeout(20):
                while not (parked := await manager.unmatched()):
                    await asyncio.sleep(0.01)
            assert (parked[0].consumer, parked[0].name) == ("participant:desk", "saga.SagaFailed")
            assert "the letter was lost" in parked[0].reason
            await manager.redeliver(parked[0].unmatched_id, actor="anna", reason="the post works again")
            async with asyncio.timeout(20):
                while not post.letters:
                    await asyncio.sleep(0.01)

    asyncio.run(story())
    assert [(key, attempt) for key, _, _, attempt in post.letters] == [("o-1", 1)]


def test_neither_a_rebuild_nor_a_replay_tells_anything(each_sql_database: str) -> None:
    """Invariants 38 and 45: what is computed again has no effects."""
    heard: list[str] = []

    async def story() -> None:
        manager = ProcessManager(
            each_sql_database, sagas=[sell], participants=[listening(SagaCompleted, heard)], settings=SETTINGS
        )
        async with manager:
            run = await manager.start(sell, Order("o-1"))
            await run.result()
            await heard_within(heard, 1)
            await asyncio.to_thread(rebuild, manager.store, manager.definitions)
            await manager.history(run.id)
            await manager.execute(sell, Order("o-2"))
            await heard_within(heard, 2)

    asyncio.run(story())
    assert heard == ["o-1 SagaCompleted", "o-2 SagaCompleted"]


@pytest.mark.parametrize(
    ("kinds", "options", "said"),
    [
        (CommandSent, {}, "handled as the command itself"),
        (SagaFailed, {"step": "pay"}, "step= goes with events of steps, and SagaFailed is none"),
        (SagaHappening, {}, "SagaHappening says no type"),
    ],
)
def test_what_cannot_be_heard_is_refused_when_it_is_declared(kinds: object, options: dict[str, str], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        _ = listening(kinds, [], **options).definition
