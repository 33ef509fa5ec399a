"""What becomes of the sagas of a job: has it gone well, has it failed again, and is the job to be stopped? Pure."""

from collections.abc import Mapping
from typing import Final

from sagalog.saga.events import Verb
from sagalog.saga.transitions import ENDED
from sagalog.store import StatusRow
from sagalog.store.jobs import JobItemRow, JobItemStatus, JobRow

# After these a saga goes on by itself, so whether it has gone well is only seen later.
WATCHED: Final[frozenset[Verb]] = frozenset(("cancel", "retry", "resume", "skip", "resolve", "unpause", "undo"))
# A saga that is open for so long after an action, in microseconds, has not failed again by it.
LONG_ENOUGH: Final = 30_000_000

Counts = Mapping[JobItemStatus, int]


def after_acting(verb: str, at: int, item: JobItemRow) -> JobItemRow:
    """Return the item of a saga on which the action was taken."""
    return _of(item, "acted" if verb in WATCHED else "well", None, at)


def seen_again(item: JobItemRow, row: StatusRow | None, now: int) -> JobItemRow | None:
    """Return the item of a saga that was acted on, once it is known how that went; None if it is not."""
    if row is None:
        return _of(item, "failed", "the saga is gone", now)
    if row.status == "stuck":
        return _of(item, "failed", row.error_text, now)
    if row.status in ENDED or now - (item.at or 0) >= LONG_ENOUGH:
        return _of(item, "well", None, now)
    return None


def refused(item: JobItemRow, why: str, now: int) -> JobItemRow:
    """Return the item of a saga that does not allow the action."""
    return _of(item, "refused", why, now)


def _of(item: JobItemRow, status: JobItemStatus, text: str | None, at: int) -> JobItemRow:
    return JobItemRow(item.job_id, item.number, item.saga_id, status, text, at)


def may_begin(job: JobRow, counts: Counts) -> int:
    """Return how many more sagas may be acted on now: first the canary, the others once that has gone well."""
    pending = counts.get("pending", 0)
    begun = job.sagas - pending
    if begun < job.canary:
        return min(pending, job.canary - begun)
    is_waited_for = begun == job.canary and counts.get("acted", 0) > 0
    return 0 if is_waited_for else pending


def why_to_stop(job: JobRow, counts: Counts) -> str | None:
    """Return why a job must stop; None if it need not."""
    failed = counts.get("failed", 0)
    if failed <= job.stop_after:
        return None
    begun = job.sagas - counts.get("pending", 0)
    return f"{failed} of {begun} sagas were stuck again, and {job.stop_after} may be"


def is_over(counts: Counts) -> bool:
    """Tell whether nothing is left to be done or to be seen."""
    return not counts.get("pending", 0) and not counts.get("acted", 0)
