"""What a process manager lets people do to many sagas at once: a job in the database, which any worker runs."""

from typing import Any, Final, Unpack

import msgspec
from msgspec import Raw

from sagalog.clock import Clock, new_id
from sagalog.engine.asking import as_asked, asked
from sagalog.errors import InvalidAction, InvalidInput, SagaNotFound
from sagalog.harmless import harmless
from sagalog.process_manager.acting import UNSET, Acting, What, check_words
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.saga.actions.asking import Asking
from sagalog.saga.actions.check import check_asked
from sagalog.saga.durations import number_of
from sagalog.saga.events import EMPTY, Verb
from sagalog.saga.inputs import Act
from sagalog.saga.options import shown
from sagalog.store import Query, Store
from sagalog.store.filters import Filter, written
from sagalog.store.jobs import JOB_ITEM_STATUSES, JobItemRow, JobItemStatus, JobRow, JobStatus
from sagalog.store.requests import check_number

# An amended value and a fork are each of one saga.
OF_ONE_SAGA: Final[tuple[Verb, ...]] = ("amend", "fork")
CANARY: Final = 10
STOP_AFTER: Final = 5
PAGE: Final = 500


class Job(msgspec.Struct, frozen=True):
    """A bulk job, and how many of its sagas are pending, acted on, refused, well, and failed."""

    row: JobRow
    counts: dict[JobItemStatus, int]


