"""Look-ups that are the same in every SQL store; the SQL itself belongs to each dialect."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from sagalog.messages import Envelope
from sagalog.store import (
    UNMATCHED_STATUSES,
    CommandRow,
    ConsumerRow,
    HeldLease,
    InboxRow,
    JobItemRow,
    JobItemStatus,
    JobRow,
    StatusRow,
    StepRow,
    StoredEvent,
    UnmatchedQuery,
    UnmatchedRow,
)
from sagalog.stores.envelopes import envelope_of, mail_of
from sagalog.stores.texts import is_storable


class Queries:
    """The methods of the port that only read, through SQL blocks with the same names in every dialect.

    A block takes its values by name, or numbered in the order in which they are given here.
    """

    @abstractmethod
    def _rows(self, block: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows that a block finds."""

    @abstractmethod
    def _list(self, texts: Iterable[str]) -> Any:
        """Return texts in the form in which a block takes a list, without those that no database can hold."""

    def _look(self, block: str, **values: Any) -> Sequence[Any]:
        return self._rows(block, values) if can_be_there(values) else ()

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        """Return the saga's events above version `after`."""
        return [StoredEvent(*row) for row in self._look("read", saga_id=saga_id, after=after)]

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """Return the events of several sagas."""
        found: dict[str, list[StoredEvent]] = {saga_id: [] for saga_id in saga_ids}
        for row in self._look("read_many", saga_ids=self._list(saga_ids)):
            found[row[1]].append(StoredEvent(*row))
        return found

    def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """Return events of all sagas above position `after`."""
        return [StoredEvent(*row) for row in self._look("read_log", after=after, limit=limit)]

    def head(self) -> int:
        """Return the position of the last event in the log."""
        found: int = self._look("last_position")[0][0]
        return found

    def status(self, saga_id: str) -> StatusRow | None:
        """Return a saga's row."""
        rows = self._look("status", saga_id=saga_id)
        return StatusRow(*rows[0]) if rows else None

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist."""
        return {row[0]: StatusRow(*row) for row in self._look("statuses", saga_ids=self._list(saga_ids))}

    def latest_run(self, saga_name: str, key: str) -> StatusRow | None:
        """Return the newest run of a key."""
        rows = self._look("latest_run", saga_name=saga_name, key=key)
        return StatusRow(*rows[0]) if rows else None

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return the newest run of each of these keys that has one."""
        rows = [StatusRow(*row) for row in self._look("sagas_by_key", saga_name=saga_name, keys=self._list(keys))]
        # Rows of one key come in the order of their runs, so the newest run is kept.
        return {row.saga_key: row for row in rows}

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids."""
        rows = self._look("sagas_by_correlation", saga_name=saga_name, correlation_ids=self._list(correlation_ids))
        return [StatusRow(*row) for row in rows]

    def steps(self, saga_id: str) -> list[StepRow]:
        """Return a saga's step rows."""
        return [StepRow(*row) for row in self._look("steps", saga_id=saga_id)]

    def steps_many(self, saga_ids: Sequence[str]) -> dict[str, list[StepRow]]:
        """Return the step rows of several sagas."""
        found: dict[str, list[StepRow]] = {saga_id: [] for saga_id in saga_ids}
        for row in self._look("steps_many", saga_ids=self._list(saga_ids)):
            step = StepRow(*row)
            found[step.saga_id].append(step)
        return found

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (saga name, status, number of sagas)."""
        return [(name, status, number) for name, status, number in self._look("counts")]

    def unloaded(self, definitions: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """Return (name, version, digest, number) of open sagas with other definitions."""
        rows = self._look("unloaded", definitions=self._list(definitions))
        return [(name, version, digest, number) for name, version, digest, number in rows]

    def leases(self) -> list[HeldLease]:
        """Return the leases of all workers."""
        return [HeldLease(*row) for row in self._look("leases")]

    def due(self, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of due sagas that nobody owns."""
        rows = self._look("due", definitions=self._list(definitions), now=now, limit=limit, but=self._list(but))
        return [row[0] for row in rows]

    def with_mail(self, definitions: Sequence[str], limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of unowned sagas with messages in their inbox."""
        rows = self._look("with_mail", definitions=self._list(definitions), limit=limit, but=self._list(but))
        return [row[0] for row in rows]

    def lost(self, now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of sagas whose owners are dead."""
        return [row[0] for row in self._look("lost", now=now, limit=limit, but=self._list(but))]

    def owned(self, worker_id: str) -> list[str]:
        """Return the ids of the sagas that a worker owns."""
        return [row[0] for row in self._look("owned", worker_id=worker_id)]

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after`."""
        return [(row[0], envelope_of(row)) for row in self._look("read_messages", after=after, limit=limit)]

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids."""
        rows = self._look("messages_of", correlation_ids=self._list(correlation_ids))
        return [(row[0], envelope_of(row)) for row in rows]

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message with the position of its first entry in the log."""
        rows = self._look("find_message", message_id=message_id)
        return (rows[0][0], envelope_of(rows[0])) if rows else None

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those of these commands that sagas have sent."""
        return {row[0]: CommandRow(*row) for row in self._look("commands", command_ids=self._list(command_ids))}

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has sent."""
        return [CommandRow(*row) for row in self._look("commands_of", saga_id=saga_id)]

    def commands_many(self, saga_ids: Sequence[str]) -> dict[str, list[CommandRow]]:
        """Return the commands that several sagas have sent."""
        found: dict[str, list[CommandRow]] = {saga_id: [] for saga_id in saga_ids}
        for row in self._look("commands_many", saga_ids=self._list(saga_ids)):
            command = CommandRow(*row)
            found[command.saga_id].append(command)
        return found

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return the inbox rows of the sagas that a worker owns."""
        return [mail_of(row) for row in self._look("mail", worker_id=worker_id, limit=limit, but=self._list(but))]

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of a worker's sagas that have messages in their inbox."""
        return [row[0] for row in self._look("mailed", worker_id=worker_id, limit=limit, but=self._list(but))]

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due."""
        return [mail_of(row) for row in self._look("inbox", recipient=recipient, now=now, limit=limit)]

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        return [ConsumerRow(*row) for row in self._look("consumers")]

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the unmatched messages that match the query."""
        wanted = asdict(query)
        statuses, block = wanted.pop("statuses") or UNMATCHED_STATUSES, self._block_for_unmatched(query)
        found = [
            UnmatchedRow(*row)
            for status in dict.fromkeys(statuses)
            for row in self._look(block, status=status, **wanted)
        ]
        return sorted(found, key=lambda row: row.unmatched_id, reverse=True)[: query.limit]

    def _block_for_unmatched(self, query: UnmatchedQuery) -> str:
        """Return the block that finds the messages of a query; a dialect may have one for each index."""
        return "unmatched"

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again."""
        rows = self._look("redelivering", consumers=self._list(consumers), limit=limit, after=after)
        return [UnmatchedRow(*row) for row in rows]

    def job(self, job_id: str) -> JobRow | None:
        """Return a job."""
        rows = self._look("job", job_id=job_id)
        return JobRow(*rows[0]) if rows else None

    def jobs(self, limit: int, before: str | None = None) -> list[JobRow]:
        """Return jobs, newest first."""
        return [JobRow(*row) for row in self._look("jobs", limit=limit, before=before)]

    def job_counts(self, job_ids: Sequence[str]) -> dict[str, dict[JobItemStatus, int]]:
        """Return how many items each of these jobs has of each status."""
        found: dict[str, dict[JobItemStatus, int]] = {job_id: {} for job_id in job_ids}
        for job_id, status, number in self._look("job_counts", job_ids=self._list(job_ids)):
            found[job_id][status] = number
        return found

    def takeable_job(self, worker_id: str, now: int) -> JobRow | None:
        """Return the oldest running job that this worker owns or that no live worker owns."""
        rows = self._look("takeable_job", worker_id=worker_id, now=now)
        return JobRow(*rows[0]) if rows else None

    def job_items(self, job_id: str, statuses: Sequence[JobItemStatus], limit: int, after: int = 0) -> list[JobItemRow]:
        """Return items of a job that have one of these statuses."""
        wanted = self._list(dict.fromkeys(statuses))
        rows = self._look("job_items", job_id=job_id, statuses=wanted, limit=limit, after=after)
        return [JobItemRow(*row) for row in rows]


def can_be_there(values: Mapping[str, Any]) -> bool:
    """Tell whether a database can hold every text among the values; one that it cannot matches nothing."""
    return all(is_storable(value) for value in values.values() if isinstance(value, str))
