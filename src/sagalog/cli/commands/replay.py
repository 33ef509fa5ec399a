"""`sagalog replay`: a saga's state after each event; it only reads, and needs neither the app nor a definition."""

import re
from collections.abc import Sequence
from typing import Any

import click

from sagalog.cli.address import store_of
from sagalog.cli.differences import as_values
from sagalog.cli.exporting import read_export
from sagalog.cli.failures import NotThere
from sagalog.cli.frames import Frame, frames, write_frames, write_state, write_title
from sagalog.cli.lookup import find, saga_option
from sagalog.cli.lookup import history as history_of
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit_records, write_json
from sagalog.cli.quantities import moment, parse_moment
from sagalog.saga.events import SagaEvent

Moment = tuple[str, int]
_VERSION = re.compile(r"\d{1,18}", re.ASCII)


class At(click.ParamType["Moment"]):
    """A version, or a time."""

    name = "VERSION|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Return ("version", number) or ("time", microseconds)."""
        text = str(value)
        try:
            return ("version", int(text)) if _VERSION.fullmatch(text) else ("time", parse_moment(text))
        except ValueError as problem:
            self.fail(f"{problem}; or a version such as 3", param, ctx)


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="[ID|KEY]", required=False)
@click.option("--at", type=At(), help="Stop there and show the state: after so many events, or at that time.")
@click.option("--step", is_flag=True, help="One event at a time: Enter shows the next one, q and Enter end.")
@click.option(
    "--from", "source", type=click.File("rb"), metavar="FILE", help="Read what `sagalog export` wrote; - is stdin."
)
@saga_option
@click.pass_obj
def replay(
    invocation: Invocation, id_or_key: str | None, at: Moment | None, step: bool, source: Any, saga: str | None
) -> None:
    """Replay a saga: what each event changed, to any moment.

    Nothing is run and nothing is written. The state is computed from the events alone, so the app's code is not needed.
    """
    if step and (at is not None or invocation.output != "table"):
        raise click.UsageError("--step goes with neither --at nor -o", click.get_current_context())
    if source is not None:
        saga_id, events = _exported(source, id_or_key)
    elif id_or_key is None:
        raise click.UsageError("name a saga by its id or key, or give --from FILE", click.get_current_context())
    else:
        with store_of(invocation) as store:
            saga_id = find(store, id_or_key, saga).saga_id
            events = history_of(store, saga_id)
    replayed = frames(events)
    if at is not None:
        replayed = _until(replayed, at)
    if invocation.output != "table":
        _emit(invocation.output, saga_id, replayed[-1:] if at is not None else replayed)
        return
    write_title(saga_id, replayed[0].state)
    if at is None:
        write_frames(replayed, pause=step)
    else:
        write_frames(replayed[-1:])
        write_state(replayed[-1].state)


def _exported(source: Any, wanted: str | None) -> tuple[str, list[SagaEvent]]:
    """Return the wanted saga from an exported file."""
    name = getattr(source, "name", "the export")
    streams: dict[str, list[SagaEvent]] = {}
    for saga_id, event in read_export(source, name):
        streams.setdefault(saga_id, []).append(event)
    keys = {saga_id: getattr(events[0], "key", "") for saga_id, events in streams.items()}
    found = [saga_id for saga_id in streams if wanted is None or wanted in (saga_id, keys[saga_id])]
    if not found:
        raise NotThere(
            f"{name} has no saga {wanted!r}; it has {_some(list(keys.values()))}" if wanted else f"{name} is empty"
        )
    if wanted is None and len(found) > 1:
        raise click.UsageError(f"{name} has {len(found)} sagas: name one of {_some(list(keys.values()))}")
    # Ids are ordered by time: of several runs with one key the newest is chosen, as with a database.
    newest = max(found)
    return newest, streams[newest]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more


def _until(replayed: list[Frame], at: Moment) -> list[Frame]:
    kind, limit = at
    found = [frame for frame in replayed if (frame.state.version if kind == "version" else frame.event.time) <= limit]
    if kind == "version" and limit > len(replayed):
        raise NotThere(f"the saga has {len(replayed)} events, there is no version {limit}")
    if not found:
        began = moment(replayed[0].event.time, "microseconds")
        raise NotThere(f"there was no saga yet: it began at {began}, with version 1")
    return found


def _emit(output: str, saga_id: str, replayed: Sequence[Frame]) -> None:
    records = [_record(saga_id, frame) for frame in replayed]
    if output == "json" and len(records) == 1:
        write_json(records[0])
        return
    emit_records(output, records)


def _record(saga_id: str, frame: Frame) -> dict[str, Any]:
    """Return a frame for machines; times in the state are microseconds since the epoch, as in the log."""
    return {
        "saga_id": saga_id,
        "version": frame.state.version,
        "time": moment(frame.event.time, "microseconds"),
        "type": type(frame.event).__name__,
        "changes": [change._asdict() for change in frame.changed],
        "state": as_values(frame.state),
    }
