"""The part of the PostgreSQL store about bulk jobs; it uses the store's connections."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sagalog.store.jobs import JobItemRow, JobRow, JobStatus, last_of_each
from sagalog.stores.columns import JOB
from sagalog.stores.postgres.connection import BoundedConnection
from sagalog.stores.queries import Queries
from sagalog.stores.texts import check_job, is_storable, shortened


class PostgresJobs(Queries):
    """The methods of the port that write bulk jobs and their items."""

    _token: str

    @abstractmethod
    def _transaction(self, seconds: float | None = None) -> AbstractContextManager[BoundedConnection]: ...

    def add_job(self, row: JobRow) -> None:
        """Begin to prepare a job."""
        check_job(row)
        with self._transaction() as connection:
            connection.run("add_job", JOB.given.values(row))

    def add_items(self, job_id: str, saga_ids: Sequence[str]) -> bool:
        """Append sagas to a job that is being prepared."""
        if not is_storable(job_id):
            return False
        with self._transaction() as connection:
            connection.run("rows_soon")
            found = connection.rows("prepared_job", (job_id,))
            if found:
                given = (job_id, found[0][0], self._list(dict.fromkeys(saga_ids)))
                added = connection.run("add_job_items", given).rowcount
                connection.run("count_job_items", (added, job_id))
        return bool(found)

    def change_job(
        self, job_id: str, status: JobStatus, why: str | None, now: int, expected: Sequence[JobStatus]
    ) -> bool:
        """Set the status of a job if it is one of `expected`, and notify workers that may take it."""
        if not is_storable(job_id):
            return False
        with self._transaction() as connection:
            with connection.pipeline():
                connection.run("rows_soon")
                changed = connection.run("change_job", (job_id, status, shortened(why), now, list(expected)))
                connection.run("notify", (self._token,))
            return changed.rowcount == 1

    def take_job(self, worker_id: str, now: int) -> JobRow | None:
        """Give a worker the oldest running job that it owns or that no live worker owns."""
        with self._transaction() as connection:
            with connection.pipeline():
                connection.run("rows_soon")
                connection.run("forget_their_runners", (worker_id, now))
                taken = connection.run("take_job", (worker_id,))
            rows = taken.fetchall()
        return JobRow(*rows[0]) if rows else None

    def release_job(self, worker_id: str, job_id: str) -> None:
        """Give a job back, and notify workers that may take it."""
        if is_storable(job_id):
            with self._transaction() as connection, connection.pipeline():
                connection.run("rows_soon")
                connection.run("release_job", (worker_id, job_id))
                connection.run("notify", (self._token,))

    def settle_items(self, items: Sequence[JobItemRow]) -> None:
        """Set the status, the text and the time of items, in one transaction."""
        rows = [(one.job_id, one.number, one.status, shortened(one.text), one.at) for one in last_of_each(items)]
        if rows:
            with self._transaction() as connection, connection.pipeline():
                connection.run("rows_soon")
                connection.run("settle_job_item", tuple(map(list, zip(*rows, strict=True))))
