"""Compares the live tables of a projection with ones that were built from the log; nothing is repaired."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from sagalog.engine.projections.generations import begin, live_in, remove
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import InvalidAction
from sagalog.projections.schema import physical
from sagalog.store.projections import ProjectionRow, ProjectionTransaction


class Difference(Struct, frozen=True):
    """A row that is in the live tables alone ("too much"), or only in what the log gives ("missing")."""

    table: str
    what: str
    row: dict[str, Any]


class Compared(Struct, frozen=True):
    """The result of a comparison, as of a position of the log: how many rows were compared, and which differ."""

    projection: str
    position: int
    rows: int
    differences: list[Difference]


def verify(projecting: Projecting) -> Compared:
    """Build the projection aside up to where the live one is, compare all rows, and remove what was built.

    Readers and writers go on meanwhile: the live tables are read as of one moment. Raises `InvalidAction` if another
    version is live, or if the log cannot be handled up to there.
    """
    begins_after = _live(projecting).begins_after
    aside = begin(projecting, begins_after=begins_after, status="aside", anew=True)
    try:
        # Most of it is built before that moment, for a database keeps all that has changed since.
        _build(projecting, aside, _live(projecting).position)
        with projecting.database.snapshot() as snapshot:
            live = live_in(projecting, snapshot)
            reached = _build(projecting, aside, live.position)
            return _compare(projecting, snapshot, live, reached)
    finally:
        remove(projecting, aside.generation)


def _live(projecting: Projecting) -> ProjectionRow:
    with projecting.database.reading() as transaction:
        return live_in(projecting, transaction)


def _build(projecting: Projecting, aside: ProjectionRow, upto: int) -> ProjectionRow:
    reached = projecting.build(aside.generation, upto)
    if reached.position < upto:
        raise InvalidAction(
            f"projection {aside.projection} cannot be built up to position {upto:,}: it stops at "
            f"{reached.position:,} ({reached.error_type}: {reached.error_text})"
        )
    return reached


def _compare(
    projecting: Projecting, snapshot: ProjectionTransaction, live: ProjectionRow, aside: ProjectionRow
) -> Compared:
    differences: list[Difference] = []
    compared = 0
    with projecting.database.snapshot() as other:
        for table in projecting.projection.sql.tables:
            left, right = physical(table, live.generation), physical(table, aside.generation)
            counts = Counter(_digests(snapshot, left))
            compared += counts.total()
            counts.subtract(_digests(other, right))
            too_much = {one: number for one, number in counts.items() if number > 0}
            missing = {one: -number for one, number in counts.items() if number < 0}
            differences += _named(table, "too much", snapshot, left, too_much)
            differences += _named(table, "missing", other, right, missing)
    return Compared(live.projection, live.position, compared, differences)


def _digests(transaction: ProjectionTransaction, table: str) -> Iterator[bytes]:
    for row in transaction.every_row(table):
        yield _digest(row)


def _digest(row: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(repr(row).encode(), digest_size=16).digest()


def _named(
    table: str, what: str, transaction: ProjectionTransaction, physical_name: str, wanted: dict[bytes, int]
) -> Iterator[Difference]:
    if not wanted:
        return
    columns = transaction.columns(physical_name)
    left = dict(wanted)
    for row in transaction.every_row(physical_name):
        digest = _digest(row)
        if left.get(digest, 0) > 0:
            left[digest] -= 1
            yield Difference(table, what, dict(zip(columns, row, strict=True)))
