"""`sagalog replay --step` at a terminal: one screen an event, forward and back by keys; it runs and writes nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.text import Text

from sagalog.cli.app import load_app
from sagalog.cli.event_texts import event_text, summary
from sagalog.cli.expectations import Ahead, Expectation, ahead, expected
from sagalog.cli.failures import one_line
from sagalog.cli.frames import Frame, change_lines
from sagalog.cli.keyboard import Key, Screen, screen
from sagalog.cli.options import Invocation
from sagalog.cli.output import drawn
from sagalog.cli.quantities import moment, since
from sagalog.cli.table import plain, status_text
from sagalog.errors import SagalogError
from sagalog.saga.definition import Definition
from sagalog.saga.state import SagaState

KEYS: Final = "Enter: next event   b: back   Home, End   q: end"
# The title, the lines above and below the contents, the keys.
AROUND: Final = 4
Foresight = Callable[[SagaState], Ahead | str]
"""What is ahead in a state, or why that cannot be told."""


def foresight(invocation: Invocation, state: SagaState) -> Foresight:
    """Return what tells of a saga's states what is about to be done: its definition, if the app was named and has it.

    An app that only the environment names may be missing where an exported file is looked at.
    """
    if invocation.app is None:
        return lambda _: "give --app, and its definition tells"
    try:
        definition = load_app(invocation).definition(state.saga, state.definition_version, state.digest)
    except SagalogError as problem:
        if invocation.named_app is not None:
            raise
        reason = one_line(str(problem))
        return lambda _: reason
    if definition is None:
        reason = (
            f"the app {invocation.app} has no {state.saga} version {state.definition_version} of the digest "
            f"{state.digest}, with which this saga runs"
        )
        return lambda _: reason
    return _of(definition)


def _of(definition: Definition) -> Foresight:
    return lambda state: ahead(definition, state)


def step_through(saga_id: str, replayed: Sequence[Frame], told: Foresight) -> None:
    """Show event after event, until the person has seen enough."""
    with screen() as page:
        number = top = 0
        while True:
            width, height = page.size()
            room = max(1, height - AROUND)
            contents = list(_contents(replayed, number, told, width))
            top = max(0, min(top, len(contents) - room))
            page.draw(_framed(saga_id, replayed, number, contents, top, room, width))
            moved = _next(page, number, top, room, len(replayed))
            if moved is None:
                return
            number, top = moved


def _next(page: Screen, number: int, top: int, room: int, events: int) -> tuple[int, int] | None:
    """Return the event to be shown, and its topmost line, after the next key; None: the end."""
    pressed: Key = page.key()
    match pressed:
        case "quit":
            return None
        case "forward":
            return min(number + 1, events - 1), 0
        case "back":
            return max(number - 1, 0), 0
        case "first":
            return 0, 0
        case "last":
            return events - 1, 0
        case "down":
            return number, top + max(1, room - 1)
        case "up":
            return number, top - max(1, room - 1)
        case _:
            return number, top


def _framed(
    saga_id: str, replayed: Sequence[Frame], number: int, contents: list[str], top: int, room: int, width: int
) -> list[str]:
    state = replayed[number].state
    title = Text.assemble(
        (plain(state.saga), "bold"), " ", plain(state.key), "  ", status_text(state.status), ("  " + saga_id, "dim")
    )
    place = f" event {number + 1} of {len(replayed)} "
    more = len(contents) - top - room
    keys = KEYS if more <= 0 and not top else f"{KEYS}   Page Down, Page Up: more ({max(0, more)} lines)"
    shown = contents[top : top + room]
    return [
        _cut(title, width),
        _cut(Text(place.center(width, "─"), "dim"), width),
        *shown,
        *[""] * (room - len(shown)),
        _cut(Text("─" * width, "dim"), width),
        _cut(Text(keys, "dim"), width),
    ]


def _cut(text: Text, width: int) -> str:
    """Return a text on one line, so that a line of the screen is a line."""
    text = text.copy()
    text.truncate(width, overflow="ellipsis")
    return drawn(text, width=width)[0]


def _contents(replayed: Sequence[Frame], number: int, told: Foresight, width: int) -> Iterator[str]:
    frame = replayed[number]
    event, state = frame.event, frame.state
    times = Text(f"{moment(event.time)}  {since(event.time - state.started)}", "dim")
    yield from drawn(Text.assemble(event_text(event), "  ", summary(event, state.kind)), width=width)
    yield from drawn(times, width=width)
    yield from _section("Changed", change_lines(frame), "nothing", width)
    found = told(state)
    waits = expected(state) if isinstance(found, str) else found.waits
    yield from _section("Waits for", _lines(waits, event.time), "nothing", width)
    if isinstance(found, str):
        yield from _section("About to be done", [Text(f"not known here: {plain(found)}", "dim")], "", width)
    else:
        yield from _section("About to be done", [Text(text) for text in found.effects], "nothing", width)
    after = replayed[number + 1].event if number + 1 < len(replayed) else None
    lines: list[Text] = []
    if after is not None:
        lines = [
            Text.assemble(
                event_text(after), "  ", summary(after, state.kind), (f"  {since(after.time - event.time)}", "dim")
            )
        ]
    yield from _section("Recorded next", lines, "nothing: this is the last event", width)


def _lines(waits: Sequence[Expectation], now: int) -> list[Text]:
    return [Text(one.text(now)) for one in waits]


def _section(title: str, lines: Sequence[Text], otherwise: str, width: int) -> Iterator[str]:
    yield ""
    yield from drawn(Text(title, "bold"), width=width)
    for line in lines or [Text(otherwise, "dim")]:
        yield from drawn(line, indent=2, width=width)
