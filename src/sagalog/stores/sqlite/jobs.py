"""The part of the SQLite store about bulk jobs; it uses the store's file and transactions."""

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sagalog.store.jobs import JobItemRow, JobRow, JobStatus, last_of_each
from sagalog.stores.columns import JOB
from sagalog.stores.queries import Queries
from sagalog.stores.sqlite.connection import rows_of
from sagalog.stores.sqlite.writing import SQL, write_rows
from sagalog.stores.texts import check_job, is_storable, shortened


class SQLiteJobs(Queries):
    """The methods of the port that write bulk jobs and their items."""

    @abstractmethod
    def _transaction(self, commit: bool) -> AbstractContextManager[sqlite3.Cursor]: ...

    def add_job(self, row: JobRow) -> None:
        """Begin to prepare a job."""
        check_job(row)
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["add_job"], JOB.given.values(row))

    def add_items(self, job_id: str, saga_ids: Sequence[str]) -> bool:
        """Append sagas to a job that is being prepared."""
        if not is_storable(job_id):
            return False
        with self._transaction(commit=True) as cursor:
            found = cursor.execute(SQL["prepared_job"], (job_id,)).fetchone()
            if found is None:
                return False
            given = {"job_id": job_id, "sagas": found[0], "saga_ids": self._list(dict.fromkeys(saga_ids))}
            added = cursor.execute(SQL["add_job_items"], given).rowcount
            cursor.execute(SQL["count_job_items"], (added, job_id))
        return True

    def change_job(
        self, job_id: str, status: JobStatus, why: str | None, now: int, expected: Sequence[JobStatus]
    ) -> bool:
        """Set the status of a job if it is one of `expected`."""
        if not is_storable(job_id):
            return False
        wanted = {"job_id": job_id, "status": status, "why": shortened(why), "now": now}
        with self._transaction(commit=True) as cursor:
            return cursor.execute(SQL["change_job"], wanted | {"expected": self._list(expected)}).rowcount == 1

    def take_job(self, worker_id: str, now: int) -> JobRow | None:
        """Give a worker the oldest running job that it owns or that no live worker owns."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["forget_their_runners"], {"worker_id": worker_id, "now": now})
            taken = rows_of(cursor, SQL["take_job"], {"worker_id": worker_id})
        return JobRow(*taken[0]) if taken else None

    def release_job(self, worker_id: str, job_id: str) -> None:
        """Give a job back."""
        if is_storable(job_id):
            with self._transaction(commit=True) as cursor:
                cursor.execute(SQL["release_job"], (worker_id, job_id))

    def settle_items(self, items: Sequence[JobItemRow]) -> None:
        """Set the status, the text and the time of items, in one transaction."""
        rows = [(one.job_id, one.number, one.status, shortened(one.text), one.at) for one in last_of_each(items)]
        if rows:
            with self._transaction(commit=True) as cursor:
                write_rows(cursor, "settle_job_item", rows)
