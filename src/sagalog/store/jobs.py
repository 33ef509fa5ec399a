"""The part of the port about bulk jobs: what people ask of many sagas, each of which is acted on once.

A job is prepared with the ids of its sagas, and then runs on one worker at a time. Times are integer microseconds since
the epoch.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

JobStatus = Literal["preparing", "running", "paused", "stopped", "done"]
JOB_STATUSES: Final[tuple[JobStatus, ...]] = ("preparing", "running", "paused", "stopped", "done")
JobItemStatus = Literal["pending", "acted", "refused", "well", "failed"]
JOB_ITEM_STATUSES: Final[tuple[JobItemStatus, ...]] = ("pending", "acted", "refused", "well", "failed")
# An item of these is never again of another status than these.
SETTLED: Final[frozenset[JobItemStatus]] = frozenset(("well", "failed"))


class JobRow(Struct, frozen=True, gc=False):
    """One row of `saga_jobs`: something asked of many sagas.

    `act` is what is asked of each, as JSON text; `filter` is what they were chosen by. `why` is a reason of the status.
    `canary` is how many go first, `rate` the most in a second (None: as many as can be), `stop_after` the number of
    failures that stop it. `sagas` counts its items; `owner` is the worker that runs it.
    """

    job_id: str
    verb: str
    act: str
    filter: str
    actor: str
    reason: str
    status: JobStatus
    why: str | None
    canary: int
    rate: float | None
    stop_after: int
    sagas: int
    created_at: int
    updated_at: int
    owner: str | None = None


class JobItemRow(Struct, frozen=True, gc=False):
    """One row of `saga_job_items`: a saga of a job; `number` is its place in the job, from 1.

    `status` is "pending", "acted" (the action was taken), "refused", "well" (acted, and it has gone well since) or
    "failed" (acted, and it is stuck again). `text` is a reason; `at` is when it got that status.
    """

    job_id: str
    number: int
    saga_id: str
    status: JobItemStatus
    text: str | None = None
    at: int | None = None


class Jobs(Protocol):
    """The role of a store to keep bulk jobs and their items."""

    def add_job(self, row: JobRow) -> None:
        """Begin to prepare a job; a job with this id that is there already is left as it is.

        It is "preparing", without items and without an owner, whatever the row says. Raises `InvalidIdentifier` for a
        text that no store can keep.
        """
        ...

    def add_items(self, job_id: str, saga_ids: Sequence[str]) -> bool:
        """Append sagas to a job, but for those that it has already; False if it is not being prepared (any more).

        All of them are added in one transaction, numbered on from the last one in the order given.
        """
        ...

    def change_job(
        self, job_id: str, status: JobStatus, why: str | None, now: int, expected: Sequence[JobStatus]
    ) -> bool:
        """Set the status of a job and why it has it; False if its status is none of `expected`, or it does not exist.

        Its owner keeps it until it gives it back. After a lost acknowledgement look at the job.
        """
        ...

    def job(self, job_id: str) -> JobRow | None:
        """Return a job; None if there is no such job."""
        ...

    def jobs(self, limit: int, before: str | None = None) -> list[JobRow]:
        """Return up to `limit` jobs, newest first; with `before`, only those with smaller ids."""
        ...

    def job_counts(self, job_ids: Sequence[str]) -> dict[str, dict[JobItemStatus, int]]:
        """Return, for each of these jobs, how many items it has of each status that any has."""
        ...

    def takeable_job(self, worker_id: str, now: int) -> JobRow | None:
        """Return the oldest running job that this worker owns or that no live worker owns; nothing is written.

        It says whether to call `take_job`, which waits for all that write; the other one of two may be faster.
        """
        ...

    def take_job(self, worker_id: str, now: int) -> JobRow | None:
        """Give a worker the oldest running job that it owns or that no live worker owns; None if there is none.

        A worker whose job is taken because it is dead by `now` loses its lease, so that it finds out.
        """
        ...

    def release_job(self, worker_id: str, job_id: str) -> None:
        """Give a job back, if this worker owns it."""
        ...

    def job_items(self, job_id: str, statuses: Sequence[JobItemStatus], limit: int, after: int = 0) -> list[JobItemRow]:
        """Return up to `limit` items of a job that have one of these statuses, by number, above number `after`."""
        ...

    def settle_items(self, items: Sequence[JobItemRow]) -> None:
        """Set the status, the text and the time of items, in one transaction; items that do not exist are ignored.

        An item that is "well" or "failed" stays one of these, whatever comes late. Texts are cut like those of errors.
        """
        ...


def last_of_each(items: Iterable[JobItemRow]) -> list[JobItemRow]:
    """Return what several settlements, one after the other, make of each item."""
    last: dict[tuple[str, int], JobItemRow] = {}
    for item in items:
        before = last.get((item.job_id, item.number))
        if before is None or before.status not in SETTLED or item.status in SETTLED:
            last[item.job_id, item.number] = item
    return list(last.values())
