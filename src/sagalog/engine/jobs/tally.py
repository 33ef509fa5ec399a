"""How many items of the present job have which status, not counted at each round: a job may have a million."""

from collections import Counter
from collections.abc import Sequence

from sagalog.engine.jobs.outcomes import Counts
from sagalog.engine.surroundings import Surroundings
from sagalog.store.jobs import JobItemRow, JobItemStatus


class Tally:
    """The counts of one job, as long as this process alone settles its items."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._job_id = ""
        self._counts: Counter[JobItemStatus] = Counter()

    async def counts(self, job_id: str, *, anew: bool = False) -> Counts:
        """Return the counts of a job; they are asked for if they are not known, or `anew`."""
        if anew or job_id != self._job_id:
            self.forget()
            counted = await self._blocking.read(self._store.job_counts, [job_id])
            self._job_id, self._counts = job_id, Counter(counted.get(job_id, {}))
        return self._counts

    def forget(self) -> None:
        """Count again: somebody else may have settled items, or it is not known whether ours were written."""
        self._job_id = ""

    async def settle(self, items: Sequence[JobItemRow], was: JobItemStatus) -> None:
        """Write what became of items that had the status `was`."""
        if not items:
            return
        job_id = self._job_id
        self.forget()
        await self._blocking.write(self._store.settle_items, items)
        self._counts[was] -= len(items)
        self._counts.update(item.status for item in items)
        self._job_id = job_id
