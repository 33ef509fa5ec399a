"""One turn of a projection: a batch of events is handed to its handlers, and rows and position are committed together.

All calls block. Any number of processes may take turns: a turn locks the generation's row, and goes on from where that
says.
"""

import logging
from collections.abc import Callable

from msgspec.structs import replace

from sagalog.clock import Clock
from sagalog.engine.projections.applying import OURSELVES, Applying, TransactionEnded, Turned, stands
from sagalog.engine.projections.reading import LogReader
from sagalog.errors import InvalidAction
from sagalog.projections.declare import Projection
from sagalog.store import Store
from sagalog.store.projections import ProjectionDatabase, ProjectionRow, ProjectionTransaction

logger = logging.getLogger("sagalog.engine")

# How long one turn may hold its transaction, in seconds: in a SQLite file nobody else writes meanwhile.
LONGEST_TURN = 0.05
# Microseconds after which a generation with parked events is looked at without any news.
SELDOM = 1_000_000
NEVER = 2**63


def _nobody(_: ProjectionRow) -> None:
    """Tell nobody."""


class Projecting:
    """Takes turns for the generations of one projection."""

    def __init__(self, projection: Projection, database: ProjectionDatabase, store: Store, clock: Clock) -> None:
        self.projection = projection
        self.database = database
        self.store = store
        self.clock = clock
        self._reader = LogReader(store, projection.handlers)
        self._applying = Applying(projection, self._reader, clock, LONGEST_TURN)
        # Where each generation was after the last turn; a turn finds out if it is somewhere else.
        self._known: dict[int, ProjectionRow] = {}
        # When each is looked at without any news.
        self._look_at: dict[int, int] = {}

    def turn(self, generation: int, upto: int | None = None, *, wait: bool = False) -> Turned:
        """Take one turn, up to position `upto`; with `wait`, after the turn that somebody else takes.

        Raises `StoreError` if a database does not answer.
        """
        try:
            return self._turn(generation, upto, wait)
        except TransactionEnded as problem:
            return self._stands_for(generation, problem)

    def _turn(self, generation: int, upto: int | None, wait: bool) -> Turned:
        if self.projection.inline:
            self._look(generation)
        known = self._known.get(generation)
        page = None
        if known is not None:
            page = self._reader.page(known.position, self.projection.batch, upto)
            if (page.position == known.position or stands(known)) and self.clock.now() < self._look_at[generation]:
                return Turned(known, False, self._due(generation))
        with self.database.transaction() as transaction:
            if self._ends_with_writers(known) and not (page is not None and page.is_full):
                # It is nearly there: nobody writes meanwhile, so that whoever writes next goes on from here.
                transaction.lock_log()
                page = None
            row = transaction.lock(self.projection.name, generation, wait=wait)
            if row is None or row.status == "removed":
                self._known.pop(generation, None)
                return Turned(None, False)
            self._remember(row)
            if row.paused_at is not None:
                return Turned(row, False)
            again_at = self._applying.again_at.get(generation, 0)
            if row.failed_position is not None and self.clock.now() < again_at:
                return Turned(row, False, again_at)
            if page is None or known is None or row.position != known.position:
                # It is not where it was thought to be.
                page = self._reader.page(row.position, self.projection.batch, upto)
            turned = self._applying.apply(transaction, row, page)
        if turned.row is not None:
            self._remember(turned.row, turned.due_at)
        return turned

    def _stands_for(self, generation: int, problem: TransactionEnded) -> Turned:
        """Let a generation stand until a person has mended its handlers: each turn more would only do more harm."""
        logger.error("projection %s is paused: %s", self.projection.name, problem)
        with self.database.transaction() as transaction:
            row = transaction.lock(self.projection.name, generation, wait=True)
            if row is None or row.status == "removed":
                return Turned(None, False)
            now = self.clock.now()
            row = replace(row, updated_at=now, paused_at=now, paused_by=OURSELVES, paused_reason=str(problem))
            transaction.write(row)
        self._remember(row)
        return Turned(row, False)

    def build(self, generation: int, upto: int, moved: Callable[[ProjectionRow], None] = _nobody) -> ProjectionRow:
        """Take turns until a generation has reached a position, stops, or is paused; `moved` is told of each turn.

        Raises `InvalidAction` if it is not there any more.
        """
        reached: ProjectionRow | None = None
        while True:
            turned = self.turn(generation, upto, wait=True)
            row = turned.row
            if row is None:
                raise InvalidAction(f"generation {generation} of {self.projection.name} was removed meanwhile")
            moved(row)
            has_ended = reached is not None and row.position == reached.position and not turned.more
            if row.position >= upto or stands(row) or has_ended:
                return row
            reached = row

    def _remember(self, row: ProjectionRow, due_at: int | None = None) -> None:
        self._known[row.generation] = row
        # It looks now and then whether a person lets it go on, or lets what is parked be tried again.
        soon = self.clock.now() + SELDOM if row.failures or stands(row) else NEVER
        self._look_at[row.generation] = soon if due_at is None else min(due_at, soon)

    def _look(self, generation: int) -> None:
        """Learn how far an inline projection is, which others keep."""
        known = self._known.get(generation)
        with self.database.reading() as transaction:
            rows = [one for one in transaction.generations(self.projection.name) if one.generation == generation]
        if rows and rows[0] != known:
            # What has never been looked at is, at once.
            self._remember(rows[0], self.clock.now() if known is None else None)

    def _ends_with_writers(self, known: ProjectionRow | None) -> bool:
        return self.projection.inline and known is not None and known.status == "live"

    def forget(self) -> None:
        """Look at each generation anew, because a person has changed what it may do."""
        self._known.clear()

    def _due(self, generation: int) -> int | None:
        due = self._look_at[generation]
        return None if due == NEVER else due

    def within(self, transaction: ProjectionTransaction, row: ProjectionRow, upto: int) -> ProjectionRow:
        """Bring a locked generation up to a position, within a transaction that has begun."""
        while row.position < upto:
            page = self._reader.page(row.position, self.projection.batch, upto)
            if page.position == row.position:
                break
            turned = self._applying.apply(transaction, row, page)
            if turned.row is None or turned.row.position == row.position:
                break
            row = turned.row
        self._remember(row)
        return row
