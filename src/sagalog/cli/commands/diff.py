"""`sagalog diff`: what differs between two sagas, or two moments of one; it only reads, and needs no app."""

from contextlib import ExitStack
from typing import Any, NamedTuple

import click
from rich.text import Text

from sagalog.cli.comparing import Difference, Parting, differences, parting
from sagalog.cli.differences import shown
from sagalog.cli.event_texts import event_text, summary
from sagalog.cli.exporting import BrokenExport
from sagalog.cli.failures import FAILURE, NotThere, Unreadable
from sagalog.cli.frames import Frame, Replayed
from sagalog.cli.histories import Histories, from_option, histories, read
from sagalog.cli.lines import STDIN, name_of
from sagalog.cli.lookup import saga_option
from sagalog.cli.moments import named_moment, until
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit, write, write_json
from sagalog.cli.quantities import moment
from sagalog.cli.table import Column, plain, status_text
from sagalog.errors import DivergentHistory, InvalidIdentifier, InvalidInput, SagaNotFound
from sagalog.harmless import harmless
from sagalog.saga.events import SagaEvent


class Subject(NamedTuple):
    """One of the two that are compared: a saga as it was at a moment."""

    saga_id: str
    replayed: list[SagaEvent]
    last: Frame
    """The state that is compared."""
    events: int


# Of a longer value the table shows the beginning; `-o json` has all of it.
LONGEST_SHOWN = 100
COLUMNS: tuple[Column[Difference], ...] = (
    Column("FIELD", lambda one: one.path),
    Column("A", lambda one: harmless(shown(one.path, one.a), LONGEST_SHOWN), narrows="wrap"),
    Column("B", lambda one: harmless(shown(one.path, one.b), LONGEST_SHOWN), narrows="wrap"),
)


@click.command(cls=RowsCommand)
@click.argument("a", metavar="[A]", required=False)
@click.argument("b", metavar="[B]", required=False)
@from_option
@click.option(
    "--with", "other", type=click.File("rb"), metavar="FILE", help="Read B from this file instead; - is stdin."
)
@click.option("--exact", is_flag=True, help="Compare times, ids, keys and versions too.")
@saga_option
@click.pass_obj
def diff(
    invocation: Invocation, a: str | None, b: str | None, source: Any, other: Any, exact: bool, saga: str | None
) -> None:
    """Show what differs between two sagas, or two moments of one.

    A and B are ids or keys, behind an @ may stand a version or a time: `diff ada grace`, `diff ada@2 ada@5`. (The
    saga of the key ada@2 is ada@2@.) With --with one name does for both, and none if each file holds one saga. The
    exit code is 0 if nothing differs, 1 if something does.
    """
    if other is None and b is None:
        raise click.UsageError("name two sagas, or two moments: ada@2 ada@5", click.get_current_context())
    if source is None and a is None:
        raise click.UsageError("name a saga by its id or key, or give --from FILE", click.get_current_context())
    if source is not None and other is not None and name_of(source) == name_of(other) == STDIN:
        raise click.UsageError("--from and --with cannot both be stdin", click.get_current_context())
    try:
        with ExitStack() as stack:
            first = stack.enter_context(histories(invocation, source))
            second = first if other is None else read(other)
            one, two = _subject(first, a, saga), _subject(second, a if b is None else b, saga)
    except (BrokenExport, DivergentHistory, InvalidInput) as problem:
        raise Unreadable(str(problem)) from None
    found = differences(one.last.state, two.last.state, exact=exact)
    parted = parting(one.replayed, two.replayed)
    _emit(invocation.output, one, two, found, parted)
    if found or parted is not None:
        click.get_current_context().exit(FAILURE)


def _subject(found: Histories, text: str | None, saga: str | None) -> Subject:
    name, at = (None, None) if text is None else named_moment(text)
    try:
        saga_id, events = found.find(name, saga)
    except (SagaNotFound, NotThere) as problem:
        if text is None or at is None or not _is_there(found, text, saga):
            raise
        hint = f"{problem}; the saga of the key {plain(text)} is named {plain(text)}@"
        raise type(problem)(hint) from None
    replayed = Replayed(events)
    upto = range(len(events)) if at is None else until(events, at)
    return Subject(saga_id, [events[number] for number in upto], replayed[upto[-1]], len(events))


def _is_there(found: Histories, name: str, saga: str | None) -> bool:
    try:
        found.find(name, saga)
    except (SagaNotFound, NotThere, InvalidIdentifier):
        return False
    return True


def _emit(output: str, a: Subject, b: Subject, found: list[Difference], parted: Parting | None) -> None:
    if output == "json":
        write_json(
            {
                "same": not found and parted is None,
                "a": _record(a),
                "b": _record(b),
                "parts_at": None if parted is None else _parted(parted),
                "differences": [one._asdict() for one in found],
            }
        )
        return
    if output == "table":
        for name, one in (("A", a), ("B", b)):
            write(_title(name, one))
        write()
        _write_parting(a, b, parted)
        if found:
            write()
    if found or output != "table":
        emit(output, found, COLUMNS, lambda one: one._asdict())


def _title(name: str, one: Subject) -> Text:
    event, state = one.last.event, one.last.state
    return Text.assemble(
        (f"{name}  ", "bold"),
        plain(state.saga),
        " ",
        (plain(state.key), "bold"),
        "  ",
        status_text(state.status),
        (f"  after {state.version} of {one.events} events, {moment(event.time)}  {one.saga_id}", "dim"),
    )


def _write_parting(a: Subject, b: Subject, parted: Parting | None) -> None:
    if parted is None:
        write("The histories are the same, event by event, ids and times aside.")
        return
    write(f"The histories part at event {parted.version}:")
    for name, one, event in (("A", a, parted.a), ("B", b, parted.b)):
        what = Text("ends before", "dim")
        if event is not None:
            what = Text.assemble(event_text(event), "  ", summary(event, one.last.state.kind))
        write(Text.assemble((f"{name}  ", "bold"), what), indent=2)


def _record(one: Subject) -> dict[str, Any]:
    state = one.last.state
    return {
        "saga_id": one.saga_id,
        "saga": state.saga,
        "key": state.key,
        "status": state.status,
        "version": state.version,
        "events": one.events,
        "time": moment(one.last.event.time, "microseconds"),
    }


def _parted(parted: Parting) -> dict[str, Any]:
    return {"version": parted.version, "a": _event(parted.a), "b": _event(parted.b)}


def _event(event: SagaEvent | None) -> dict[str, Any] | None:
    if event is None:
        return None
    return {"type": type(event).__name__, "step": getattr(event, "step", None), "summary": summary(event)}
