"""Outcomes that could not be recorded yet: kept until their sagas can be had again. It claims and appends nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sagalog.engine.backoff import Backoff
from sagalog.errors import StoreError
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Input

logger = logging.getLogger("sagalog.engine")

LONGEST_PAUSE = 5.0
# After how many tries it is said that a saga cannot be had; then after twice as many, and so on.
MANY = 8


class Conflict(Exception):
    """The saga was changed by somebody else; `untold` is what had happened and is not recorded yet."""

    def __init__(self, untold: list[Input]) -> None:
        super().__init__("the saga is owned or was changed by another worker")
        self.untold = untold


class Undriven(Exception):
    """The saga cannot be driven here, for the reason that is its cause; `untold` is what is not recorded yet."""

    def __init__(self, untold: list[Input]) -> None:
        super().__init__("the saga cannot be driven")
        self.untold = untold


class LateOutcomes:
    """Keep what another owner cannot know, until whoever drives the saga here takes it.

    `take` is asked again and again to own a saga, which takes its outcomes with it; `poll` is in microseconds.
    """

    def __init__(self, take: Callable[[Definition, str], Awaitable[bool]], poll: int) -> None:
        self._take = take
        self._poll = poll / 1e6
        self._kept: dict[str, list[Input]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def keep(self, definition: Definition, saga_id: str, untold: list[Input]) -> None:
        """Keep what has happened to a saga and is not recorded."""
        if not untold:
            return
        self._kept.setdefault(saga_id, []).extend(untold)
        if saga_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(
                self._ask(definition, saga_id), name=f"sagalog-late-{saga_id}"
            )
            self._tasks[saga_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(saga_id, None))

    def pop(self, saga_id: str) -> list[Input]:
        """Return what is to be told to a saga that is driven here from now on."""
        return self._kept.pop(saga_id, [])

    async def _ask(self, definition: Definition, saga_id: str) -> None:
        backoff = Backoff(self._poll, LONGEST_PAUSE)
        asked, to_be_said = 0, MANY
        while saga_id in self._kept:
            try:
                asked += 1
                if not await self._take(definition, saga_id) and asked == to_be_said:
                    to_be_said *= 2
                    text = "an outcome of saga %s is not recorded yet: after %d tries it is not ours to be had; "
                    text += (
                        "another worker has it, or its row is not changed though the store says nothing (a trigger?)"
                    )
                    logger.warning(text, saga_id, asked)
            except Exception as problem:
                level = logging.WARNING if isinstance(problem, StoreError) else logging.ERROR
                logger.log(level, "an outcome of saga %s is not recorded yet: %s", saga_id, described(problem))
            if saga_id in self._kept:
                await asyncio.sleep(backoff.pause())

    async def stop(self) -> None:
        """Ask no more: whoever takes the sagas over makes the attempts again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
