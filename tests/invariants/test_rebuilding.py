"""The read model is written with the log and can be computed from it again, on every store."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from sagas.greeting import Card, Greeting, run

from sagalog import Refused, Retry, Saga
from sagalog.process_manager import ProcessManager
from sagalog.readmodel.rebuild import rebuild
from sagalog.settings import Settings
from sagalog.store import Append, AppendOutcome, AttributeRow, CommandRow, Query, StatusRow, StepRow, Store
from sagalog.stores import store_for

SETTINGS = Settings(lease=5, poll=0.01, longest_wait=0)
NEVER = Retry(attempts=2, delay=86_400, max_delay=86_400)
QUICK = Retry(attempts=2, delay=0, jitter=0)


def post_office() -> Saga[Greeting]:
    """A saga whose end the name decides: ada completes, refused and lost fail, torn is stuck, waits waits."""
    saga = Saga("post", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(when=lambda greeting: greeting.times > 1, compensation=None)
    async def count(greeting: Greeting) -> None: ...

    @saga.step
    async def write(greeting: Greeting) -> Card:
        return Card(greeting.name)

    @write.compensate(retry=QUICK)
    async def tear(card: Card | None) -> None:
        if card is not None and card.text.startswith("torn"):
            raise ConnectionError("too thick to tear")

    @saga.step(compensation=None)
    async def stamp(card: Card) -> None: ...

    @saga.step(retry=QUICK)
    async def post(card: Card) -> None:
        if card.text.startswith(("refused", "torn")):
            raise Refused("no stamps")
        if card.text.startswith("lost"):
            raise ConnectionError("the box is full")

    @post.compensate
    async def fetch_back(_: None) -> None: ...

    @saga.step(retry=NEVER, compensation=None)
    async def deliver(card: Card) -> None:
        if card.text.startswith("waits"):
            raise ConnectionError("nobody at home")

    assert [step.name for step in (count, stamp, deliver)] == ["count", "stamp", "deliver"]
    return saga


async def fill(store: Store, saga: Saga[Greeting]) -> None:
    """Run sagas to every end, and one that waits."""
    async with ProcessManager(store, sagas=[saga], settings=SETTINGS) as manager:
        for kind in ("ada", "refused", "lost", "torn"):
            for number in range(3):
                await manager.execute(saga, Greeting(f"{kind} {number}", times=number + 1), timeout=10)
        waiting = await manager.start(saga, Greeting("waits"))
        while (await waiting.status()).waiting_for != "retry of deliver":
            await asyncio.sleep(0)
        await manager.start(saga, Greeting("ada 0"))


def everything(store: Store) -> tuple[list[StatusRow], list[list[StepRow]]]:
    rows = store.find(Query(limit=1000))
    return rows, [store.steps(row.saga_id) for row in rows]


class Interrupted(Exception):
    """The rebuild was ended in the middle."""


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_a_rebuild_gives_the_rows_that_were_written_with_the_events(each_database: str | Store, batch: int) -> None:
    """Invariant 45: for any batch size and any interruption, what is rebuilt equals what was there."""
    store = store_for(each_database) if isinstance(each_database, str) else each_database
    saga = post_office()
    run(fill(store, saga))
    store.open()
    try:
        written = everything(store)
        assert {row.status for row in written[0]} == {"completed", "failed", "stuck", "pending"}
        store.rewrite([replace(row, status="started", error_text="?", position=0) for row in written[0]], [])
        definitions = {saga.definition.digest: saga.definition}
        rewrite, left = store.rewrite, [2]

        def interrupted(
            rows: Sequence[StatusRow],
            steps: Sequence[StepRow],
            commands: Sequence[CommandRow] = (),
            attributes: Sequence[AttributeRow] = (),
        ) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted
            rewrite(rows, steps, commands, attributes)

        store.rewrite = interrupted  # type: ignore[method-assign]
        if batch < 5:
            with pytest.raises(Interrupted):
                rebuild(store, definitions, batch)
            assert everything(store) != written
        store.rewrite = rewrite  # type: ignore[method-assign]
        assert rebuild(store, definitions, batch).sagas == len(written[0])
        assert everything(store) == written
        assert rebuild(store, {}, batch).left == len(written[0])
    finally:
        store.close()


def test_rows_and_the_position_that_they_reflect_are_one_transaction(each_database: str | Store) -> None:
    """Invariants 44 and 47: after an append rows say the position of their last event; a refused one changes none."""
    store = store_for(each_database) if isinstance(each_database, str) else each_database
    saga = post_office()
    seen: list[Any] = []
    append = store.append

    def checked(appends: Sequence[Append]) -> list[AppendOutcome]:
        outcomes = append(appends)
        for one, outcome in zip(appends, outcomes, strict=True):
            row, log = store.status(one.saga_id), store.read(one.saga_id)
            steps = {step.step: step.position for step in store.steps(one.saga_id)}
            if outcome == "written" and row is not None:
                seen.append(row.position)
                assert row.position == log[-1].position
                assert all(steps[step.step] == row.position for step in one.steps)
        stale = [replace(one, expected=one.expected + 50) for one in appends if one.expected]
        before = [store.status(one.saga_id) for one in stale]
        assert set(append(stale)) <= {"conflict"} if stale else True
        assert [store.status(one.saga_id) for one in stale] == before
        return outcomes

    store.append = checked  # type: ignore[method-assign]
    run(fill(store, saga))
    assert len(seen) > 50
    assert seen == sorted(set(seen))
