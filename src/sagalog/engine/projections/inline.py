"""Inline projections: kept in the transaction that writes the events, so that they are never behind.

Whatever becomes of them, the events are written. A handler that fails has its event parked in the same transaction; if
it cannot be gone on with at all, the projection stays behind, and its own turns bring it up again.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sagalog.clock import Clock
from sagalog.engine.backoff import is_worth_saying
from sagalog.engine.projections.applying import Applying, stands
from sagalog.engine.projections.reading import LogReader
from sagalog.projections.declare import Projection
from sagalog.saga.failure import described
from sagalog.store.projections import Log, ProjectionRow, ProjectionTransaction

logger = logging.getLogger("sagalog.engine")

# So many events of others are handed over too before it is left behind: they were written without it.
MOST_OF_OTHERS = 100
# So long it is left out after a transaction was lost with it; its own turns bring it up meanwhile.
LEFT_OUT_SECONDS = 5.0

Within = Callable[[Any], tuple[ProjectionTransaction, Log]]


class Inline:
    """The inline projections of this process, as a companion of its store."""

    def __init__(self, projections: Sequence[Projection], store: Log, within: Within, clock: Clock) -> None:
        self._within = within
        self._kept = [_Kept(one, store, clock) for one in projections if one.inline]

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __call__(self, connection: Any, events: int) -> None:
        """Bring each up to the end of the log, in a transaction that has written at most so many events.

        Raises only what tells that the transaction is lost.
        """
        transaction, log = self._within(connection)
        for one in self._kept:
            one.keep(transaction, log, events)


class _Kept:
    """One inline projection."""

    def __init__(self, projection: Projection, store: Log, clock: Clock) -> None:
        self._projection = projection
        self._applying = Applying(projection, LogReader(store, projection.handlers), clock, math.inf)
        self._failed = 0
        self._left_out_until = 0.0

    def keep(self, transaction: ProjectionTransaction, log: Log, events: int) -> None:
        """Hand the newest events over, in a part of the transaction that can fail by itself.

        Where it has cost a whole transaction, those that follow are written without it: events must not wait for it.
        """
        if time.monotonic() < self._left_out_until:
            return
        try:
            self._hand_over(transaction, log, events)
        except BaseException:
            self._left_out_until = time.monotonic() + LEFT_OUT_SECONDS
            raise

    def _hand_over(self, transaction: ProjectionTransaction, log: Log, events: int) -> None:
        self._applying.reader.log = log
        # As if nothing could fail first, which takes the fewest round trips; events are parked in the second try.
        problem = self._tried(transaction, transaction.together(), events, or_raise=True)
        if problem is not None:
            problem = self._tried(transaction, transaction.part(), events, or_raise=False)
        if problem is None:
            self._failed = 0
            return
        self._failed += 1
        if is_worth_saying(self._failed):
            text = "projection %s is left behind for now, and brought up again soon: %s"
            logger.warning(text, self._projection.name, described(problem), exc_info=problem)

    def _tried(
        self, transaction: ProjectionTransaction, part: AbstractContextManager[None], events: int, *, or_raise: bool
    ) -> Exception | None:
        """Hand the events over within a part; return the error that has undone it."""
        try:
            with part:
                self._keep(transaction, events, or_raise)
        except Exception as problem:
            if not transaction.goes_on():
                raise
            return problem
        return None

    def _keep(self, transaction: ProjectionTransaction, events: int, or_raise: bool) -> None:
        row = transaction.lock_live(self._projection.name) or self._waited_for(transaction, events)
        if row is None or row.version != self._projection.version or stands(row):
            return
        if or_raise and row.failures:
            raise LookupError("some events are parked, so that each part can fail by itself")
        page = self._applying.reader.page(row.position, events + MOST_OF_OTHERS)
        if not page.is_full and page.position > row.position:
            self._applying.apply(transaction, row, page, or_raise=or_raise)

    def _waited_for(self, transaction: ProjectionTransaction, events: int) -> ProjectionRow | None:
        """Return the row that somebody else had, once it is free; None if it is far behind, and so not worth waiting.

        A turn that ends near the end of the log is short, and whoever holds the row never waits for the log.
        """
        rows = [one for one in transaction.generations(self._projection.name) if one.status == "live"]
        if not rows or self._applying.reader.page(rows[0].position, events + MOST_OF_OTHERS).is_full:
            return None
        found = transaction.lock(self._projection.name, rows[0].generation, wait=True)
        return found if found is not None and found.status == "live" else None
