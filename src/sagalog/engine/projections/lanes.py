"""One saga of a projection, rebuilt in place: its rows are taken out of the live tables and written anew.

It is one transaction: each reading sees wholly the old rows or wholly the new ones. A lane is a correlation id, as
everywhere in projections: the saga, its parents and children, and the messages between them.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from sagalog.engine.projections.applying import Applying, raise_if_lost
from sagalog.engine.projections.generations import live_in, lock_all, locked
from sagalog.engine.projections.handing import concerns
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import Entry, LogReader
from sagalog.errors import InvalidAction
from sagalog.harmless import harmless
from sagalog.saga.failure import described
from sagalog.store import Store, StoredEvent
from sagalog.store.projections import ProjectionRow

# Others wait for one transaction with all events of a lane.
MOST_OF_A_LANE = 5_000


class RebuiltLane(Struct, frozen=True):
    """The live generation after it, and how many events were handed over."""

    row: ProjectionRow
    events: int


def rebuild_lane(projecting: Projecting, correlation_id: str) -> RebuiltLane:
    """Rebuild the rows of one correlation id in the tables that readers see, up to where these are.

    Raises `InvalidAction`, and has changed nothing, if the projection does not declare how rows are taken out, has no
    such event, or one cannot be handled.
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
        parked = {one.position for one in transaction.parked(row.projection, row.generation, correlation_id)}
        stored = _stored(projecting.store, correlation_id, parked, row.begins_after, row.position)
        entries = reader.entries(stored)
        taken_out = forgetting.entries(stored)
        _check(projection.name, correlation_id, row, entries, taken_out, parked)
        try:
            with transaction.part():
                row = applying.anew(transaction, row, taken_out, entries, parked)
        except Exception as problem:
            raise_if_lost(transaction, problem)
            raise InvalidAction(
                f"projection {projection.name} cannot rebuild correlation id {harmless(correlation_id)}, and is as it "
                f"was: {described(problem)}"
            ) from problem
    projecting.forget()
    return RebuiltLane(row, len(entries))


def _check(
    name: str,
    correlation_id: str,
    row: ProjectionRow,
    entries: Sequence[Entry],
    taken_out: Sequence[Entry],
    parked: Collection[int],
) -> None:
    """Raise `InvalidAction` for a lane that has no event, has too many, or whose rows nothing takes out."""
    shown = harmless(correlation_id)
    if not entries:
        raise InvalidAction(f"projection {name} has no event of correlation id {shown} up to position {row.position:,}")
    if len(entries) > MOST_OF_A_LANE:
        raise InvalidAction(
            f"{len(entries):,} events of projection {name} have correlation id {shown}, and others would have to wait "
            f"for more than {MOST_OF_A_LANE:,}; rebuild all of it"
        )
    if any(one.stored.position not in parked for one in entries) and not any(concerns(one) for one in taken_out):
        raise InvalidAction(
            f"projection {name} takes out no event of correlation id {shown}; declare that with @....forget for its "
            "events too, or rebuild all of it"
        )


def _stored(store: Store, correlation_id: str, parked: Iterable[int], after: int, upto: int) -> list[StoredEvent]:
    """Return all that the log has of a correlation id, and what is parked with it, in the order of the log."""
    sagas = [one.saga_id for one in store.sagas_by_correlation(None, [correlation_id])]
    found = [one for events in store.read_many(sagas).values() for one in events]
    for position in {*parked, *(position for position, _ in store.messages_of([correlation_id]))}:
        found += store.read_log(position - 1, 1)
    by_position = {one.position: one for one in found if after < one.position <= upto}
    return [by_position[position] for position in sorted(by_position)]
