"""A run as text: a row a step, a bar an attempt, in any width from 60 columns on; pure.

What a bar is can be told by its shape alone; colours only help.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from sagalog.cli.pictures.run_chart import (
    ATTEMPTS,
    OF_BARS,
    OF_ENDINGS,
    OF_MARKS,
    Bar,
    BarKind,
    Ending,
    MarkKind,
    Row,
    RunChart,
)
from sagalog.cli.pictures.time_axis import TimeAxis, tick_label
from sagalog.cli.quantities import duration
from sagalog.cli.table import STATUS_STYLES, plain

NARROWEST: Final = 60
SHORTEST_NAME: Final = 15
BREAK_WIDTH: Final = 4
# So many lengths of breaks fit into the narrowest line.
MOST_LEFT_OUT: Final = 3


class Glyphs(NamedTuple):
    """The characters that a picture is made of."""

    bars: dict[BarKind, str]
    marks: dict[MarkKind, str]
    endings: dict[Ending, str]
    backwards: str
    left_out: str
    ruler: str
    tick: str


UNICODE: Final = Glyphs(
    bars={
        "action": "█",
        "undo": "▒",
        "request": "═",
        "wait": "┄",
        "child": "▓",
        "pause": "·",
        "forward": "─",
        "back": "╌",
        "person": " ",
    },
    marks={
        "event": "◆",
        "undone": "◄",
        "skipped": "○",
        "stuck": "!",
        "acted": "▼",
        "declined": "▽",
        "resumed": "↻",
        "completed": "●",
        "failed": "■",
        "abandoned": "▣",
    },
    endings={"done": "", "refused": "✗", "unknown": "?", "open": "▷"},
    backwards="◄",
    left_out="\N{BOX DRAWINGS LIGHT DIAGONAL UPPER RIGHT TO LOWER LEFT}",
    ruler="─",
    tick="┬",
)
ASCII: Final = Glyphs(
    bars={
        "action": "#",
        "undo": "%",
        "request": "=",
        "wait": "-",
        "child": "+",
        "pause": ".",
        "forward": "_",
        "back": "~",
        "person": " ",
    },
    marks={
        "event": "o",
        "undone": "<",
        "skipped": "0",
        "stuck": "!",
        "acted": "v",
        "declined": "n",
        "resumed": "^",
        "completed": "*",
        "failed": "X",
        "abandoned": "A",
    },
    endings={"done": "", "refused": "x", "unknown": "?", "open": ">"},
    backwards="<",
    left_out="/",
    ruler="_",
    tick="|",
)
_STYLES: Final[dict[str, str]] = {
    "action": "blue",
    "request": "blue",
    "child": "blue",
    "undo": "magenta",
    "wait": "dim",
    "pause": "dim",
    "forward": "dim",
    "back": "magenta",
    "refused": "yellow",
    "unknown": "yellow",
    "stuck": "bold red",
    "acted": "bold cyan",
    "declined": "yellow",
    "abandoned": "red",
    "completed": "green",
    "failed": "yellow",
    "undone": "magenta",
}


class _Layout(NamedTuple):
    names: int
    chart: int
    axis: TimeAxis
    glyphs: Glyphs


def run_text(chart: RunChart, width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Return the picture, line by line, none wider than `width` (at least 60)."""
    width = max(width, NARROWEST)
    names = min(max(cell_len(_name(row)) for row in chart.rows), max(SHORTEST_NAME, width // 4))
    outcomes = max(len(row.outcome) for row in chart.rows)
    room = width - names - outcomes - 2
    layout = _Layout(names, room, TimeAxis(chart.times, chart.attempts, room - 1, BREAK_WIDTH, 1), glyphs)
    title = Text.assemble(
        (plain(chart.saga), "bold"),
        " ",
        plain(chart.key),
        "  ",
        (chart.state.status, STATUS_STYLES.get(chart.state.status, "")),
        (f"  {plain(chart.saga_id)}", "dim"),
    )
    lines = [_fitted(title, width), _fitted(Text(chart.when, "dim"), width), Text()]
    lines += _ruler(layout)
    for row in chart.rows:
        name = Text(_name(row), "bold" if row is chart.rows[0] else "")
        name.truncate(names, overflow="ellipsis", pad=True)
        lines.append(Text.assemble(name, " ", _drawn(row, layout), " ", (row.outcome, "dim")))
    return [*lines, Text(), *_legend(chart, layout, width)]


def _name(row: Row) -> str:
    return "  " * row.depth + plain(row.name)


def _fitted(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text


def _ruler(layout: _Layout) -> list[Text]:
    """Return the axis: labels as many as there is room for, and below them the scale with its breaks."""
    axis, glyphs = layout.axis, layout.glyphs
    labels, line = [" "] * layout.chart, [glyphs.ruler] * layout.chart
    for place, since in axis.ticks(max(2, layout.chart // 14)):
        text, at = tick_label(since), min(round(place), layout.chart - 1)
        at_text = min(at, layout.chart - len(text))
        around = labels[max(0, at_text - 1) : at_text + len(text) + 1]
        if "".join(around).isspace():
            labels[at_text : at_text + len(text)] = text
            line[at] = glyphs.tick
    for piece in axis.breaks:
        for at in _left_out(piece.left, piece.right):
            line[at] = glyphs.left_out
    margin = " " * (layout.names + 1)
    return [Text(margin + "".join(labels).rstrip(), "dim"), Text(margin + "".join(line), "dim")]


def _left_out(left: float, right: float) -> range:
    """Return the columns in the middle of a break."""
    middle = int((left + right) / 2)
    return range(middle, middle + (2 if right - left >= 3 else 1))


def _drawn(row: Row, layout: _Layout) -> Text:
    cells: list[tuple[str, str]] = [(" ", "")] * layout.chart
    # What an attempt did is never hidden by a wait.
    for bar in sorted(row.bars, key=lambda bar: bar.kind in ATTEMPTS):
        if bar.kind != "person":
            _draw_bar(bar, layout, cells)
    for mark in row.marks:
        at = _column(mark.at, layout)
        cells[at] = (layout.glyphs.marks[mark.kind], _STYLES.get(mark.kind, ""))
    return Text.assemble(*cells)


def _column(time: int, layout: _Layout) -> int:
    return min(int(layout.axis.place(time)), layout.chart - 1)


def _draw_bar(bar: Bar, layout: _Layout, cells: list[tuple[str, str]]) -> None:
    glyphs, axis = layout.glyphs, layout.axis
    # Where one bar ends, the next one may begin.
    first = _column(bar.start, layout)
    last = max(first, _column(bar.end, layout) - 1)
    ending = glyphs.endings[bar.ending]
    is_back = bar.undo and bar.kind != "pause"
    if is_back and ending and first == last:
        # A way back that failed needs two columns, to show both.
        first, last = (first, last + 1) if last + 1 < layout.chart else (first - 1, last)
    style = _STYLES.get("undo" if is_back else bar.kind, "")
    for at in range(first, last + 1):
        cells[at] = (glyphs.bars[bar.kind], style)
    for piece in axis.breaks:
        if bar.start <= piece.start and piece.end <= bar.end:
            for at in _left_out(piece.left, piece.right):
                cells[at] = (glyphs.left_out, style)
    if is_back:
        cells[first] = (glyphs.backwards, style)
    if ending:
        cells[last] = (ending, _STYLES.get(bar.ending, style))


def _legend(chart: RunChart, layout: _Layout, width: int) -> Iterator[Text]:
    """Yield what the characters mean, only of those that are there."""
    entries = [f"{glyph} {words}" for glyph, words in _meanings(chart, layout)]
    line = ""
    for entry in entries:
        if line and len(line) + 3 + len(entry) > width:
            yield _fitted(Text(line, "dim"), width)
            line = ""
        line = f"{line}   {entry}" if line else entry
    if line:
        yield _fitted(Text(line, "dim"), width)


def _meanings(chart: RunChart, layout: _Layout) -> Iterator[tuple[str, str]]:
    glyphs = layout.glyphs
    for kind, words in OF_BARS.items():
        if kind in chart.kinds:
            yield (glyphs.backwards if kind == "undo" else "") + glyphs.bars[kind], words
    for ending, words in OF_ENDINGS.items():
        if ending in chart.endings:
            yield glyphs.endings[ending], words
    for mark, words in OF_MARKS.items():
        if mark in chart.happened:
            yield glyphs.marks[mark], words
    if layout.axis.breaks:
        left_out = [piece.end - piece.start for piece in layout.axis.breaks]
        shown = ", ".join(duration(length) for length in left_out[:MOST_LEFT_OUT])
        more = f" and {len(left_out) - MOST_LEFT_OUT} more" if len(left_out) > MOST_LEFT_OUT else ""
        yield glyphs.left_out * 2, f"drawn shorter: {shown}{more}"
