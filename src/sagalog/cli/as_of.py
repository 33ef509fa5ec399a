"""The database as it was at an earlier moment: a copy of the log up to there, and all tables computed from it, aside.

Nothing is written to the database that is in use. The copy has the tables of sagalog and those of the app's
projections; what the log does not tell, such as who owns a saga, is not in it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import click

from sagalog.cli.address import SqlStore, address_of
from sagalog.cli.app import App
from sagalog.cli.failures import NotThere
from sagalog.cli.options import Invocation
from sagalog.cli.progress import progress
from sagalog.cli.quantities import moment
from sagalog.clock import SystemClock
from sagalog.codec import CODEC
from sagalog.engine.projections.generations import begin
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import time_of
from sagalog.projections.declare import Projection
from sagalog.readmodel.rebuild import rebuild
from sagalog.readmodel.rows import status_row
from sagalog.saga.evolve import fold
from sagalog.saga.failure import described
from sagalog.settings import Settings
from sagalog.store import StatusRow, StoredEvent
from sagalog.store.published import is_message_stream
from sagalog.store.quantities import parse_moment
from sagalog.stores.aside import Aside, aside_of
from sagalog.stores.projected import database_for
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli", "as_of.sql")

# So many events are held at a time, and so many sagas are computed in a transaction.
EVENTS_AT_ONCE = 5_000
SAGAS_AT_ONCE = 500
Place = tuple[str, int]
"""("position", number) or ("time", microseconds): a place in the log."""


class InLog(click.ParamType["Place"]):
    """A position of the log, or a time."""

    name = "POSITION|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return ("position", number) or ("time", microseconds)."""
        text = str(value)
        try:
            return ("position", int(text)) if text.isascii() and text.isdigit() else ("time", parse_moment(text))
        except ValueError as problem:
            self.fail(f"{problem}; or a position such as 1200", param, ctx)


class AsOf(NamedTuple):
    """The database as of a position of the log, and what could not be computed.

    `time` is what time it was then, in microseconds: that of the event at the position, or the one that was asked for.
    """

    store: SqlStore
    position: int
    time: int
    troubles: list[str]
    notes: list[str]
    unbuilt: dict[str, str]


class _Copied(NamedTuple):
    position: int
    time: int
    troubles: list[str]


@contextmanager
def as_of(invocation: Invocation, live: SqlStore, app: App, place: Place) -> Generator[AsOf]:
    """Compute the tables as they were at a place of the log, and remove them at the end.

    Raises `NotThere` for a place that the log has not reached, and `StoreUnfit` if no copy can be made.
    """
    end = _end(live, place)
    with aside_of(address_of(invocation), Settings.from_environment().store_options()) as aside:
        copied = _copy(live, aside, place, end)
        store = cast(SqlStore, aside.store)
        troubles, notes = list(copied.troubles), list[str]()
        definitions = app.definitions
        with progress("Computing", None) as advance:
            rebuilt = rebuild(
                store,
                definitions,
                SAGAS_AT_ONCE,
                unknown=True,
                moved=lambda sagas: advance(sagas, f"{sagas:,} sagas"),
            )
        troubles += rebuilt.damaged
        if rebuilt.left:
            notes.append(f"what {rebuilt.left:,} sagas waited for is not known: the app has not their definition")
        unbuilt: dict[str, str] = {}
        for projection, begins_after in _projections(app, live):
            trouble = _build(projection, begins_after, store, copied.position)
            if trouble is not None:
                unbuilt[projection.name] = trouble
        aside.finish()
        troubles += unbuilt.values()
        yield AsOf(store, copied.position, copied.time, troubles, notes, unbuilt)


def _end(live: SqlStore, place: Place) -> int:
    """Return the last position that is copied; of a time it is not known yet, and the log's end stands for it."""
    head, (kind, value) = live.head(), place
    if kind == "time":
        now = SystemClock().now()
        if value > now:
            raise NotThere(f"that time is still to come: {moment(value)}; it is {moment(now)} now")
        return head
    if value > head:
        raise NotThere(f"the log ends at position {head:,}, there is no position {value} yet")
    return _between_decisions(live, value)


