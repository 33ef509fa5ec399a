"""`sagalog replay`: a saga's state after each event; it only reads, and needs neither the app nor a definition."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from sagalog.cli import keyboard
from sagalog.cli.differences import as_values
from sagalog.cli.frames import Frame, Replayed, write_frames, write_state, write_title
from sagalog.cli.histories import from_option, histories
from sagalog.cli.lookup import saga_option
from sagalog.cli.moments import At, Moment, until
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit_records, write_json
from sagalog.cli.quantities import moment


@click.command(cls=RowsCommand)
@click.argument("id_or_key", metavar="[ID|KEY]", required=False)
@click.option("--at", type=At(), help="Stop there and show the state: after so many events, or at that time.")
@click.option("--step", is_flag=True, help="One event at a time: Enter shows the next one, b the one before, q ends.")
@from_option
@saga_option
@click.pass_obj
def replay(
    invocation: Invocation, id_or_key: str | None, at: Moment | None, step: bool, source: Any, saga: str | None
) -> None:
    """Replay a saga: what each event changed, to any moment.

    Nothing is run and nothing is written. The state is computed from the events alone, so the app's code is not needed.
    With --step and --app it also says what was about to be done.
    """
    if step and (at is not None or invocation.output != "table"):
        raise click.UsageError("--step goes with neither --at nor -o", click.get_current_context())
    if source is None and id_or_key is None:
        raise click.UsageError("name a saga by its id or key, or give --from FILE", click.get_current_context())
    with histories(invocation, source) as found:
        saga_id, events = found.find(id_or_key, saga)
    replayed = Replayed(events)
    shown: Sequence[Frame] = replayed if at is None else [replayed[until(events, at)[-1]]]
    if invocation.output != "table":
        _emit(invocation.output, saga_id, shown)
        return
    if step and keyboard.is_there():
        from sagalog.cli.stepping import foresight, step_through

        step_through(saga_id, replayed, foresight(invocation, replayed[0].state))
        return
    write_title(saga_id, replayed[0].state)
    write_frames(shown, pause=step and at is None)
    if at is not None:
        write_state(shown[-1].state)


class _Records:
    """The frames of a saga for machines, each of them made when it is written."""

    def __init__(self, saga_id: str, replayed: Sequence[Frame]) -> None:
        self._saga_id = saga_id
        self._replayed = replayed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (_record(self._saga_id, frame) for frame in self._replayed)


def _emit(output: str, saga_id: str, replayed: Sequence[Frame]) -> None:
    if output == "json" and len(replayed) == 1:
        write_json(_record(saga_id, replayed[0]))
        return
    emit_records(output, _Records(saga_id, replayed))


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
