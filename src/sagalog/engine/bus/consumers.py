"""The consumers that this process owns. They are owned under the worker's lease and lost with it.

No message is read here.
"""

import asyncio
import logging
from collections.abc import Collection, Container, Sequence
from itertools import groupby

from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import StoreError
from sagalog.saga.failure import described
from sagalog.store import ConsumerRow

logger = logging.getLogger("sagalog.engine")

# How often to look for consumers whose worker has ended or lost its lease, in polls.
POLLS_BETWEEN_LOOKS = 10
# The longest pause, in seconds, before a consumer that was left to others is taken again: there may be no others.
LONGEST_LEAVE = 10.0


class Consumers:
    """The consumers among `names` that this process owns, and their positions."""

    def __init__(
        self,
        surroundings: Surroundings,
        worker: Worker,
        names: Sequence[str],
        reacting: Container[str] = (),
    ) -> None:
        self.names = tuple(names)
        # These begin at the end of the log when they are new: what happened before is not to be reacted to.
        self._reacting = reacting
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._worker = worker
        self._limits = surroundings.limits
        self._rows: dict[str, ConsumerRow] = {}
        self._resting = GivenUp(asyncio.get_running_loop().time)
        self._left = GivenUp(asyncio.get_running_loop().time)
        # Held while consumers are taken or left, so that the rows here agree with what was written.
        self._turn = asyncio.Lock()
        self._taken_by = ""
        # By the event loop's time, so that setting the system clock cannot delay it.
        self._take_at = 0.0

    @property
    def worker_id(self) -> str:
        """Return the id of the worker for which the consumers were taken."""
        return self._taken_by

    @property
    def owned(self) -> dict[str, ConsumerRow]:
        """Return the consumers that this process owns, as far as it knows, by name."""
        return self._rows if self._worker.holds and self._worker.worker_id == self._taken_by else {}

    def still_ours(self, consumer: str, worker_id: str) -> bool:
        """Tell whether `worker_id` still owns the consumer; safe to call from any thread."""
        return worker_id == self._taken_by and consumer in self.owned

    async def take(self) -> bool:
        """Take free consumers if it is time to look; return whether this process owns any."""
        if not self._worker.holds:
            return False
        looked_at = asyncio.get_running_loop().time()
        worker_id = self._worker.worker_id
        if worker_id != self._taken_by or looked_at >= self._take_at:
            async with self._turn:
                names = [name for name in self.names if name not in self._left]
                rows = await self._take_those_free(worker_id, names) if names else []
                self._rows = {row.consumer: row for row in rows}
                self._taken_by = worker_id
            # Ours stay ours while the lease holds, and more become free only when another worker ends.
            has_all = len(rows) == len(self.names)
            polls = 1 if self._resting.resting() else POLLS_BETWEEN_LOOKS
            pause = 60 * self._limits.lease if has_all else polls * self._limits.poll
            self._take_at = looked_at + pause / 1e6
        return bool(self._rows)

    async def _take_those_free(self, worker_id: str, names: Sequence[str]) -> list[ConsumerRow]:
        if self._resting.resting():
            return await self._take_one_by_one(worker_id, names)
        try:
            return await self._take(worker_id, names)
        except StoreError as problem:
            if len(names) == 1:
                raise
            logger.info("consumers are taken one by one: %s", problem)
        return await self._take_one_by_one(worker_id, names)

    async def _take_one_by_one(self, worker_id: str, names: Sequence[str]) -> list[ConsumerRow]:
        # A consumer whose row cannot be written must not keep the others from being taken.
        rows: list[ConsumerRow] = []
        failure: StoreError | None = None
        for name in names:
            if name in self._resting and rows:
                continue
            try:
                rows += await self._take(worker_id, (name,))
                self._resting.forget(name)
            except StoreError as problem:
                failure = problem
                if self._resting.number(name) == 0:
                    logger.warning("consumer %s cannot be taken, trying again: %s", name, described(problem))
                # The write may have waited a second for a locked row, so it is not repeated at once.
                self._resting.add(name, problem)
        if failure is not None and not rows:
            raise failure
        return rows

    async def _take(self, worker_id: str, names: Sequence[str]) -> list[ConsumerRow]:
        taken: list[ConsumerRow] = []
        for from_now, some in groupby(sorted(names, key=self._from_now), self._from_now):
            taken += await self._blocking.write(
                self._store.take_consumers, worker_id, list(some), self._clock.now(), from_now
            )
        return taken

    def _from_now(self, name: str) -> bool:
        return self._limits.from_now or name in self._reacting

    def moved(self, consumer: str, position: int) -> None:
        """Record a consumer's new position, which is already durable."""
        row = self._rows.get(consumer)
        if row is None:
            # It was left to others during the write; they read the position from the store.
            return
        self._rows[consumer] = ConsumerRow(consumer, position, row.owner, row.updated_at)

    async def leave_to_others(self, consumer: str, why: Exception) -> None:
        """Release a consumer that cannot be served here for now; it is taken again after a growing pause."""
        async with self._turn:
            if consumer not in self.owned:
                return
            # From here on nothing is done for it, even if the write fails.
            del self._rows[consumer]
            self._left.add(consumer, why, LONGEST_LEAVE)
            self._take_at = 0.0
            try:
                await self._blocking.write(self._store.release_consumers, self._taken_by, [consumer])
            except StoreError as problem:
                logger.info("consumer %s could not be left to others: %s", consumer, described(problem))

    def take_what_was_left(self) -> None:
        """Let the next `take` include consumers that were left to others, because they can be served here again."""
        self._left.hurry()
        self._take_at = 0.0

    def give_back(self, names: Collection[str]) -> None:
        """Release these consumers, because this process stops and nothing runs for them any more."""
        for name in names:
            self._rows.pop(name, None)
        self._worker.consumer_release.add(names)

    def hurry(self) -> None:
        """Let the next `take` try again the consumers that could not be taken."""
        self._resting.hurry()
        self._take_at = 0.0

    def look_again(self) -> None:
        """Let the next `take` look for free consumers, unless all are ours."""
        if len(self._rows) < len(self.names):
            self._take_at = 0.0

    def doubt(self) -> None:
        """Let `take` read the positions again, because a write failed or its outcome is unknown."""
        self._take_at = 0.0
