"""The consumers that this process reads for: taken under the worker's lease, lost with it. It reads no message."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import StoreError
from sagalog.saga.failure import described
from sagalog.store import ConsumerRow

logger = logging.getLogger("sagalog.engine")

# How soon what another worker had is taken over, once that has ended or its lease has run out.
POLLS_BETWEEN_LOOKS = 10
# What is left to others is taken again after so many seconds at most: there may be no others.
LONGEST_LEAVE = 10.0


class Consumers:
    """The consumers among `names` that this process has, and their positions; no other live worker has them."""

    def __init__(
        self,
        surroundings: Surroundings,
        worker: Worker,
        names: Sequence[str],
    ) -> None:
        self.names = tuple(names)
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._worker = worker
        self._limits = surroundings.limits
        self._rows: dict[str, ConsumerRow] = {}
        self._resting = GivenUp(asyncio.get_running_loop().time)
        self._left = GivenUp(asyncio.get_running_loop().time)
        # Held by whoever takes or gives back, from the write to what follows from it here.
        self._turn = asyncio.Lock()
        self._taken_by = ""
        # A time of the event loop, which no clock that is set can keep from coming.
        self._take_at = 0.0

    @property
    def worker_id(self) -> str:
        """Return the name of the worker that owns them."""
        return self._taken_by

    @property
    def owned(self) -> dict[str, ConsumerRow]:
        """Return the consumers that are ours as far as this process knows, by name."""
        return self._rows if self._worker.holds and self._worker.worker_id == self._taken_by else {}

    def still_ours(self, consumer: str, worker_id: str) -> bool:
        """Tell whether `worker_id` is still the worker and has the consumer; any thread may ask."""
        return worker_id == self._taken_by and consumer in self.owned

    async def take(self) -> bool:
        """Take the consumers that are free, if it is time to look; return whether any is ours."""
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
            # Only another worker's death can give us one more, and nobody takes ours while the lease holds.
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
        # One whose row cannot be written must not keep the others from being taken.
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
                # It may have waited a second for a row that somebody has locked.
                self._resting.add(name, problem)
        if failure is not None and not rows:
            raise failure
        return rows

    async def _take(self, worker_id: str, names: Sequence[str]) -> list[ConsumerRow]:
        return await self._blocking.write(
            self._store.take_consumers, worker_id, names, self._clock.now(), self._limits.from_now
        )

    def moved(self, consumer: str, position: int) -> None:
        """Say that a consumer has a new position, and that this is durable."""
        row = self._rows.get(consumer)
        if row is None:
            # It was left to others while that was being written, and they read where it is.
            return
        self._rows[consumer] = ConsumerRow(consumer, position, row.owner, row.updated_at)

    async def leave_to_others(self, consumer: str, why: Exception) -> None:
        """Give back a consumer that cannot be served here for now; take it again after a growing pause."""
        async with self._turn:
            if consumer not in self.owned:
                return
            # Nothing more is done for it here, whatever becomes of the write.
            del self._rows[consumer]
            self._left.add(consumer, why, LONGEST_LEAVE)
            self._take_at = 0.0
            try:
                await self._blocking.write(self._store.release_consumers, self._taken_by, [consumer])
            except StoreError as problem:
                logger.info("consumer %s could not be left to others: %s", consumer, described(problem))

    def take_what_was_left(self) -> None:
        """Take consumers again that were left to others, since they can be served here."""
        self._left.hurry()
        self._take_at = 0.0

    def give_back(self, names: Collection[str]) -> None:
        """Give these back at once, because this process stops and nothing runs for them here."""
        for name in names:
            self._rows.pop(name, None)
        self._worker.consumer_release.add(names)

    def hurry(self) -> None:
        """Try now to take what could not be taken."""
        self._resting.hurry()
        self._take_at = 0.0

    def doubt(self) -> None:
        """Read the positions again before anything else, because a write failed or its outcome is unknown."""
        self._take_at = 0.0