def _between_decisions(live: SqlStore, position: int) -> int:
    """Return the last position, up to this one, at which no decision of a saga is half there: nobody ever saw that."""
    here = live.read_log(max(0, position - 1), 2)
    if len(here) < 2 or here[0].position != position:
        return position
    last, following = here
    decided = time_of(last)
    if (last.saga_id, last.version + 1) != (following.saga_id, following.version) or time_of(following) != decided:
        return position
    for one in reversed(live.read(last.saga_id)):
        if one.position <= position:
            if time_of(one) != decided:
                break
            position = one.position - 1
    return position


def _copy(live: SqlStore, aside: Aside, place: Place, end: int) -> _Copied:
    """Copy the log, some events at a time; up to a time that is up to the first event that was recorded later."""
    until = place[1] if place[0] == "time" else None
    position, time, troubles = 0, 0, list[str]()
    with progress("Copying the log", float(max(1, end))) as advance:
        while position < end and (page := live.read_log(position, EVENTS_AT_ONCE)):
            upto = [one for one in page if one.position <= end]
            if until is not None:
                upto = _recorded_by(upto, until)
            if upto:
                aside.write(upto, list(_begun(upto, troubles)))
                position, time = upto[-1].position, time_of(upto[-1]) or time
                advance(float(position), f"{position:,} of {end:,}")
            if len(upto) < len(page):
                break
    # Positions have gaps: the log is known up to the one that was asked for.
    return _Copied(position if until is not None else end, time if until is None else until, troubles)


def _recorded_by(events: list[StoredEvent], until: int) -> list[StoredEvent]:
    for number, one in enumerate(events):
        recorded = time_of(one)
        if recorded is not None and recorded > until:
            return events[:number]
    return events


def _begun(events: list[StoredEvent], troubles: list[str]) -> Generator[StatusRow]:
    """Yield a row for each saga that begins among some events, to be computed when all its events are there."""
    for one in events:
        if one.version != 1 or is_message_stream(one.saga_id):
            continue
        try:
            yield status_row(None, one.saga_id, fold([CODEC.decode(one.topic, one.state)]))
        except Exception as problem:
            troubles.append(f"saga {one.saga_id}: {described(problem)}")


def _projections(app: App, live: SqlStore) -> Generator[tuple[Projection, int]]:
    """Yield the app's projections that lie beside the sagas, as readers see them: the live version, from its beginning.

    Of one that nobody has built yet it is the newest version.
    """
    seen = {name: (version, begins_after) for name, version, begins_after in live.query(SQL["seen"])[1]}
    for name in dict.fromkeys(one.name for one in app.projections if one.database is None):
        declared = [one for one in app.projections if one.name == name and one.database is None]
        version, begins_after = seen.get(name, (None, 0))
        found = [one for one in declared if one.version == version]
        if found:
            yield found[0], begins_after
        else:
            yield max(declared, key=lambda one: one.version), 0


def _build(projection: Projection, begins_after: int, store: SqlStore, upto: int) -> str | None:
    """Build a projection in the copy; return what kept it from being whole."""
    projection.check()
    database = database_for(store)
    database.open()
    try:
        projecting = Projecting(projection, database, store, SystemClock())
        row = begin(projecting, begins_after=min(begins_after, upto))
        with progress(f"Building {projection.name}", float(max(1, upto))) as advance:
            reached = projecting.build(
                row.generation, upto, lambda now: advance(float(now.position), f"{now.position:,} of {upto:,}")
            )
        with database.reading() as transaction:
            parked = transaction.parked(projection.name, row.generation)
    finally:
        database.close()
    where = parked[0].position if parked else reached.failed_position
    if where is None:
        return None
    why = f"{reached.error_type}: {reached.error_text}"
    return f"projection {projection.name} cannot be built up to there: position {where:,} fails with {why}"
