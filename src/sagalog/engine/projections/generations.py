"""Generations of a projection: made, built beside the live one, switched, switched back, removed, paused, resumed.

All calls block, each is one transaction, and none of them runs while another does for the same projection.
"""

import json
import logging
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.showing import check_names, made_by, names_of, show
from sagalog.errors import DefinitionError, InvalidAction, StoreError
from sagalog.harmless import harmless
from sagalog.projections.schema import physical, written
from sagalog.saga.failure import described
from sagalog.store.projections import GenerationStatus, ProjectionRow, ProjectionTransaction

logger = logging.getLogger("sagalog.engine")

# So many events at most are handed over while a switch holds the locks; with more it is still building.
MOST_AT_A_SWITCH = 2_000


class Switched(Struct, frozen=True):
    """What readers saw before a switch, and what they see now."""

    before: ProjectionRow | None
    after: ProjectionRow


def ensure(projecting: Projecting) -> ProjectionRow | None:
    """Return the newest generation of this version, and make it if there is none: live if it is the first of all.

    None if a newer version is live, and this one has been removed. Raises `DefinitionError` if the SQL that makes the
    tables has changed without a new version, or cannot be run.
    """
    projection = projecting.projection
    with projecting.database.transaction() as transaction:
        transaction.lock_name(projection.name)
        rows = [one for one in _there(transaction, projection.name) if one.status != "aside"]
        mine = [one for one in rows if one.version == projection.version]
        if mine:
            _check_digest(projecting, mine[-1])
            return mine[-1]
        if any(one.version > projection.version for one in rows):
            text = "projection %s version %d is not built: version %d is there already"
            logger.warning(text, projection.name, projection.version, max(one.version for one in rows))
            return None
        return _make(projecting, transaction, 0, "live" if _live(rows) is None else "building")


def begin(
    projecting: Projecting, *, begins_after: int = 0, status: GenerationStatus = "building", anew: bool = False
) -> ProjectionRow:
    """Return a generation to be built beside the live one; one that was begun before goes on, unless `anew`.

    With `begins_after` it holds only what happened after that position of the log. Generations of other versions stay.
    The first of all is live at once. Raises `InvalidAction` for a position that the log does not have, and
    `DefinitionError` if the SQL that makes the tables has changed without a new version.
    """
    projection = projecting.projection
    head = projecting.store.head()
    if begins_after > head:
        raise InvalidAction(f"expected a position up to {head:,}, where the log ends, found {begins_after:,}")
    with projecting.database.transaction() as transaction:
        transaction.lock_name(projection.name)
        rows = _there(transaction, projection.name)
        live = _live(rows)
        if live is not None and live.version == projection.version:
            _check_digest(projecting, live)
        if status == "building" and live is None:
            return _make(projecting, transaction, begins_after, "live")
        for one in rows:
            if (one.status, one.version) != (status, projection.version):
                continue
            if (one.digest, one.begins_after) == (projection.sql.digest, begins_after) and not anew:
                return one
            _remove(transaction, one)
        return _make(projecting, transaction, begins_after, status)


def switch(projecting: Projecting, *, anyway: bool = False) -> Switched:
    """Let readers see the generation that was built; it is brought up to where the live one is in the same transaction.

    Raises `InvalidAction` if none is being built, it is not nearly there yet, or, but for `anyway`, more events could
    not be handled in it than in the live one.
    """
    name = projecting.projection.name
    with projecting.database.transaction() as transaction:
        lock_all(projecting, transaction)
        rows = _there(transaction, name)
        live = _live(rows)
        built = locked(transaction, _built(projecting, rows))
        if live is not None:
            live = locked(transaction, live)
            if built.position < live.position:
                _check_nearly(projecting, built, live)
                built = projecting.within(transaction, built, live.position)
            if built.position < live.position:
                raise InvalidAction(f"projection {name} stops at position {built.position:,}; look at its status")
            if built.failures > live.failures and not anyway:
                raise InvalidAction(
                    f"generation {built.generation} of projection {name} could not handle events of {built.failures:,} "
                    f"sagas ({built.error_type}: {built.error_text}), and readers would miss their rows; mend the "
                    "handler and resume, or switch anyway"
                )
        return _exchange(projecting, transaction, live, built)


