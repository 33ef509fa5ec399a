"""The part of the memory store about bulk jobs, under the store's lock."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from sagalog.store.jobs import SETTLED, JobItemRow, JobItemStatus, JobRow, JobStatus
from sagalog.stores.memory.workers import MemoryWorkers
from sagalog.stores.texts import check_job, only_storable, shortened


class MemoryJobs(MemoryWorkers):
    """The methods of the port that keep bulk jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[str, JobRow] = {}
        # By number, which is the place in the dictionary, and the sagas that a job has.
        self._items: dict[str, dict[int, JobItemRow]] = {}
        self._sagas_of_jobs: dict[str, set[str]] = {}

    def add_job(self, row: JobRow) -> None:
        """Begin to prepare a job."""
        check_job(row)
        with self._lock:
            self._jobs.setdefault(row.job_id, replace(row, status="preparing", why=None, sagas=0, owner=None))

    def add_items(self, job_id: str, saga_ids: Sequence[str]) -> bool:
        """Append sagas to a job that is being prepared."""
        with self._lock:
            row = self._jobs.get(job_id)
            if row is None or row.status != "preparing":
                return False
            items = self._items.setdefault(job_id, {})
            known = self._sagas_of_jobs.setdefault(job_id, set())
            for saga_id in only_storable(saga_ids):
                if saga_id not in known:
                    known.add(saga_id)
                    items[len(items) + 1] = JobItemRow(job_id, len(items) + 1, saga_id, "pending")
            self._jobs[job_id] = replace(row, sagas=len(items))
            return True

    def change_job(
        self, job_id: str, status: JobStatus, why: str | None, now: int, expected: Sequence[JobStatus]
    ) -> bool:
        """Set the status of a job if it is one of `expected`."""
        with self._lock:
            row = self._jobs.get(job_id)
            if row is None or row.status not in expected:
                return False
            self._jobs[job_id] = replace(row, status=status, why=shortened(why), updated_at=now)
        self._hint()
        return True

    def job(self, job_id: str) -> JobRow | None:
        """Return a job."""
        return self._jobs.get(job_id)

    def jobs(self, limit: int, before: str | None = None) -> list[JobRow]:
        """Return jobs, newest first."""
        with self._lock:
            ids = sorted((one for one in self._jobs if before is None or one < before), reverse=True)
            return [self._jobs[one] for one in ids[:limit]]

    def job_counts(self, job_ids: Sequence[str]) -> dict[str, dict[JobItemStatus, int]]:
        """Return how many items each of these jobs has of each status."""
        with self._lock:
            return {one: dict(Counter(item.status for item in self._items.get(one, {}).values())) for one in job_ids}

    def takeable_job(self, worker_id: str, now: int) -> JobRow | None:
        """Return the oldest running job that this worker owns or that no live worker owns."""
        with self._lock:
            for row in sorted(self._jobs.values(), key=lambda row: row.job_id):
                if row.status == "running" and (row.owner in (None, worker_id) or self._is_dead(row.owner, now)):
                    return row
        return None

    def take_job(self, worker_id: str, now: int) -> JobRow | None:
        """Give a worker the oldest running job that it owns or that no live worker owns."""
        with self._lock:
            row = self.takeable_job(worker_id, now)
            if row is None:
                return None
            if row.owner not in (None, worker_id):
                self._leases.pop(row.owner, None)
            taken = self._jobs[row.job_id] = replace(row, owner=worker_id)
            return taken

    def _is_dead(self, worker_id: str | None, now: int) -> bool:
        lease = None if worker_id is None else self._leases.get(worker_id)
        return lease is None or lease.lease_until <= now

    def release_job(self, worker_id: str, job_id: str) -> None:
        """Give a job back."""
        with self._lock:
            row = self._jobs.get(job_id)
            if row is not None and row.owner == worker_id:
                self._jobs[job_id] = replace(row, owner=None)
        self._hint()

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give back the named sagas; with None, all that the worker owns, and its lease."""
        with self._lock:
            for row in list(self._jobs.values()) if saga_ids is None else ():
                if row.owner == worker_id:
                    self._jobs[row.job_id] = replace(row, owner=None)
            super().release(worker_id, saga_ids)

    def job_items(self, job_id: str, statuses: Sequence[JobItemStatus], limit: int, after: int = 0) -> list[JobItemRow]:
        """Return items of a job that have one of these statuses."""
        with self._lock:
            items = list(self._items.get(job_id, {}).values())
        return [item for item in items[after:] if item.status in statuses][:limit]

    def settle_items(self, items: Sequence[JobItemRow]) -> None:
        """Set the status, the text and the time of items."""
        with self._lock:
            for new in items:
                item = self._items.get(new.job_id, {}).get(new.number)
                if item is not None and (item.status not in SETTLED or new.status in SETTLED):
                    self._items[new.job_id][new.number] = replace(
                        item, status=new.status, text=shortened(new.text), at=new.at
                    )
