"""A replay as frames: each event with the state after it and its changes, computed when they are shown, and written."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

from rich.table import Table
from rich.text import Text

from sagalog.cli.differences import Change, changes, flat, shown
from sagalog.cli.event_texts import event_text, summary
from sagalog.cli.output import note, write, write_fields
from sagalog.cli.quantities import moment, since
from sagalog.cli.table import plain, status_text
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import evolve
from sagalog.saga.state import SagaState

BRIEFLY = ("status", ".action", ".undo")


class Frame(NamedTuple):
    """An event and the state after it."""

    event: SagaEvent
    state: SagaState
    changed: list[Change]


# So many states of a replay are held at most, and all others are computed from them.
MOST_HELD: Final = 16


class Replayed(Sequence[Frame]):
    """The frames of a saga, one for each event, each of them computed when it is asked for.

    So neither the time nor the memory of a replay grows faster than the history, of which only some states are held.
    """

    def __init__(self, events: Sequence[SagaEvent]) -> None:
        """Compute all states once; raises `DivergentHistory`."""
        self.events = events
        self._apart = len(events) // MOST_HELD + 1
        self._held: list[SagaState | None] = []
        state: SagaState | None = None
        for number, event in enumerate(events):
            if number % self._apart == 0:
                self._held.append(state)
            state = evolve(state, event)

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, number: int) -> Frame: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Frame]: ...

    def __getitem__(self, number: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        place = range(len(self))[number]
        before = self._held[place // self._apart]
        for event in self.events[place - place % self._apart : place]:
            before = evolve(before, event)
        return _frame(before, self.events[place])

    def __iter__(self) -> Iterator[Frame]:
        state: SagaState | None = None
        for event in self.events:
            frame = _frame(state, event)
            yield frame
            state = frame.state


def _frame(before: SagaState | None, event: SagaEvent) -> Frame:
    after = evolve(before, event)
    return Frame(event, after, changes(before, after))


def write_title(saga_id: str, state: SagaState) -> None:
    """Write the title: which saga is replayed."""
    write(Text.assemble((plain(state.saga), "bold"), " ", plain(state.key), "  ", (saga_id, "dim")))


def write_frames(replayed: Sequence[Frame], *, pause: bool = False, brief: bool = False) -> None:
    """Write events with their changes; `pause`: wait for Enter between them, `brief`: statuses only."""
    for number, frame in enumerate(replayed):
        changed = [change for change in frame.changed if not brief or change.path.endswith(BRIEFLY)]
        _write_frame(frame._replace(changed=changed), brief and number == 0)
        if pause and number < len(replayed) - 1 and _quits():
            return


def _quits() -> bool:
    """Ask the person whether to quit; return False without asking if stdin is no terminal."""
    if not sys.stdin.isatty():
        return False
    note("Enter: next event   q and Enter: end")
    answer = sys.stdin.readline()
    return not answer or answer.strip().lower() == "q"


def _write_frame(frame: Frame, follows_a_title: bool = False) -> None:
    if not follows_a_title:
        write()
    write(headline(frame))
    for line in change_lines(frame):
        write(line, indent=6)


def headline(frame: Frame) -> Table:
    """Return an event on one line: its version, its time, and what it says."""
    event, state = frame.event, frame.state
    found = Table.grid(padding=(0, 2, 0, 0))
    for style, width in (("bold", 4), ("dim", 0), ("dim", 9), ("", 0)):
        found.add_column(style=style, justify="right", no_wrap=True, min_width=width)
    found.add_column(overflow="fold")
    found.add_row(
        f"{state.version}",
        moment(event.time),
        since(event.time - state.started),
        event_text(event),
        Text(summary(event, state.kind)),
    )
    return found


def change_lines(frame: Frame) -> list[Text]:
    """Return what an event changed, one change a line."""
    lines: list[Text] = []
    for path, before, after in frame.changed:
        line = Text.assemble((f"{plain(path)}: ", "dim"))
        if before is not None:
            line.append_text(Text.assemble((plain(shown(path, before)), "dim"), (" -> ", "dim")))
        value = plain(shown(path, after))
        line.append_text(status_text(value) if path == "status" else Text(value))
        lines.append(line)
    return lines


def write_state(state: SagaState) -> None:
    """Write a whole state, one value a line."""
    write()
    write(Text.assemble((f"State after {state.version} events", "bold")))
    write_fields([(path, shown(path, value)) for path, value in flat(state).items()])
