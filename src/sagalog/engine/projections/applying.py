"""What becomes of a page of the log: handed to the handlers of a projection, in a transaction that has begun.

An event that fails is parked, and others of its lane wait behind it; or the projection stops at it. It begins no
transaction, and commits none.
"""

import logging
import time
from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from sagalog.clock import Clock
from sagalog.engine.backoff import is_worth_saying
from sagalog.engine.projections.handing import hand
from sagalog.engine.projections.reading import Entry, LogReader, Page
from sagalog.errors import InvalidAction, StoreUnavailable
from sagalog.projections.declare import Projection
from sagalog.projections.tables import Tables
from sagalog.saga.failure import described, text_of, type_of
from sagalog.store.projections import ParkedEvent, ProjectionRow, ProjectionTransaction

logger = logging.getLogger("sagalog.engine")

# After so many events of a turn its time is looked at.
LOOK_AFTER = 16
OURSELVES = "sagalog"


class Turned(Struct, frozen=True):
    """What a turn has done. `more`: another one should follow at once. `due_at`: when a parked event is tried again.

    `row` is the generation's row after the turn; None if it is gone, or somebody else takes a turn now.
    """

    row: ProjectionRow | None
    more: bool
    due_at: int | None = None


class TransactionEnded(InvalidAction):
    """A handler has committed or rolled back what is not its own; nobody knows which of its rows are there."""


class _Stop(Exception):
    """An event at which a projection stops."""

    def __init__(self, entry: Entry, cause: Exception) -> None:
        super().__init__(str(entry.stored.position))
        self.entry = entry
        self.cause = cause


class _Done(Struct):
    """What became of a page: up to where it was handled, and the events that are not in the tables."""

    position: int
    events: int = 0
    reflects: int | None = None
    parked: list[ParkedEvent] = []
    cut: bool = False


