"""A shutdown lets go of handlers that can be run again, and waits for those in threads."""

import asyncio
import threading
from pathlib import Path

import pytest
from sagas.greeting import run

from sagalog import Event, Participant
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

HASTY = Settings(lease=5, poll=0.01, grace=0)


class Asked(Event):
    name: str


class Answered(Event):
    name: str


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shutdown.db"


async def answered(manager: ProcessManager) -> int:
    """Wait for an answer, and return how many there are."""
    while True:
        found = manager.store.read_messages(0, 100)
        if number := len([1 for _, one in found if one.name == "Answered"]):
            return number
        await asyncio.sleep(0.01)


def test_an_async_handler_that_takes_too_long_is_let_go_and_run_again(database: str) -> None:
    began: list[str] = []
    participant = Participant("slow")

    @participant.on
    async def answer(asked: Asked) -> Answered:
        began.append(asked.name)
        if len(began) == 1:
            await asyncio.Event().wait()
        return Answered(name=asked.name)

    assert answer.__name__ == "answer"

    async def test() -> None:
        async with ProcessManager(database, participants=[participant], settings=HASTY) as first:
            await first.publish(Asked(name="ada"))
            while not began:
                await asyncio.sleep(0.001)
        async with ProcessManager(database, participants=[participant], settings=HASTY) as second:
            assert await answered(second) == 1

    run(test())
    assert began == ["ada", "ada"]


def test_a_handler_in_a_thread_is_waited_for_and_its_answer_is_kept(database: str) -> None:
    """Invariant 7: nobody else handles the message while the thread still works on it."""
    working, ending = threading.Event(), threading.Event()
    began: list[str] = []
    participant = Participant("plain")

    @participant.on
    def answer(asked: Asked) -> Answered:
        began.append(asked.name)
        working.set()
        assert ending.wait(10)
        return Answered(name=asked.name)

    assert answer.__name__ == "answer"

    async def test() -> None:
        async with ProcessManager(database, participants=[participant], settings=HASTY) as first:
            await first.publish(Asked(name="ada"))
            while not working.is_set():
                await asyncio.sleep(0.001)
            asyncio.get_running_loop().call_later(0.05, ending.set)
        async with ProcessManager(database, participants=[participant], settings=HASTY) as second:
            assert await answered(second) == 1

    run(test())
    assert began == ["ada"]


def test_whoever_gives_up_publishing_does_not_stop_the_event(database: str) -> None:
    seen: list[str] = []
    participant = Participant("hearer")

    @participant.on
    async def hear(asked: Asked) -> None:
        seen.append(asked.name)

    assert hear.__name__ == "hear"

    async def test() -> None:
        async with ProcessManager(database, participants=[participant], settings=HASTY) as manager:
            task = asyncio.get_running_loop().create_task(manager.publish(Asked(name="ada")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not seen:
                await asyncio.sleep(0.001)

    run(test())
    assert seen == ["ada"]