def back(projecting: Projecting, *, anyway: bool = False) -> Switched:
    """Let readers see again what they saw before the last switch.

    It is brought up to where the live one is, too. Raises `InvalidAction` if it is gone, or, but for `anyway`, if that
    cannot be done here: this process has another version of it, or it is far behind.
    """
    name = projecting.projection.name
    _bring_up_old(projecting)
    with projecting.database.transaction() as transaction:
        lock_all(projecting, transaction)
        rows = _there(transaction, name)
        old = [one for one in rows if one.status == "old"]
        live = _live(rows)
        if not old or live is None:
            raise InvalidAction(
                f"projection {name} has no earlier generation to go back to; it was removed, or is the first"
            )
        last = locked(transaction, _last(old))
        live = locked(transaction, live)
        if last.version == projecting.projection.version and _is_nearly(projecting, last, live):
            last = projecting.within(transaction, last, live.position)
        if last.position < live.position and not anyway:
            raise InvalidAction(
                f"generation {last.generation} of projection {name} (version {last.version}) is at {last.position:,}, "
                f"and readers see {live.position:,}: they would go back in time; let a worker that has version "
                f"{last.version} bring it up, or go back anyway"
            )
        return _exchange(projecting, transaction, live, last)


def _bring_up_old(projecting: Projecting) -> None:
    """Let the last generation that readers saw come near the live one, turn by turn, before anything is locked."""
    with projecting.database.reading() as transaction:
        rows = _there(transaction, projecting.projection.name)
    old = [one for one in rows if one.status == "old"]
    live = _live(rows)
    if old and live is not None and _last(old).version == projecting.projection.version:
        projecting.build(_last(old).generation, live.position)


def _live(rows: Sequence[ProjectionRow]) -> ProjectionRow | None:
    """Return the generation that readers see; None if there is none."""
    return next((one for one in rows if one.status == "live"), None)


def _last(old: Sequence[ProjectionRow]) -> ProjectionRow:
    return max(old, key=lambda one: (one.switched_at or 0, one.generation))


def live_in(projecting: Projecting, transaction: ProjectionTransaction) -> ProjectionRow:
    """Return the generation that readers see; raises `InvalidAction` if there is none, or of another version.

    Raises `DefinitionError` if the SQL that makes its tables has changed without a new version.
    """
    name, version = projecting.projection.name, projecting.projection.version
    live = _live(transaction.generations(name))
    if live is None or live.version != version:
        found = "none" if live is None else f"version {live.version}"
        raise InvalidAction(f"expected projection {name} version {version} to be live, found {found}")
    _check_digest(projecting, live)
    return live


def remove(projecting: Projecting, generation: int) -> ProjectionRow:
    """Drop the tables of a generation that nobody reads; raises `InvalidAction` for the live one, and for none."""
    name = projecting.projection.name
    with projecting.database.transaction() as transaction:
        transaction.lock_name(name)
        found = next((one for one in _there(transaction, name) if one.generation == generation), None)
        if found is None:
            raise InvalidAction(f"projection {name} has no generation {generation}")
        if found.status == "live":
            raise InvalidAction(
                f"generation {generation} of projection {name} is what readers see; switch to another first"
            )
        _remove(transaction, locked(transaction, found))
        return found


def pause(projecting: Projecting, actor: str, reason: str) -> list[ProjectionRow]:
    """Let no generation go on until it is resumed; return them."""
    now = projecting.clock.now()
    return _change(projecting, lambda _, __: None, paused_at=now, paused_by=actor, paused_reason=reason)


def resume(projecting: Projecting) -> list[ProjectionRow]:
    """Let all generations go on, and try parked events again at once; return the generations."""
    now = projecting.clock.now()

    def again(transaction: ProjectionTransaction, row: ProjectionRow) -> None:
        heads = transaction.first_parked(row.projection, row.generation)
        transaction.park([replace(one, status="retrying", attempts=0, due_at=now, parked_at=now) for one in heads])

    return _change(projecting, again, paused_at=None, paused_by=None, paused_reason=None, failed_position=None)


def lock_all(projecting: Projecting, transaction: ProjectionTransaction) -> None:
    """Let nobody else change the generations until the end; and nobody write, if the projection is inline."""
    transaction.lock_name(projecting.projection.name)
    if projecting.projection.inline:
        # Nobody writes meanwhile, so that whoever writes next goes on with what readers see then.
        transaction.lock_log()


def locked(transaction: ProjectionTransaction, row: ProjectionRow) -> ProjectionRow:
    """Lock a generation until the end, and return it as it is now; raises `InvalidAction` if it is gone."""
    found = transaction.lock(row.projection, row.generation, wait=True)
    if found is None:
        raise InvalidAction(f"generation {row.generation} of projection {row.projection} was removed meanwhile")
    return found


