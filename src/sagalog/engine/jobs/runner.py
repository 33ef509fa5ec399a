"""Runs bulk jobs, on the worker that takes them: acts on each saga of a job once, watches how it goes, and may stop.

Each action has an id that follows from the job and the saga's place in it. So after a crash the same is asked again,
and what was done is not done twice.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sagalog.engine.hint import Hint
from sagalog.engine.jobs.outcomes import (
    after_acting,
    is_over,
    may_begin,
    refused,
    seen_again,
    why_to_stop,
)
from sagalog.engine.jobs.tally import Tally
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.actions import Actions
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import SagaBusy, SagalogError, StoreError
from sagalog.saga.actions.asking import Asking, completed
from sagalog.saga.events import ActionRefused
from sagalog.saga.failure import described
from sagalog.store.jobs import JobItemRow, JobRow, JobStatus

logger = logging.getLogger("sagalog.engine")

# Sagas that are acted on, or looked at again, in one round; and those that are acted on side by side.
ROUND = 200
AT_ONCE = 20
# Seconds between two rounds of a job.
PAUSE = 0.2
# How often to look for a job that another process has begun, or left, in polls.
POLLS_BETWEEN_LOOKS = 10
# How long the worker that owns a saga has to take the action of a job, in seconds; later it is asked again.
PATIENCE = 5.0


class Jobs:
    """Runs the jobs that this worker takes, one after the other; `worker_id` is None while it holds no lease."""

    def __init__(self, surroundings: Surroundings, actions: Actions, worker_id: Callable[[], str | None]) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._poll = POLLS_BETWEEN_LOOKS * surroundings.limits.poll / 1e6
        self._actions = actions
        self._worker_id = worker_id
        self._tally = Tally(surroundings)
        self._hint = Hint()
        self._loop: Loop | None = None
        # For the rate of the present job: how many sagas it may be acted on, as of when.
        self._credit = 1.0
        self._credit_of = ("", 0.0)

    def start(self) -> None:
        """Look for jobs from now on."""
        self._loop = Loop(self._run, "sagalog-jobs")

    def hint(self) -> None:
        """Look now instead of at the next poll: this process has begun a job, or lets one go on."""
        self._hint.give()

    async def stop(self) -> None:
        """Stop; a job that is not over is left to other workers."""
        if self._loop is not None:
            await self._loop.stop()

    async def _run(self) -> None:
        while True:
            self._hint.forget()
            try:
                has_job = await self._round()
            except StoreError as problem:
                logger.warning("bulk jobs wait for the store: %s", described(problem))
                has_job = False
            if has_job:
                await asyncio.sleep(PAUSE)
            else:
                await self._hint.wait(self._poll)

    async def _round(self) -> bool:
        """Do a part of a job; return False if there is none."""
        worker_id = self._worker_id()
        if worker_id is None:
            return False
        job = await self._taken(worker_id)
        if job is None:
            self._tally.forget()
            return False
        await self._look_again(job)
        counts = await self._tally.counts(job.job_id)
        if why_to_stop(job, counts) is not None or is_over(counts):
            # What ends a job is counted, not believed.
            counts = await self._tally.counts(job.job_id, anew=True)
        why = why_to_stop(job, counts)
        if why is not None:
            await self._end(job, "stopped", why)
        elif is_over(counts):
            await self._end(job, "done", None)
        else:
            await self._act(job, may_begin(job, counts))
        return True

    async def _taken(self, worker_id: str) -> JobRow | None:
        """Return this worker's job, or another one that it has just taken; whoever has none, waits for no writer."""
        job = await self._blocking.read(self._store.takeable_job, worker_id, self._clock.now())
        if job is None or job.owner == worker_id:
            return job
        self._tally.forget()
        return await self._blocking.write(self._store.take_job, worker_id, self._clock.now())

    async def _end(self, job: JobRow, status: JobStatus, why: str | None) -> None:
        change = self._store.change_job
        await self._blocking.write(change, job.job_id, status, why, self._clock.now(), ["running"])
        level = logging.INFO if why is None else logging.WARNING
        logger.log(level, "job %s (%s) is %s%s", job.job_id, job.verb, status, "" if why is None else f": {why}")

    async def _look_again(self, job: JobRow) -> None:
        """Look at the sagas that were acted on, and record of which it is known how that went."""
        after = 0
        while True:
            items = await self._blocking.read(self._store.job_items, job.job_id, ["acted"], ROUND, after)
            rows = await self._blocking.read(self._store.statuses, [item.saga_id for item in items]) if items else {}
            now = self._clock.now()
            known = [seen for item in items if (seen := seen_again(item, rows.get(item.saga_id), now)) is not None]
            await self._tally.settle(known, "acted")
            if len(items) < ROUND:
                return
            after = items[-1].number

    async def _act(self, job: JobRow, most: int) -> None:
        """Act on the next sagas, as many as may be begun and as the rate allows."""
        most = min(most, ROUND, self._allowed(job))
        if most <= 0:
            return
        self._credit -= most
        try:
            asking = msgspec.json.decode(job.act, type=Asking)
        except msgspec.MsgspecError as problem:
            await self._end(job, "stopped", f"it cannot be read here: {described(problem)}")
            return
        items = await self._blocking.read(self._store.job_items, job.job_id, ["pending"], most)
        for begin in range(0, len(items), AT_ONCE):
            if begin and not await self._goes_on(job):
                return
            part = items[begin : begin + AT_ONCE]
            found = await asyncio.gather(*(self._one(job, asking, item) for item in part))
            await self._tally.settle([item for item in found if item is not None], "pending")

    async def _goes_on(self, job: JobRow) -> bool:
        """Tell whether nobody has paused or stopped the job meanwhile."""
        now = await self._blocking.read(self._store.job, job.job_id)
        return now is not None and now.status == "running"

    def _allowed(self, job: JobRow) -> int:
        """Return how many sagas the rate allows now; what a pause has left over of it is at most a second's worth."""
        if job.rate is None:
            return ROUND
        now = asyncio.get_running_loop().time()
        job_id, since = self._credit_of
        earned = job.rate * (now - since) if job_id == job.job_id else 0.0
        before = self._credit if job_id == job.job_id else 1.0
        self._credit = min(max(1.0, job.rate), before + earned)
        self._credit_of = (job.job_id, now)
        return int(self._credit)

    async def _one(self, job: JobRow, asking: Asking, item: JobItemRow) -> JobItemRow | None:
        """Act on one saga; return None if its worker is busy, so that it is asked again."""
        act = replace(asking.act, action_id=f"{job.job_id}:{item.number}")
        complete = completed(act, asking.given, asking.is_given)
        try:
            _, events = await self._actions.act(item.saga_id, complete, PATIENCE, anywhere=True)
        except SagaBusy:
            return None
        except StoreError:
            raise
        except SagalogError as problem:
            return refused(item, str(problem), self._clock.now())
        if events and isinstance(events[0], ActionRefused):
            return refused(item, events[0].why, events[0].time)
        return after_acting(job.verb, self._clock.now(), item)
