"""A call to the store ends whatever the store raises, and those who wait for a saga are told once it goes better."""

import asyncio
from typing import Any

import pytest
from sagas.greeting import QUICK, Greeting, greet, run

from sagalog.process_manager import ProcessManager
from sagalog.saga.failure import described
from sagalog.store import Query
from sagalog.stores.memory.store import MemoryStore


class Panic(BaseException):
    """What a native extension raises when it has lost its way."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit, SystemExit, Panic, Mute])
@pytest.mark.parametrize("where", ["find", "settle_unmatched"])
def test_a_call_ends_whatever_the_store_raises(kind: type[BaseException], where: str) -> None:
    store = MemoryStore()

    def panicking(*_: object) -> None:
        raise kind

    async def story() -> None:
        async with ProcessManager(store, settings=QUICK) as manager:
            setattr(store, where, panicking)
            told = None
            try:
                await (manager.find() if where == "find" else manager.discard("u", actor="ada", reason="gone"))
            except Exception as problem:
                # Said in the words of ours, for its own may raise.
                told = described(problem)
            assert told is not None
            assert told.startswith(kind.__name__)

    run(story())


def test_whoever_waits_for_a_saga_is_told_after_a_store_that_panicked() -> None:
    """The look at the rows of sagas that run elsewhere goes on."""
    store = MemoryStore()
    saga = greet()
    panics: list[int] = []
    statuses = store.statuses

    def panicking(saga_ids: Any) -> Any:
        if len(panics) < 3:
            panics.append(1)
            raise Panic("lost")
        return statuses(saga_ids)

    async def story() -> str:
        async with ProcessManager(store, sagas=[saga], settings=QUICK, worker=False) as client:
            waited = await client.start(saga, Greeting("ada"))
            store.statuses = panicking  # type: ignore[method-assign]
            waiting = asyncio.create_task(waited.result(10))
            while len(panics) < 3:
                await asyncio.sleep(0)
            async with ProcessManager(store, sagas=[saga], settings=QUICK):
                return (await waiting).status

    assert run(story()) == "completed"
    assert store.find(Query())[0].status == "completed"
