"""`sagalog projections`: how far read models are, and how they are rebuilt, compared, switched, paused and resumed."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from sagalog.cli.as_of import InLog
from sagalog.cli.failures import FAILURE, OK
from sagalog.cli.log_comparison import compare_messages, compare_sagas
from sagalog.cli.lookup import find
from sagalog.cli.options import Command, Invocation, RowsCommand
from sagalog.cli.output import emit, emit_records, note, record, write
from sagalog.cli.people import login
from sagalog.cli.progress import progress
from sagalog.cli.projected import Opened, opened_projections, seconds_behind
from sagalog.cli.quantities import duration
from sagalog.cli.table import Column, status_text
from sagalog.engine.projections.comparing import Compared, Difference, verify
from sagalog.engine.projections.generations import Switched, back, begin, pause, remove, resume, switch
from sagalog.engine.projections.lanes import RebuiltLane, rebuild_lane
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import time_of
from sagalog.errors import InvalidAction
from sagalog.projections.declare import OWN
from sagalog.readmodel.rebuild import rebuild as rebuild_tables
from sagalog.settings import Settings
from sagalog.store.projections import ParkedEvent, ProjectionRow

PAGE = 5_000


class Generation(NamedTuple):
    """A generation of a projection, how far it is behind the log, and its parked events."""

    row: ProjectionRow
    head: int
    behind: float
    parked: int
    alarm: bool

    @property
    def status(self) -> str:
        """Return the status that is shown: one that goes no further says so, and so does one of another log."""
        if self.row.paused_at is not None:
            return "paused"
        if self.row.position > self.head:
            return "ahead"
        return "stopped" if self.row.failed_position is not None else self.row.status

    @property
    def lag(self) -> int:
        """Return how many positions of the log it has not read."""
        return max(0, self.head - self.row.position)

    def record(self) -> dict[str, Any]:
        """Return it for machines."""
        more = {"lag": self.lag, "behind_seconds": round(self.behind, 3), "parked": self.parked, "alarm": self.alarm}
        return record(self.row) | {"head": self.head, **more}


COLUMNS: tuple[Column[Generation], ...] = (
    Column("PROJECTION", lambda one: one.row.projection),
    Column("GEN", lambda one: one.row.generation or "", right=True),
    Column("VERSION", lambda one: one.row.version or "", right=True),
    Column("STATUS", lambda one: status_text(one.status)),
    Column("POSITION", lambda one: f"{one.row.position:,}", right=True),
    Column("LAG", lambda one: f"{one.lag:,}", right=True),
    Column("BEHIND", lambda one: duration(int(one.behind * 1e6)) if one.behind else "", right=True),
    Column("PARKED", lambda one: f"{one.parked:,}" if one.parked else "", right=True),
    Column("ERROR", lambda one: _error(one.row), narrows="cut"),
)


@click.group("projections", context_settings={"help_option_names": ["-h", "--help"]})
def projections() -> None:
    """See how far projections are; rebuild, verify, switch, pause.

    A projection has generations, each with tables of its own; readers see the live one. The tables of sagalog itself
    are the projection `sagalog`.
    """


@projections.command("status", cls=RowsCommand)
@click.pass_context
def status(ctx: click.Context) -> None:
    """Show each generation: its position, how far it is behind, what is parked, the last error.

    The exit code is 1 if a live one is behind for longer than the setting lag_alarm, paused, stopped, or has parked
    events.
    """
    invocation = ctx.ensure_object(Invocation)
    with opened_projections(invocation) as opened:
        rows = list(_generations(opened))
    emit(invocation.output, rows, COLUMNS, Generation.record)
    ctx.exit(FAILURE if any(one.alarm for one in rows) else OK)


def _generations(opened: Opened) -> Iterator[Generation]:
    now, limit = time.time_ns() // 1000, Settings.from_environment().lag_alarm
    head = opened.store.head()
    yield Generation(_own_row(head), head, 0.0, 0, False)
    seen: set[tuple[str, str]] = set()
    for one in opened.projecting:
        name = one.projection.name
        if (name, one.database.where) in seen:
            continue
        seen.add((name, one.database.where))
        with one.database.reading() as transaction:
            rows = [row for row in transaction.generations(name) if row.status != "removed"]
            parked = {row.generation: len(transaction.parked(name, row.generation)) for row in rows}
        for row in rows:
            behind = seconds_behind(opened.store, row, now)
            waits = parked[row.generation]
            # Ahead of the log it takes nothing: it has read another one, or this one was restored.
            stands = row.paused_at is not None or row.failed_position is not None or waits > 0 or row.position > head
            alarm = row.status == "live" and (stands or behind > limit)
            yield Generation(row, head, behind, waits, alarm)


def _own_row(head: int) -> ProjectionRow:
    return ProjectionRow(OWN, 0, 0, "", "live", "[]", 0, head, None, 0, head, 0, 0)


def _error(row: ProjectionRow) -> str:
    if row.paused_at is not None:
        return f"by {row.paused_by}: {row.paused_reason}"
    return f"{row.error_type}: {row.error_text}" if row.error_type else ""


@projections.command("parked", cls=RowsCommand)
@click.argument("name")
@click.pass_obj
def parked(invocation: Invocation, name: str) -> None:
    """Show the events that are not in the tables, and why; those behind them of the same lane wait."""
    with opened_projections(invocation) as opened:
        projecting = opened.newest(_user(name, "has no parked events"))
        with projecting.database.reading() as transaction:
            found = [one for row in transaction.generations(name) for one in transaction.parked(name, row.generation)]
    emit(invocation.output, found, PARKED_COLUMNS, record)


PARKED_COLUMNS: tuple[Column[ParkedEvent], ...] = (
    Column("GEN", lambda one: one.generation, right=True),
    Column("POSITION", lambda one: f"{one.position:,}", right=True),
    Column("EVENT", lambda one: one.event),
    Column("LANE", lambda one: one.lane),
    Column("STATUS", lambda one: status_text(one.status)),
    Column("ATTEMPTS", lambda one: one.attempts, right=True),
    Column("ERROR", lambda one: f"{one.error_type}: {one.error_text}" if one.error_type else "", narrows="cut"),
)


@projections.command("rebuild", cls=Command)
@click.argument("name")
@click.option("--from", "begin_at", type=InLog(), help="Only what happened after that position, or since that time.")
@click.option("--anew", is_flag=True, help="Begin again, instead of going on with one that was interrupted.")
@click.option("--switch", "and_switch", is_flag=True, help="Let readers see it as soon as it has caught up.")
@click.option("--saga", "id_or_key", metavar="ID|KEY", help="In place, and only what belongs to this saga.")
@click.option("--lane", metavar="ID", help="In place, and only what has this correlation id, as `parked` shows it.")
@click.pass_obj
def rebuild(
    invocation: Invocation,
    name: str,
    begin_at: tuple[str, int] | None,
    anew: bool,
    and_switch: bool,
    id_or_key: str | None,
    lane: str | None,
) -> None:
    """Build a projection anew beside the live one, while it is read and written; readers see it after `switch`.

    Interrupted, it goes on where it was when the command is given again. Workers that have the projection build too.
    With --saga or --lane the rows of one saga (its parents, children and messages too) are written anew where readers
    see them, in one transaction, if the projection declares how they are taken out.
    """
    is_lane = id_or_key is not None or lane is not None
    if is_lane and (begin_at or anew or and_switch or (id_or_key is not None and lane is not None)):
        raise click.UsageError("--saga and --lane go with no other option: what they rebuild is seen at once")
    with opened_projections(invocation) as opened:
        if is_lane:
            projecting = opened.live(_user(name, "has no rows that are taken out; rebuild all of it"))
            wanted = find(opened.store, id_or_key or "").correlation_id if lane is None else lane
            _say_rebuilt(rebuild_lane(projecting, wanted))
            return
        if name == OWN:
            _rebuild_own(opened)
            return
        projecting = opened.newest(name)
        row = begin(projecting, begins_after=_begins_after(opened, begin_at), anew=anew)
        reached = _build(opened, projecting, row)
        if row.status == "live":
            click.echo(f"generation {row.generation} of {name} is built, the first one; readers see it")
        elif and_switch:
            _say_switched(switch(projecting))
        else:
            text = f"generation {row.generation} of {name} is built; let readers see it"
            click.echo(f"{text}: sagalog projections switch {name}")
    if reached.failures:
        raise InvalidAction(
            f"events of {reached.failures:,} sagas are not in it, for a handler fails ({_error(reached)}); see sagalog "
            f"projections parked {name}"
        )


def _say_rebuilt(rebuilt: RebuiltLane) -> None:
    events = "event was" if rebuilt.events == 1 else "events were"
    name, position = rebuilt.row.projection, rebuilt.row.position
    click.echo(f"{rebuilt.events:,} {events} handed to {name} again, as of position {position:,}")


def _build(opened: Opened, projecting: Projecting, row: ProjectionRow) -> ProjectionRow:
    """Take turns until the generation is where the log ends now; return its row then."""
    target = opened.store.head()
    with progress(f"Building {row.projection}", float(max(1, target - row.begins_after))) as advance:
        reached = projecting.build(
            row.generation,
            target,
            lambda now: advance(now.position - row.begins_after, f"{now.position:,} of {target:,}"),
        )
    if reached.position < target:
        raise InvalidAction(
            f"generation {reached.generation} of {reached.projection} stands at position {reached.position:,}: "
            f"{_error(reached)}"
        )
    return reached


def _begins_after(opened: Opened, given: tuple[str, int] | None) -> int:
    """Return the position after which a rebuild begins; of a time, the last position before it."""
    if given is None:
        return 0
    kind, value = given
    if kind == "position":
        return value
    if value > time.time_ns() // 1000:
        raise click.UsageError("expected --from a time that has been, found one to come")
    position = 0
    while page := opened.store.read_log(position, PAGE):
        for one in page:
            recorded = time_of(one)
            if recorded is not None and recorded >= value:
                return position
            position = one.position
    return position


def _rebuild_own(opened: Opened) -> None:
    rebuilt = rebuild_tables(opened.store, opened.definitions)
    click.echo(f"{rebuilt.sagas:,} sagas and {rebuilt.messages:,} messages were computed from the log")
    if rebuilt.left:
        note(f"{rebuilt.left:,} sagas were left as they are, for their definition is not loaded")
    for text in rebuilt.damaged:
        note(text)


@projections.command("verify", cls=RowsCommand)
@click.argument("name")
@click.pass_context
def verify_projection(ctx: click.Context, name: str) -> None:
    """Compare what readers see with what the log gives, row by row. The exit code is 1 if a row differs."""
    invocation = ctx.ensure_object(Invocation)
    with opened_projections(invocation) as opened:
        if name == OWN:
            ctx.exit(_verify_own(opened, invocation.output))
        compared = verify(opened.live(name))
    if invocation.output == "table":
        _write_compared(compared)
    else:
        emit_records(invocation.output, [_difference_record(compared, one) for one in compared.differences])
    ctx.exit(FAILURE if compared.differences else OK)


def _verify_own(opened: Opened, output: str) -> int:
    found = [*compare_sagas(opened.store, opened.definitions), *compare_messages(opened.store)]
    if output == "table":
        for one in found:
            write(f"{one.what}: {one.detail}")
    else:
        emit_records(output, [one._asdict() for one in found])
    return FAILURE if any(one.wrong for one in found) else OK


def _write_compared(compared: Compared) -> None:
    for one in compared.differences:
        shown = ", ".join(f"{column}={value!r}" for column, value in one.row.items())
        write(f"{one.table}: {one.what}: {shown}")
    differ = f"{len(compared.differences):,} differ" if compared.differences else "none differs"
    click.echo(f"{compared.rows:,} rows of {compared.projection} as of position {compared.position:,}: {differ}")


def _difference_record(compared: Compared, one: Difference) -> dict[str, Any]:
    return {
        "projection": compared.projection,
        "position": compared.position,
        "table": one.table,
        "what": one.what,
        "row": one.row,
    }


@projections.command("switch", cls=Command)
@click.argument("name")
@click.option("--anyway", is_flag=True, help="Even if some events could not be handled in it.")
@click.pass_obj
def switch_projection(invocation: Invocation, name: str, anyway: bool) -> None:
    """Let readers see the generation that was built, in one transaction; the old one is kept."""
    with opened_projections(invocation) as opened:
        _say_switched(switch(opened.newest(_user(name, "cannot be switched")), anyway=anyway))


@projections.command("back", cls=Command)
@click.argument("name")
@click.option("--anyway", is_flag=True, help="Even if it is behind, so that readers go back in time.")
@click.pass_obj
def back_projection(invocation: Invocation, name: str, anyway: bool) -> None:
    """Let readers see again what they saw before the last switch."""
    with opened_projections(invocation) as opened:
        _say_switched(back(opened.newest(_user(name, "cannot be switched")), anyway=anyway))


def _say_switched(switched: Switched) -> None:
    after, before = switched.after, switched.before
    was = f"; before it was generation {before.generation} at {before.position:,}, which is kept" if before else ""
    click.echo(f"readers of {after.projection} see generation {after.generation} at position {after.position:,}{was}")


@projections.command("remove", cls=Command)
@click.argument("name")
@click.argument("generation", type=click.IntRange(min=1))
@click.pass_obj
def remove_generation(invocation: Invocation, name: str, generation: int) -> None:
    """Drop the tables of a generation that readers do not see."""
    with opened_projections(invocation) as opened:
        removed = remove(opened.newest(_user(name, "cannot be removed")), generation)
    click.echo(f"generation {removed.generation} of {name} (version {removed.version}, {removed.status}) is removed")


@projections.command("pause", cls=Command)
@click.argument("name")
@click.option("--actor", metavar="NAME", help="Who; it is recorded.  [default: your login name]")
@click.option("--reason", metavar="TEXT", required=True, help="Why; it is recorded too.")
@click.pass_obj
def pause_projection(invocation: Invocation, name: str, actor: str | None, reason: str) -> None:
    """Let a projection stand until it is resumed; readers see what is there."""
    with opened_projections(invocation) as opened:
        rows = pause(opened.newest(_user(name, "cannot be paused")), actor or login(), reason)
    click.echo(f"{name} stands at position {_position(rows):,}")


@projections.command("resume", cls=Command)
@click.argument("name")
@click.pass_obj
def resume_projection(invocation: Invocation, name: str) -> None:
    """Let a projection go on, and try its parked events again."""
    with opened_projections(invocation) as opened:
        rows = resume(opened.newest(_user(name, "is never paused")))
    click.echo(f"{name} goes on from position {_position(rows):,}")


def _position(rows: list[ProjectionRow]) -> int:
    return next((one.position for one in rows if one.status == "live"), 0)


def _user(name: str, what: str) -> str:
    """Return the name of a projection of the app; raises `InvalidAction` for the library's own tables."""
    if name == OWN:
        raise InvalidAction(
            f"the tables of sagalog itself are written with each event, so that this projection {what}; "
            "verify and rebuild go with it"
        )
    return name
