"""Outcomes that could not be recorded yet, kept until they can be. It claims and appends nothing itself.

The task that asks for a saga restarts when other code cancels it. When the process ends, each saga is tried once more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.hint import is_set_within
from sagalog.engine.loops import Loop
from sagalog.errors import StoreError, WriteRefused
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.saga.inputs import Input

logger = logging.getLogger("sagalog.engine")

LONGEST_PAUSE = 5.0
# A refused outcome is most likely refused until somebody repairs the database. A person then resumes the saga, perhaps
# on another worker, and the outcome should be recorded by then.
PAUSES_OF_REFUSED = Pauses(1.0, 60.0)
# How many sagas are asked for in a second, at most.
MOST_ASKED = 20
# After this many tries it is logged that a saga cannot be had; then after twice as many, and so on.
MANY = 8


class LateOutcomes:
    """Outcomes that only this process knows, kept until they are recorded or the saga's runner here takes them.

    `take` is called repeatedly until this worker owns the saga, whose runner then gets the outcomes. `record` records a
    refused outcome of a saga at rest, and returns False if it is not at rest. `record_at_last` records one of any saga
    that can be claimed. `poll` is in microseconds. `recovered` is called when a refused outcome is written after all.
    """

    def __init__(
        self,
        take: Callable[[Definition, str], Awaitable[bool]],
        record: Callable[[Definition, str, Input], Awaitable[bool]],
        record_at_last: Callable[[Definition, str, Input], Awaitable[bool]],
        poll: int,
        recovered: Callable[[], None] = lambda: None,
    ) -> None:
        self._take = take
        self._record = record
        self._record_at_last = record_at_last
        self._pauses = Pauses(poll / 1e6, LONGEST_PAUSE)
        self._recovered = recovered
        self._kept: dict[str, list[Input]] = {}
        self._definitions: dict[str, Definition] = {}
        # The pauses of sagas with refused outcomes. They grow as long as outcomes are refused, also after a resume.
        self._refused: dict[str, Backoff] = {}
        self._loops: dict[str, Loop] = {}
        self._stopped = False
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Try refused outcomes now, since the store takes other writes again."""
        self._hurried.set()
        self._hurried = asyncio.Event()

    def keep(self, definition: Definition, saga_id: str, unrecorded: Sequence[Input]) -> None:
        """Keep outcomes of a saga that are not recorded."""
        if not unrecorded:
            return
        self._kept.setdefault(saga_id, []).extend(unrecorded)
        self._definitions[saga_id] = definition
        if saga_id not in self._loops and not self._stopped:
            self._loops[saga_id] = Loop(partial(self._ask, definition, saga_id), f"sagalog-late-{saga_id}")

    def keep_refused(self, definition: Definition, saga_id: str, refused: list[Input]) -> None:
        """Keep refused outcomes of a saga, if there are any; a fault is recorded in their place."""
        if refused:
            self._refused.setdefault(saga_id, Backoff(PAUSES_OF_REFUSED))
            self.keep(definition, saga_id, refused)
        elif saga_id not in self._kept:
            self._refused.pop(saga_id, None)

    def pop(self, saga_id: str) -> list[Input]:
        """Remove and return the outcomes of a saga that is driven here from now on."""
        self._definitions.pop(saga_id, None)
        return self._kept.pop(saga_id, [])

    async def _ask(self, definition: Definition, saga_id: str) -> None:
        """Try until nothing is kept of the saga."""
        backoff = Backoff(self._pauses)
        asked, to_be_said = 0, MANY
        while saga_id in self._kept:
            if saga_id in self._refused:
                seconds = max(self._refused[saga_id].pause(), len(self._kept) / MOST_ASKED)
                await is_set_within(self._hurried, seconds)
            try:
                if saga_id in self._refused and await self._record_all(definition, saga_id):
                    continue
                asked += 1
                if not await self._take(definition, saga_id) and asked == to_be_said:
                    to_be_said *= 2
                    text = "an outcome of saga %s is not recorded yet: after %d tries it is not ours to be had; "
                    text += "another worker has it, or its row is not changed and nothing says why (a trigger?)"
                    logger.warning(text, saga_id, asked)
            except Exception as problem:
                level = logging.WARNING if isinstance(problem, StoreError) else logging.ERROR
                logger.log(level, "an outcome of saga %s is not recorded yet: %s", saga_id, described(problem))
            if saga_id in self._kept and saga_id not in self._refused:
                await asyncio.sleep(backoff.pause())
        # Removed without waiting in between: another loop asks for what is kept from now on.
        self._loops.pop(saga_id, None)

    async def _record_all(self, definition: Definition, saga_id: str) -> bool:
        """Record the outcomes of a saga at rest; return False if it is not at rest."""
        problem: Exception | None = None
        for outcome in list(self._kept.get(saga_id, ())):
            try:
                if not await self._record(definition, saga_id, outcome):
                    return False
            except WriteRefused as refused:
                problem = refused
            else:
                # The saga may be driven here by now and get the same outcome again; the second one changes nothing.
                self._is_recorded(saga_id, outcome)
        if problem is not None:
            raise problem
        if saga_id not in self._kept and self._refused.pop(saga_id, None) is not None:
            self._recovered()
        return True

    def _is_recorded(self, saga_id: str, outcome: Input) -> None:
        left = [one for one in self._kept.get(saga_id, ()) if one is not outcome]
        if left:
            self._kept[saga_id] = left
        else:
            self.pop(saga_id)

    async def try_at_last(self, seconds: float) -> None:
        """Stop the tasks and try once for each saga, within so many seconds in all; it may be called again."""
        self._stopped = True
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()))
        self._loops.clear()
        tries = [asyncio.ensure_future(self._try_at_last(*one)) for one in self._definitions.items()]
        if tries:
            await asyncio.wait(tries, timeout=seconds)
        for one in tries:
            one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)

    async def stop(self, seconds: float) -> None:
        """Stop after one last try for each saga, within so many seconds in all.

        What is not recorded then is lost: the worker that takes the saga over makes the attempt again.
        """
        await self.try_at_last(seconds)
        for saga_id in self._kept:
            text = "what is known of saga %s could not be recorded before its process ended; a step may be run again"
            logger.warning(text, saga_id)

    async def _try_at_last(self, saga_id: str, definition: Definition) -> None:
        for outcome in list(self._kept.get(saga_id, ())):
            try:
                if not await self._record_at_last(definition, saga_id, outcome):
                    return
            except Exception as problem:
                logger.info("an outcome of saga %s is not recorded at last: %s", saga_id, described(problem))
            else:
                self._is_recorded(saga_id, outcome)
