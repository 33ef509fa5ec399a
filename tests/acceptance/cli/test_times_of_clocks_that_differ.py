"""What took less than no time, as its beginning and end were written by different clocks, is shown with a minus."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from pages.command_line import sagalog

from sagalog import Saga
from sagalog.clock import SystemClock
from sagalog.process_manager import ProcessManager


class SetBack(SystemClock):
    """A clock as the next worker has it that takes a saga over: behind by so many seconds."""

    behind = 0.0

    def now(self) -> int:
        return super().now() - int(self.behind * 1e6)


@pytest.fixture
def database(tmp_path: Path) -> str:
    clock = SetBack()
    saga = Saga("late", input=dict[str, str], key=lambda given: given["key"])

    @saga.step(compensation=None)
    async def arrive(given: dict[str, str]) -> None:
        clock.behind = 90.0

    async def run() -> None:
        address = f"sqlite:///{tmp_path / 'a.db'}"
        async with asyncio.timeout(20), ProcessManager(address, sagas=[saga], clock=clock) as manager:
            assert (await manager.execute(saga, {"key": "k"})).status == "completed"

    asyncio.run(run())
    return str(tmp_path / "a.db")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("list",), r"completed +\S+ +-1 m 30 s"),
        (("show", "k"), r"ended +\S+, after -1 m 30 s"),
        (("show", "k"), r"arrive +succeeded +1 +\+\d+(\.\d)? ms +-1 m 30 s"),
        (("show", "k", "--trace"), r", took -1 m 30 s"),
        (("history", "k"), r"  -1 m 30 s +SagaCompleted"),
        (("replay", "k"), r"  -1 m 30 s +SagaCompleted"),
        (("wait", "k"), r"after -1 m 30 s"),
    ],
    ids=range(7),
)
def test_a_length_of_time_that_is_less_than_none_has_its_sign(
    database: str, words: tuple[str, ...], shown: str
) -> None:
    ran = sagalog("--db", database, *words)
    assert ran.code == 0
    assert re.search(shown, ran.out), ran.out
    assert "+-" not in ran.out


def test_the_times_themselves_are_as_they_were_written(database: str) -> None:
    (row,) = json.loads(sagalog("--db", database, "list", "-o", "json").out)
    assert row["ended_at"] < row["started_at"]