def _change(
    projecting: Projecting, also: Callable[[ProjectionTransaction, ProjectionRow], None], **changed: object
) -> list[ProjectionRow]:
    """Write changed columns of every generation, in one transaction; `also` does more for each."""
    name = projecting.projection.name
    rows: list[ProjectionRow] = []
    with projecting.database.transaction() as transaction:
        transaction.lock_name(name)
        for one in _there(transaction, name):
            row = replace(locked(transaction, one), **changed)
            also(transaction, row)
            transaction.write(row)
            rows.append(row)
    projecting.forget()
    return rows


def _make(
    projecting: Projecting, transaction: ProjectionTransaction, begins_after: int, status: GenerationStatus
) -> ProjectionRow:
    projection = projecting.projection
    sql, name, now = projection.sql, projection.name, projecting.clock.now()
    number = max((one.generation for one in transaction.generations(name)), default=0) + 1
    live = _live(_there(transaction, name))
    check_names(transaction, sql.shown, names_of(live))
    for statement in sql.create:
        try:
            transaction.rows(written(statement, number, transaction.with_percent), {})
        except StoreError:
            raise
        except Exception as problem:
            if transaction.is_lost(problem):
                raise
            shown = harmless(" ".join(statement.split())[:80])
            raise DefinitionError(f"{sql.source}: {described(problem)}, in: {shown}") from None
    row = ProjectionRow(
        projection=name,
        generation=number,
        version=projection.version,
        digest=sql.digest,
        status=status,
        made=json.dumps([[one.kind, physical(one.name, number)] for one in sql.made]),
        begins_after=begins_after,
        position=begins_after,
        reflects=None,
        events=0,
        head=begins_after,
        created_at=now,
        updated_at=now,
        switched_at=now if status == "live" else None,
    )
    transaction.write(row)
    if status == "live":
        show(transaction, row, None)
    return row


def _exchange(
    projecting: Projecting, transaction: ProjectionTransaction, before: ProjectionRow | None, after: ProjectionRow
) -> Switched:
    now = projecting.clock.now()
    show(transaction, after, before)
    if before is not None:
        before = replace(before, status="old", updated_at=now)
        transaction.write(before)
    after = replace(after, status="live", switched_at=now, updated_at=now)
    transaction.write(after)
    return Switched(before, after)


def _is_nearly(projecting: Projecting, built: ProjectionRow, live: ProjectionRow) -> bool:
    ahead = projecting.store.read_log(built.position, MOST_AT_A_SWITCH)
    return len(ahead) < MOST_AT_A_SWITCH or ahead[-1].position >= live.position


def _check_nearly(projecting: Projecting, built: ProjectionRow, live: ProjectionRow) -> None:
    if not _is_nearly(projecting, built, live):
        raise InvalidAction(
            f"generation {built.generation} of projection {built.projection} is still being built: it is at position "
            f"{built.position:,}, and readers see {live.position:,}; wait until it has caught up"
        )


def _built(projecting: Projecting, rows: Sequence[ProjectionRow]) -> ProjectionRow:
    """Return the generation of this version that is being built; raises `InvalidAction` if there is none."""
    name, version = projecting.projection.name, projecting.projection.version
    built = [one for one in rows if one.status == "building"]
    mine = [one for one in built if one.version == version]
    if mine:
        return mine[-1]
    if built:
        raise InvalidAction(
            f"generation {built[-1].generation} of projection {name} is of version {built[-1].version}, and this app "
            f"has version {version}; switch with the app that has it"
        )
    raise InvalidAction(f"no generation of projection {name} is being built; begin with a rebuild")


def _check_digest(projecting: Projecting, row: ProjectionRow) -> None:
    projection = projecting.projection
    if row.digest != projection.sql.digest:
        raise DefinitionError(
            f"projection {projection.name} version {projection.version} was made by other SQL than "
            f"{projection.sql.source} has now; give it a new version=, which is built beside the old one"
        )


def _there(transaction: ProjectionTransaction, name: str) -> list[ProjectionRow]:
    """Return the generations that have not been removed, oldest first."""
    return [one for one in transaction.generations(name) if one.status != "removed"]


def _remove(transaction: ProjectionTransaction, row: ProjectionRow) -> None:
    transaction.drop(made_by(row))
    transaction.remove(row.projection, row.generation)
