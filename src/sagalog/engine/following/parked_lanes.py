"""Parked notifications of a followed application, by aggregate: later ones of an aggregate wait behind a parked one.

It keeps track of the aggregates that wait, and computes what is to be written; the follower writes it.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sagalog.clock import new_id
from sagalog.engine.following.translation import Entry
from sagalog.engine.surroundings import Surroundings
from sagalog.messages import Envelope
from sagalog.source import Notification, Source
from sagalog.store import UnmatchedQuery, UnmatchedRow, UnmatchedStatus

logger = logging.getLogger("sagalog.engine")

UNSETTLED: tuple[UnmatchedStatus, ...] = ("parked", "redelivering")
WAITS = "waits for"
AT_ONCE = 500
OURSELVES = "sagalog"
SETTLED = "the earlier notification of its aggregate was settled"
GONE = "the notification is not in the log any more, or its class is not followed any more"


class _Subject(Struct):
    """The fields of a parked notification that are read from its text."""

    notification_id: int
    originator_id: str


class Parked(Struct, frozen=True):
    """A parked notification, and its row."""

    notification_id: int
    originator_id: str
    row: UnmatchedRow


class Again(Struct, frozen=True):
    """The outcome of trying parked notifications again: messages, rows that are done, and rows that failed again."""

    messages: list[Envelope]
    done: list[UnmatchedRow]
    parked: list[UnmatchedRow]


class ParkedLanes:
    """The aggregates of one application that have a parked notification."""

    def __init__(self, follow: str, source: Source, surroundings: Surroundings) -> None:
        self._follow = follow
        self._consumer = f"follow:{follow}"
        self._source = source
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._first: dict[str, int] = {}
        # The notifications among them that are tried again without a person.
        self._aside: set[int] = set()
        # The damaged rows that were already logged.
        self._damaged: set[str] = set()
        self.number = 0

    async def load(self) -> list[list[Parked]]:
        """Read what is parked; return a list for each aggregate, the oldest notification first."""
        lanes: dict[str, list[Parked]] = defaultdict(list)
        query = UnmatchedQuery(statuses=UNSETTLED, consumer=self._consumer, limit=AT_ONCE)
        self.number = 0
        while True:
            rows = await self._blocking.read(self._store.unmatched, query)
            for row in rows:
                subject = await self._subject(row)
                if subject is None:
                    continue
                lanes[subject.originator_id].append(Parked(subject.notification_id, subject.originator_id, row))
            self.number += len(rows)
            if len(rows) < AT_ONCE:
                break
            query = replace(query, before=rows[-1].unmatched_id)
        for lane in lanes.values():
            lane.sort(key=lambda parked: parked.notification_id)
        self._first = {originator_id: lane[0].notification_id for originator_id, lane in lanes.items()}
        self._aside = {lane[0].notification_id for lane in lanes.values() if lane[0].row.status == "redelivering"}
        return list(lanes.values())

    async def _subject(self, row: UnmatchedRow) -> _Subject | None:
        """Return which notification a row is about; if its text is damaged, it is found in the application's log.

        None if it is not found there either.
        """
        try:
            return msgspec.json.decode(row.message, type=_Subject)
        except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
            number = row.message_id.removeprefix(f"{self._consumer}:")
            if number.isdecimal():
                notification = await self._blocking.handler(partial(self._source.find, int(number)))
                if notification is not None:
                    return _Subject(notification.id, notification.originator_id)
            if row.unmatched_id not in self._damaged:
                self._damaged.add(row.unmatched_id)
                text = "%s: row %s of saga_unmatched (%s) is damaged and left as it is: %s; discard it"
                logger.error(text, self._consumer, row.unmatched_id, row.message_id, problem)
            return None

    def divide(self, entries: Sequence[Entry]) -> tuple[list[Envelope], list[Entry]]:
        """Return the messages of a batch, and the entries to park: those that failed and those that wait behind one."""
        messages: list[Envelope] = []
        failed: list[Entry] = []
        first_here: dict[str, int] = {}
        for entry in entries:
            notification = entry.notification
            first = self._first.get(notification.originator_id) or first_here.get(notification.originator_id)
            if first is not None:
                is_aside = first in self._aside
                failed.append(Entry(notification, error=_waits(first, is_aside), is_aside=is_aside))
            elif entry.error is not None:
                first_here[notification.originator_id] = notification.id
                failed.append(entry)
            else:
                messages += entry.messages
        return messages, failed

    def row(self, entry: Entry) -> UnmatchedRow:
        """Return the row that parks an entry with its error."""
        notification = entry.notification
        return UnmatchedRow(
            unmatched_id=new_id(self._clock),
            consumer=self._consumer,
            message_id=f"{self._consumer}:{notification.id}",
            kind="event",
            name=notification.kind.__qualname__,
            source=self._follow,
            reason=entry.error or "",
            correlation_id=None,
            causation_id=None,
            position=None,
            message=self._source.text(notification),
            parked_at=self._clock.now(),
            status="redelivering" if entry.is_aside else "parked",
        )

    def parked(self, entries: Sequence[Entry]) -> None:
        """Record that these entries have been parked durably."""
        for entry in entries:
            first = self._first.setdefault(entry.notification.originator_id, entry.notification.id)
            if entry.is_aside:
                self._aside.add(first)
            self.number += 1

    def again(
        self, lanes: Sequence[Sequence[Parked]], limit: int, translate: Callable[[Notification, int], Entry]
    ) -> Again:
        """Translate again the notifications to be redelivered, and those that wait behind them, in order; blocking.

        If one fails, the later ones of its aggregate stay as they are. At most `limit` are tried.
        """
        again = Again([], [], [])
        tried = 0
        for lane in lanes:
            for parked in lane:
                if tried >= limit:
                    return again
                row = parked.row
                if row.status != "redelivering" and not row.reason.startswith(WAITS):
                    break
                tried += 1
                error = self._try(parked, translate, again.messages)
                if error is not None:
                    again.parked.append(
                        replace(row, status="parked", reason=error, actor=None, settled_reason=None, settled_at=None)
                    )
                    break
                again.done.append(row)
        return again

    def _try(
        self, parked: Parked, translate: Callable[[Notification, int], Entry], messages: list[Envelope]
    ) -> str | None:
        notification = self._source.find(parked.notification_id)
        if notification is None:
            return GONE
        entry = translate(notification, self._clock.now())
        messages += entry.messages
        return entry.error

    async def settle(self, rows: Sequence[UnmatchedRow]) -> bool:
        """Mark the rows that only waited as redelivering; return False if one was settled by somebody else."""
        for row in rows:
            if row.status == "parked":
                settled = (row.unmatched_id, "redelivering", OURSELVES, SETTLED, self._clock.now())
                if not await self._blocking.write(self._store.settle_unmatched, *settled):
                    return False
        return True


def _waits(first: int, is_aside: bool) -> str:
    why = "could not be written yet" if is_aside else "is parked; settle that one"
    return f"{WAITS} notification {first} of the same aggregate, which {why}"