class Bulk(Acting):
    """The part of `ProcessManager` with which people act on many sagas."""

    def __init__(self, lifecycle: Lifecycle, store: Store, clock: Clock) -> None:
        Acting.__init__(self, lifecycle, store, clock)

    async def begin_job(
        self,
        verb: Verb,
        where: str | Filter,
        *,
        actor: str,
        reason: str,
        canary: int = CANARY,
        rate: float | None = None,
        stop_after: int = STOP_AFTER,
        **what: Unpack[What],
    ) -> Job:
        """Act on every saga that meets a filter now, each once; return the job, which a worker runs.

        The first `canary` sagas go first, and the others when these have gone well; at most `rate` sagas a second. It
        stops by itself once more than `stop_after` of them are stuck again. `what` are the arguments of the method of
        that verb. Raises `InvalidQuery` for a wrong filter, `SagaNotFound` if no saga meets it, and `InvalidAction` for
        a verb that is about one saga (`amend`, `fork`).
        """
        check_words("begin_job", what, What.__annotations__)
        _check(verb, canary, rate, stop_after)
        act, given = self._act_of(verb, what, actor, reason, None)
        check_asked(act)
        if verb == "reschedule" and act.step is None and not act.of_deadline:
            raise InvalidAction(
                "reschedule: expected a step, or deadline=True, for many sagas; found neither. When it is a saga's "
                "turn, it may wait for another time than the one that was meant"
            )
        asking = Asking(act, EMPTY if given is UNSET else _as_json(verb, given), given is not UNSET)
        meant = self._filter(where)
        row = self._row(act, asking, meant, canary, rate, stop_after)
        with as_asked():
            await self._prepare(row, meant)
        self._lifecycle.engine().jobs.hint()
        return await self.job(row.job_id)

    def _row(self, act: Act, asking: Asking, meant: Filter, canary: int, rate: float | None, stop_after: int) -> JobRow:
        """Return the row of a job that is to be prepared."""
        now = self._clock.now()
        return JobRow(
            new_id(self._clock),
            act.verb,
            msgspec.json.encode(asking).decode(),
            written(meant),
            act.actor,
            act.reason,
            "preparing",
            None,
            canary,
            rate,
            stop_after,
            0,
            now,
            now,
        )

    async def _prepare(self, row: JobRow, meant: Filter) -> None:
        """Write a job and the sagas that meet its filter, and let it run; raises `SagaNotFound` if there are none."""
        write, job_id = self._lifecycle.engine().blocking.write, row.job_id
        query = Query(where=meant, limit=PAGE)
        found = await asked(self._blocking, self.store.find, query)
        if not found:
            raise SagaNotFound(f"{row.verb}: no saga meets the filter {row.filter}")
        await write(self.store.add_job, row)
        while found:
            await write(self.store.add_items, job_id, [one.saga_id for one in found])
            query = Query(where=meant, before=found[-1].saga_id, limit=PAGE)
            found = await asked(self._blocking, self.store.find, query)
        await write(self.store.change_job, job_id, "running", None, self._clock.now(), ["preparing"])

    async def job(self, job_id: str) -> Job:
        """Return a job as it is now; raises `SagaNotFound` if there is none with this id."""
        row = await asked(self._blocking, self.store.job, job_id)
        if row is None:
            raise SagaNotFound(
                f"no job has the id {harmless(repr(job_id), 200)}; `sagalog jobs list` shows those there are"
            )
        return Job(row, (await asked(self._blocking, self.store.job_counts, [job_id])).get(job_id, {}))

    async def jobs(self, limit: int = 50, before: str | None = None) -> list[Job]:
        """Return at most `limit` jobs, newest first; for the next page, `before` is the last id of the page before."""
        check_number("limit", limit, 1, may_be_none=False)
        rows = await asked(self._blocking, self.store.jobs, limit, before)
        counts = await asked(self._blocking, self.store.job_counts, [row.job_id for row in rows])
        return [Job(row, counts.get(row.job_id, {})) for row in rows]

    async def job_items(self, job_id: str, statuses: tuple[JobItemStatus, ...] = ()) -> list[JobItemRow]:
        """Return the sagas of a job with one of these statuses (any, if there are none), in their order.

        Raises `SagaNotFound` if there is no such job.
        """
        await self.job(job_id)
        wanted = statuses or JOB_ITEM_STATUSES
        found: list[JobItemRow] = []
        while True:
            after = found[-1].number if found else 0
            page = await asked(self._blocking, self.store.job_items, job_id, wanted, PAGE, after)
            found += page
            if len(page) < PAGE:
                return found

    async def pause_job(self, job_id: str) -> Job:
        """Let a job rest; sagas that were acted on go on."""
        return await self._change(job_id, "paused", None, ("running",))

    async def unpause_job(self, job_id: str) -> Job:
        """Let a job that rests, or has stopped by itself, go on; what failed before counts on."""
        return await self._change(job_id, "running", None, ("paused",))

    async def stop_job(self, job_id: str) -> Job:
        """End a job; sagas that it has not acted on yet stay as they are."""
        return await self._change(job_id, "stopped", "by a person", ("preparing", "running", "paused"))

    async def _change(self, job_id: str, status: JobStatus, why: str | None, expected: tuple[JobStatus, ...]) -> Job:
        before = (await self.job(job_id)).row
        with as_asked():
            changed = await self._lifecycle.engine().blocking.write(
                self.store.change_job, job_id, status, why, self._clock.now(), expected
            )
        if not changed:
            raise InvalidAction(f"job {job_id} is {before.status}; expected one that is {' or '.join(expected)}")
        self._lifecycle.engine().jobs.hint()
        return await self.job(job_id)

    def _filter(self, where: str | Filter) -> Filter:
        if not isinstance(where, str):
            return where
        from sagalog.store.where import parse

        return parse(where, self._clock.now())


def _as_json(verb: Verb, given: Any) -> Raw:
    """Return the value for an action as it is kept until the type that it must fit is known."""
    try:
        return given if isinstance(given, Raw) else Raw(msgspec.json.encode(given))
    except (TypeError, ValueError) as problem:
        raise InvalidInput(f"{verb}: expected a value that can be written as JSON, found {shown(given)}") from problem


def _check(verb: Verb, canary: int, rate: float | None, stop_after: int) -> None:
    if verb in OF_ONE_SAGA:
        raise InvalidAction(f"{verb}: it is about one saga, so no job does it to many")
    check_number("canary", canary, 0, may_be_none=False)
    check_number("stop_after", stop_after, 0, may_be_none=False)
    if rate is not None and not 0 < number_of(rate) < 1e6:
        raise InvalidAction(f"rate: expected sagas a second, over 0, found {shown(rate)}")
