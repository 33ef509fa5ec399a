"""One saga of a projection, rebuilt in place: its rows are taken out of the live tables and written anew.

It is one transaction: each reading sees wholly the old rows or wholly the new ones. A lane is a correlation id, as
everywhere in projections: the saga, its parents and children, and the messages between them.
"""

import math

from msgspec import Struct

from sagalog.engine.projections.applying import Applying
from sagalog.engine.projections.generations import live_in, lock_all, locked
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import LogReader
from sagalog.errors import InvalidAction
from sagalog.harmless import harmless
from sagalog.saga.failure import described
from sagalog.store import Store, StoredEvent
from sagalog.store.projections import ProjectionRow


class RebuiltLane(Struct, frozen=True):
    """The live generation after it, how many events were handed over, and how many of them could not be handled."""

    row: ProjectionRow
    events: int
    parked: int


def rebuild_lane(projecting: Projecting, correlation_id: str) -> RebuiltLane:
    """Rebuild the rows of one correlation id in the tables that readers see, up to where these are.

    Raises `InvalidAction`, and has changed nothing, if the projection does not declare how rows are taken out, has no
    such event, or cannot do it.
    """
    projection = projecting.projection
    if not projection.forgetting:
        raise InvalidAction(
            f"projection {projection.name} does not say how the rows of one saga are taken out; declare that with "
            "@....forget, or rebuild all of it"
        )
    forgetting = LogReader(projecting.store, projection.forgetting)
    reader = LogReader(projecting.store, projection.handlers)
    # Half a lane is none: it takes as long as it takes.
    applying = Applying(projection, reader, projecting.clock, math.inf)
    with projecting.database.transaction() as transaction:
        lock_all(projecting, transaction)
        row = locked(transaction, live_in(projecting, transaction))
        stored = _stored(projecting.store, correlation_id, row.begins_after, row.position)
        entries = reader.entries(stored)
        if not entries:
            raise InvalidAction(
                f"projection {projection.name} has no event of correlation id {harmless(correlation_id)} up to "
                f"position {row.position:,}"
            )
        try:
            row, parked = applying.anew(transaction, row, correlation_id, forgetting.entries(stored), entries)
        except Exception as problem:
            if transaction.is_lost(problem):
                raise
            raise InvalidAction(
                f"projection {projection.name} cannot rebuild correlation id {harmless(correlation_id)}, and is as it "
                f"was: {described(problem)}"
            ) from problem
    projecting.forget()
    return RebuiltLane(row, len(entries) - parked, parked)


def _stored(store: Store, correlation_id: str, after: int, upto: int) -> list[StoredEvent]:
    """Return all that the log has of a correlation id, in its order."""
    sagas = [one.saga_id for one in store.sagas_by_correlation(None, [correlation_id])]
    found = [one for events in store.read_many(sagas).values() for one in events]
    for position, _ in store.messages_of([correlation_id]):
        found += store.read_log(position - 1, 1)
    return sorted((one for one in found if after < one.position <= upto), key=lambda one: one.position)