class Applying:
    """Hands pages to the handlers of one projection. For one thread at a time.

    `longest` is how long one page may take, in seconds: what is left of it then is for the next turn.
    """

    def __init__(self, projection: Projection, reader: LogReader, clock: Clock, longest: float) -> None:
        self.projection = projection
        self.clock = clock
        self.reader = reader
        self._longest = longest
        # When a generation that has stopped tries its event again.
        self.again_at: dict[int, int] = {}
        self._troubles = 0

    def apply(
        self, transaction: ProjectionTransaction, row: ProjectionRow, page: Page, *, or_raise: bool = False
    ) -> Turned:
        """Hand a page to the handlers, with the parked events that are due, and write how far that is.

        With `or_raise`, an event that cannot be handled is neither parked nor stopped at: its error is raised.
        """
        now = self.clock.now()
        parked = transaction.first_parked(row.projection, row.generation) if row.failures else []
        heads = self._try_again(transaction, row, parked, now)
        if page.position == row.position and heads == parked:
            return Turned(row, False, _due_at(heads))
        lanes = {one.lane for one in heads}
        tables = Tables(transaction, self.projection.sql, row.generation)
        try:
            done = self._handle(transaction, row, tables, page, lanes, now, or_raise=or_raise)
        except _Stop as stop:
            return self._stopped(transaction, row, stop, now)
        transaction.park(done.parked)
        heads += [one for one in done.parked if one.status != "waiting"]
        row = replace(
            row,
            position=done.position,
            reflects=done.reflects or row.reflects,
            events=row.events + done.events,
            head=max(row.head, self.reader.head() if page.is_full else page.position),
            updated_at=now,
            failures=len(heads),
            failed_position=None,
            failed_at=row.failed_at if heads else None,
            error_type=row.error_type if heads else None,
            error_text=row.error_text if heads else None,
        )
        # Those that only wait have no error of their own.
        failed = [one for one in done.parked if one.status != "waiting"]
        if failed:
            row = replace(row, failed_at=now, error_type=failed[0].error_type, error_text=failed[0].error_text)
        transaction.write(row)
        return Turned(row, page.is_full or done.cut, _due_at(heads))

    def anew(
        self,
        transaction: ProjectionTransaction,
        row: ProjectionRow,
        forgetting: Sequence[Entry],
        entries: Sequence[Entry],
        parked: Collection[int],
    ) -> ProjectionRow:
        """Take the events of one lane out of the tables, the last first, and hand them over again, in a locked row.

        Those at the positions of `parked` are in no table. Returns the row, which has none of them parked any more.
        Raises what a handler raises.
        """
        now = self.clock.now()
        tables = Tables(transaction, self.projection.sql, row.generation)
        with transaction.many(), transaction.handlers():
            for entry in reversed(forgetting):
                # What cannot be read has never been in the tables.
                if entry.handlers and entry.stored.position not in parked:
                    hand(entry, tables)
        transaction.unpark(row.projection, row.generation, sorted(parked))
        self._handle(
            transaction, row, tables, Page(list(entries), row.position, is_full=False), set(), now, or_raise=True
        )
        row = replace(row, updated_at=now)
        # Where it has stopped is at an event of its own, which is not this lane's affair.
        if row.failed_position is None:
            row = replace(row, failures=len(transaction.first_parked(row.projection, row.generation)))
            if not row.failures:
                row = replace(row, failed_at=None, error_type=None, error_text=None)
        transaction.write(row)
        return row

    def _handle(
        self,
        transaction: ProjectionTransaction,
        row: ProjectionRow,
        tables: Tables,
        page: Page,
        lanes: set[str],
        now: int,
        *,
        or_raise: bool,
    ) -> _Done:
        """Hand a page to the handlers: all events at once, and one by one if that fails."""
        done = _Done(page.position)
        try:
            with transaction.part(), transaction.many(), transaction.handlers():
                self._hand_all(row, tables, page, lanes, now, done)
            return done
        except Exception as problem:
            if or_raise:
                raise
            raise_if_lost(transaction, problem)
        done = _Done(page.position)
        blocked = set(lanes)
        for entry in page.entries:
            if entry.lane in blocked:
                done.parked.append(self._waiting(row, entry, now))
                continue
            try:
                with transaction.part(), transaction.handlers():
                    done.reflects = hand(entry, tables)
                done.events += 1
            except Exception as problem:
                raise_if_lost(transaction, problem)
                if self.projection.on_failure == "stop":
                    if entry.stored.position == page.entries[0].stored.position:
                        raise _Stop(entry, problem) from None
                    # What comes before it is committed first.
                    done.position = entry.stored.position - 1
                    done.cut = True
                    return done
                blocked.add(entry.lane)
                done.parked.append(self._failed(row, entry, problem, 1, now, now))
        return done

    def _hand_all(self, row: ProjectionRow, tables: Tables, page: Page, lanes: set[str], now: int, done: _Done) -> None:
        until = time.monotonic() + self._longest
        for number, entry in enumerate(page.entries, 1):
            if entry.lane in lanes:
                done.parked.append(self._waiting(row, entry, now))
            else:
                done.reflects = hand(entry, tables)
                done.events += 1
            if number % LOOK_AFTER == 0 and number < len(page.entries) and time.monotonic() > until:
                done.position = entry.stored.position
                done.cut = True
                return

    def _try_again(
        self, transaction: ProjectionTransaction, row: ProjectionRow, heads: Sequence[ParkedEvent], now: int
    ) -> list[ParkedEvent]:
        """Try the parked events that are due, and those that wait behind them; return those that lanes wait for now."""
        left: list[ParkedEvent] = []
        for head in heads:
            if head.status != "retrying" or head.due_at > now:
                left.append(head)
                continue
            lane = transaction.parked(row.projection, row.generation, head.lane)
            failed = self._try_lane(transaction, row, lane, now)
            if failed is not None:
                transaction.park([failed])
                left.append(failed)
        return left

    def _try_lane(
        self, transaction: ProjectionTransaction, row: ProjectionRow, lane: Sequence[ParkedEvent], now: int
    ) -> ParkedEvent | None:
        tables = Tables(transaction, self.projection.sql, row.generation)
        for one in lane:
            entry = self.reader.at(one.position)
            try:
                if entry is not None:
                    with transaction.part(), transaction.handlers():
                        hand(entry, tables)
            except Exception as problem:
                raise_if_lost(transaction, problem)
                assert entry is not None
                since = one.parked_at if one.attempts else now
                return self._failed(row, entry, problem, one.attempts + 1, since, now)
            transaction.unpark(row.projection, row.generation, [one.position])
        return None

    def _waiting(self, row: ProjectionRow, entry: Entry, now: int) -> ParkedEvent:
        return ParkedEvent(
            projection=row.projection,
            generation=row.generation,
            position=entry.stored.position,
            lane=entry.lane,
            event=entry.name,
            saga_id=None if entry.saga is None else entry.stored.saga_id,
            status="waiting",
            attempts=0,
            due_at=now,
            error_type=None,
            error_text=None,
            parked_at=now,
        )

    def _failed(
        self, row: ProjectionRow, entry: Entry, problem: Exception, attempts: int, since: int, now: int
    ) -> ParkedEvent:
        due = self.projection.retry.next_at(attempts, since, self.clock.chance(), now)
        said = described(problem)
        what = f"projection {row.projection}: {entry.name} at position {entry.stored.position}"
        if due is None:
            logger.error("%s is parked after %d attempts; its lane %s waits: %s", what, attempts, entry.lane, said)
        elif attempts == 1:
            self._troubles += 1
            if is_worth_saying(self._troubles):
                trace = problem if self._troubles == 1 else None
                logger.warning("%s failed and will be tried again: %s", what, said, exc_info=trace)
        return replace(
            self._waiting(row, entry, now),
            status="parked" if due is None else "retrying",
            attempts=attempts,
            due_at=now if due is None else due,
            error_type=type_of(problem),
            error_text=text_of(problem),
            parked_at=since,
        )

    def _stopped(self, transaction: ProjectionTransaction, row: ProjectionRow, stop: _Stop, now: int) -> Turned:
        """Record at which event it stops; it is tried again as the retry policy says, and then waits for a person."""
        position = stop.entry.stored.position
        is_first = row.failed_position != position
        attempts = 1 if is_first else row.failures + 1
        since = now if is_first or row.failed_at is None else row.failed_at
        due = self.projection.retry.next_at(attempts, since, self.clock.chance(), now)
        said = described(stop.cause)
        what = f"projection {row.projection} stops at position {position} ({stop.entry.name})"
        row = replace(
            row,
            updated_at=now,
            failed_position=position,
            failures=attempts,
            failed_at=since,
            error_type=type_of(stop.cause),
            error_text=text_of(stop.cause),
        )
        if due is None:
            row = replace(
                row, paused_at=now, paused_by=OURSELVES, paused_reason=f"position {position} cannot be handled"
            )
            logger.error("%s and waits for a person: %s", what, said)
        elif is_first:
            logger.warning("%s and tries again: %s", what, said, exc_info=stop.cause)
        self.again_at[row.generation] = now if due is None else due
        transaction.write(row)
        return Turned(row, False, due)


def stands(row: ProjectionRow) -> bool:
    """Tell whether a generation goes no further, whatever comes: it is paused, or has stopped at an event."""
    return row.paused_at is not None or row.failed_position is not None


def _due_at(heads: Sequence[ParkedEvent]) -> int | None:
    """Return when the first of these is tried again; None if a person is waited for."""
    return min((one.due_at for one in heads if one.status == "retrying"), default=None)


def raise_if_lost(transaction: ProjectionTransaction, problem: Exception) -> None:
    """Raise an error that is more than the event's: the database does not answer, or the transaction is over."""
    if isinstance(problem, StoreUnavailable) or transaction.is_lost(problem):
        raise problem
    if not transaction.goes_on():
        raise TransactionEnded(
            "a handler has ended the transaction that also writes how far the projection is, so that rows may be there "
            f"twice; leave that to the projection, then rebuild it ({described(problem)})"
        ) from problem
