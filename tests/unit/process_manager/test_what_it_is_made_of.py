"""A process manager and its engine are complete when they are made, and their parts can be used alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lab.inside import engine_of

from sagalog import Event
from sagalog.clock import SystemClock
from sagalog.errors import NotRunning
from sagalog.process_manager import ProcessManager
from sagalog.process_manager.execution import Execution
from sagalog.process_manager.inspection import Inspection
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.process_manager.messaging import Messaging
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.stores.memory.store import MemoryStore


class Happened(Event):
    what: str


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(told())


def test_nothing_of_a_process_manager_comes_into_being_when_it_is_opened_or_goes_when_it_is_closed() -> None:
    async def story() -> None:
        manager = ProcessManager(MemoryStore())
        made = set(vars(manager))
        async with manager:
            assert set(vars(manager)) == made
        assert set(vars(manager)) == made

    run(story)


def test_each_opening_has_an_engine_of_its_own_which_nobody_changes() -> None:
    async def story() -> None:
        manager = ProcessManager(MemoryStore())
        async with manager:
            first = engine_of(manager)
            assert engine_of(manager) is first
            with pytest.raises(AttributeError):
                first.is_worker = False  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(NotRunning, match="was closed"):
            engine_of(manager)
        async with manager:
            assert engine_of(manager) is not first

    run(story)


def test_what_can_be_asked_of_a_process_manager_can_be_asked_of_its_parts_alone() -> None:
    store, clock = MemoryStore(), SystemClock()

    async def story() -> None:
        manager = ProcessManager(store)
        lifecycle = manager._lifecycle
        messaging = Messaging(lifecycle, clock, "elsewhere", Vocabulary((), ()))
        async with manager:
            await messaging.publish(Happened(what="it"), id="m-1")
            assert await Inspection(lifecycle, store).counts() == {}
            assert await Execution(lifecycle, store, (), {}).find() == []
        found = store.find_message("m-1")
        assert found is not None
        assert found[1].source == "elsewhere"
        with pytest.raises(NotRunning, match="was closed"):
            await messaging.publish(Happened(what="again"))

    run(story)


def test_a_part_whose_process_manager_was_never_opened_says_how_to_open_it() -> None:
    async def story() -> None:
        with pytest.raises(NotRunning, match="use `async with manager:` or its lifespan"):
            await Inspection(Lifecycle(), MemoryStore()).counts()

    run(story)
