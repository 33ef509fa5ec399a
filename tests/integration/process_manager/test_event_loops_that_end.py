"""A process manager that was closed can be opened in another loop; one that was open when its loop ended says why."""

import asyncio
from pathlib import Path

import pytest

from sagalog import Saga
from sagalog.errors import NotRunning
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

SETTINGS = Settings(lease=0.6, poll=0.02)
PATIENCE_SECONDS = 20


def greeting(wait: bool = False) -> Saga[dict[str, str]]:
    saga = Saga("greeting", input=dict[str, str], key=lambda given: given["key"])

    @saga.step(compensation=None)
    async def greet(given: dict[str, str]) -> str:
        if wait:
            await asyncio.Event().wait()
        return given["key"]

    return saga


def test_a_process_manager_may_be_opened_again_in_another_loop_after_a_crash(tmp_path: Path) -> None:
    saga = greeting()
    manager = ProcessManager(f"sqlite:///{tmp_path / 'a.db'}", sagas=[saga])

    async def crash() -> None:
        async with manager:
            await manager.execute(saga, {"key": "first"}, timeout=PATIENCE_SECONDS)
            raise LookupError("the moon")

    async def again() -> None:
        async with manager:
            assert (await manager.result("first", PATIENCE_SECONDS)).status == "completed"
            assert (await manager.execute(saga, {"key": "second"}, timeout=PATIENCE_SECONDS)).status == "completed"

    with pytest.raises(LookupError):
        asyncio.run(crash())
    asyncio.run(again())
    asyncio.run(again())


@pytest.mark.parametrize("how", ["the loop is closed", "the loop is run to its end"])
def test_one_that_was_open_when_its_loop_ended_says_what_to_do_and_another_goes_on(tmp_path: Path, how: str) -> None:
    address = f"sqlite:///{tmp_path / 'a.db'}"
    lost = ProcessManager(address, sagas=[saga := greeting(wait=True)], settings=SETTINGS)

    async def open_it() -> None:
        await lost.__aenter__()
        await lost.start(saga, {"key": "k"})
        if how == "the loop is run to its end":
            raise LookupError("the moon")

    if how == "the loop is closed":
        loop = asyncio.new_event_loop()
        loop.run_until_complete(open_it())
        for task in asyncio.all_tasks(loop):
            # That they are pending is what this is about, and not to be logged while other tests run.
            setattr(task, "_log_destroy_pending", False)  # noqa: B010
        loop.close()
    else:
        with pytest.raises(LookupError):
            asyncio.run(open_it())

    async def ask(manager: ProcessManager) -> None:
        async with manager:
            assert (await manager.result("k", PATIENCE_SECONDS)).status == "completed"

    for _ in range(2):
        with pytest.raises(NotRunning) as caught:
            asyncio.run(ask(lost))
        assert "its event loop was closed while it was open; build another one, which takes up what" in str(
            caught.value
        )
    asyncio.run(ask(ProcessManager(address, sagas=[greeting()], settings=SETTINGS)))
