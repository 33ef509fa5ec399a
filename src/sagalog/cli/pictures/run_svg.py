"""A run as an SVG picture: a row a step, a bar an attempt; compensations are hatched and point back; pure text.

What a bar is can be told without colours. The picture has a background of its own, on light and dark pages.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

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
from sagalog.cli.pictures.svg import DETAIL_CHARACTER, MARGIN, NAME_CHARACTER, STYLE, label
from sagalog.cli.pictures.time_axis import Piece, TimeAxis, tick_label
from sagalog.cli.quantities import duration, since

ROW: Final = 26.0
BAR: Final = 14.0
CHART: Final = 640.0
BREAK: Final = 44.0
HEAD: Final = 92.0
LONGEST_NAME: Final = 40
LEAST_SPAN: Final = 9.0
LEAST_BAR: Final = 3.0
LEAST_UNDOING: Final = 13.0
SAMPLE: Final = 22.0
LEGEND_LINE: Final = 18.0
TICK_LABEL: Final = 62.0

RUN_STYLE: Final = """
    .lane { stroke: #e6eaee }
    .ended { fill: #4b7fb8; stroke: #2f5f94 }
    .back-bar { fill: url(#back); stroke: #b57b35; stroke-dasharray: 3 2 }
    .hatch { stroke: #b57b35; stroke-width: 2 } .hatched { fill: #fdf3e7 }
    .asked { fill: #edf4fc; stroke: #4b7fb8 } .child { fill: #c9dcf0; stroke: #4b7fb8; stroke-dasharray: 6 2 }
    .waits { stroke: #7d8a97; stroke-width: 2; stroke-dasharray: 7 4 }
    .pause { stroke: #7d8a97; stroke-width: 2; stroke-dasharray: 1 4; stroke-linecap: round }
    .forward { stroke: #4b7fb8; stroke-width: 3 } .back-line { stroke: #b57b35; stroke-width: 3; stroke-dasharray: 5 4 }
    .wrong { stroke: #b3261e; stroke-width: 2; fill: none }
    .wrong-text { fill: #b3261e; font-weight: 700; font-size: 12px }
    .arrow { fill: #b57b35 } .open { fill: none; stroke: #4b7fb8; stroke-width: 2 }
    .dot { fill: #4b7fb8 } .good { fill: #3f8f56 } .stuck { fill: #b3261e }
    .acted { fill: #00796b; stroke: #00796b } .declined { fill: none; stroke: #00796b; stroke-width: 1.5 }
    .left { fill: none; stroke: #b3261e; stroke-width: 2 }
    .cut { fill: #ffffff; stroke: none } .zigzag { fill: none; stroke: #7d8a97 }
    .tick { stroke: #dfe4e9 } .warning { fill: #ffffff; font-weight: 700; font-size: 11px }
    @media (prefers-color-scheme: dark) {
      .lane { stroke: #222b35 }
      .ended { fill: #4f86c2; stroke: #79a8dd }
      .back-bar { stroke: #dba15b } .hatch { stroke: #dba15b } .hatched { fill: #33281a }
      .asked { fill: #1b2a3c; stroke: #79a8dd } .child { fill: #29415c; stroke: #79a8dd }
      .forward, .open { stroke: #79a8dd } .back-line { stroke: #dba15b } .arrow { fill: #dba15b }
      .wrong { stroke: #ff8a80 } .wrong-text, .stuck { fill: #ff8a80 } .good { fill: #6cc287 } .dot { fill: #79a8dd }
      .acted { fill: #4db6ac; stroke: #4db6ac } .declined { stroke: #4db6ac } .left { stroke: #ff8a80 }
      .cut { fill: #12181f } .waits, .pause, .zigzag { stroke: #9fb0c0 }
      .tick { stroke: #2c3743 } .warning { fill: #12181f }
    }
"""
_HATCH: Final = (
    '<defs><pattern id="back" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatched" width="6" height="6"/><path class="hatch" d="M0 0V6"/></pattern></defs>'
)


class _Layout(NamedTuple):
    left: float
    right: float
    width: float
    height: float
    axis: TimeAxis
    legend: list[list["_Entry"]]

    def x(self, time: int) -> float:
        """Return where a time is."""
        return self.left + self.axis.place(time)


class _Entry(NamedTuple):
    """What a shape means: the shape of a bar, of how a bar ends, or of a mark."""

    bar: BarKind | None
    ending: Ending
    mark: MarkKind | None
    words: str

    @property
    def width(self) -> float:
        """Return how wide it is with its shape."""
        return SAMPLE + 14 + len(self.words) * DETAIL_CHARACTER + 18


def run_svg(chart: RunChart) -> str:
    """Return the picture of a run."""
    layout = _lay_out(chart)
    body = "\n  ".join(_parts(chart, layout))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{layout.width:g}" height="{layout.height:g}" '
        f'viewBox="0 0 {layout.width:g} {layout.height:g}" role="img" aria-labelledby="title desc">\n'
        f'  <title id="title">{label(_title(chart))}</title>\n'
        f'  <desc id="desc">{label(_described(chart))}</desc>\n'
        f"  <style>{STYLE}{RUN_STYLE}  </style>\n  {_HATCH}\n  {body}\n</svg>\n"
    )


def _lay_out(chart: RunChart) -> _Layout:
    axis = TimeAxis(chart.times, chart.attempts, CHART, BREAK, LEAST_SPAN)
    left = MARGIN + max(len(_name(row)) + 2 * row.depth for row in chart.rows) * NAME_CHARACTER + 16
    right = left + CHART
    outcomes = max(len(row.outcome) for row in chart.rows) * DETAIL_CHARACTER + 28
    title = 2 * MARGIN + max(len(_title(chart)) * 9, len(chart.when) * DETAIL_CHARACTER)
    width = max(right + outcomes + MARGIN, title)
    legend = _wrapped(list(_entries(chart)), width - 2 * MARGIN)
    notes = len(legend) + bool(axis.breaks)
    height = HEAD + len(chart.rows) * ROW + 14 + notes * LEGEND_LINE + 10
    return _Layout(left, right, width, height, axis, legend)


def _entries(chart: RunChart) -> Iterator[_Entry]:
    for kind, words in OF_BARS.items():
        if kind in chart.kinds:
            yield _Entry(kind, "done", None, words)
    for ending, words in OF_ENDINGS.items():
        if ending in chart.endings:
            yield _Entry(None, ending, None, words)
    for mark, words in OF_MARKS.items():
        if mark in chart.happened:
            yield _Entry(None, "done", mark, words)


def _wrapped(entries: list[_Entry], room: float) -> list[list[_Entry]]:
    lines: list[list[_Entry]] = []
    used = room
    for entry in entries:
        if used + entry.width > room:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += entry.width
    return lines


def _parts(chart: RunChart, layout: _Layout) -> Iterator[str]:
    yield f'<rect class="page" x="0.5" y="0.5" width="{layout.width - 1:g}" height="{layout.height - 1:g}" rx="10"/>'
    yield _text(MARGIN, MARGIN + 6, "title", _title(chart))
    yield _text(MARGIN, MARGIN + 24, "detail", chart.when)
    bottom = HEAD + len(chart.rows) * ROW
    yield from _axis(layout, bottom)
    for number, row in enumerate(chart.rows):
        yield from _row(row, HEAD + number * ROW + ROW / 2, layout)
    for piece in layout.axis.breaks:
        yield from _break(piece, bottom, layout)
    y = bottom + 14 + LEGEND_LINE / 2
    for line in layout.legend:
        x = float(MARGIN)
        for entry in line:
            yield from _sample(entry, x, y)
            yield _text(x + SAMPLE + 14, y + 4, "detail", entry.words)
            x += entry.width
        y += LEGEND_LINE
    if layout.axis.breaks:
        yield _text(MARGIN, y + 4, "detail", "Between two zigzag lines time is drawn shorter than it was.")


def _sample(entry: _Entry, x: float, y: float) -> Iterator[str]:
    if entry.bar is not None:
        yield from _shape(entry.bar, entry.bar in ("undo", "back"), x, x + SAMPLE, y)
    elif entry.mark is not None:
        # What points down to a row stands above it; here it stands on the line of its words.
        yield _shape_of_mark(entry.mark, x + SAMPLE - 8, y + (8 if entry.mark in ("acted", "declined") else 0))
    else:
        yield _shape_of_ending(entry.ending, x + SAMPLE - 12, y)


def _row(row: Row, y: float, layout: _Layout) -> Iterator[str]:
    yield _text(MARGIN + 2 * row.depth * NAME_CHARACTER, y + 4, "name", _name(row))
    yield f'<path class="lane" d="M{layout.left:g} {y + ROW / 2:g}H{layout.right:g}"/>'
    # What an attempt did is never hidden by a wait.
    for bar in sorted(row.bars, key=lambda bar: bar.kind in ATTEMPTS):
        if bar.kind != "person":
            yield from _bar(row, bar, y, layout)
    for mark in row.marks:
        told = f"{row.name}: {OF_MARKS[mark.kind]}, {since(mark.at - layout.axis.start)}"
        yield f"<g><title>{label(told)}</title>{_shape_of_mark(mark.kind, layout.x(mark.at), y)}</g>"
    yield _text(layout.right + 28, y + 4, "detail", row.outcome)


def _title(chart: RunChart) -> str:
    return f"{chart.saga} {chart.key}: {chart.state.status}"


def _name(row: Row) -> str:
    return row.name if len(row.name) <= LONGEST_NAME else f"{row.name[: LONGEST_NAME - 1]}…"


def _described(chart: RunChart) -> str:
    """Return the picture in words, for whoever hears it."""
    steps = "; ".join(f"{row.name}: {row.outcome}" for row in chart.rows[1:] if row.outcome)
    return f"{chart.when}. {steps or 'No step was begun'}."


def _axis(layout: _Layout, bottom: float) -> Iterator[str]:
    taken: list[float] = []
    for place, microseconds in layout.axis.ticks(8):
        x = layout.left + place
        if any(abs(x - other) < TICK_LABEL for other in taken):
            continue
        taken.append(x)
        yield f'<path class="tick" d="M{x:g} {HEAD - 8:g}V{bottom:g}"/>'
        anchor = "end" if place >= CHART - 1 else "start" if place < 1 else "middle"
        yield _text(x, HEAD - 14, "detail", tick_label(microseconds), anchor)


def _bar(row: Row, bar: Bar, y: float, layout: _Layout) -> Iterator[str]:
    x, end = layout.x(bar.start), layout.x(bar.end)
    is_back = bar.undo and bar.kind != "pause"
    if bar.kind in ATTEMPTS or bar.kind == "child":
        end = max(end, x + (LEAST_UNDOING if is_back else LEAST_BAR))
    what = f"{'to undo it, ' if is_back else ''}{OF_BARS[bar.kind]}"
    told = f"{row.name}: {what}, number {bar.attempt}, {since(bar.start - layout.axis.start)}"
    ended = OF_ENDINGS.get(bar.ending, "")
    took = f"{told}, took {duration(bar.end - bar.start)}"
    yield f"<g><title>{label(f'{took}; {ended}' if ended else took)}</title>"
    yield from _shape(bar.kind, is_back, x, end, y)
    if bar.ending != "done":
        yield _shape_of_ending(bar.ending, end, y)
    yield "</g>"


def _shape(kind: BarKind, is_back: bool, x: float, end: float, y: float) -> Iterator[str]:
    """Draw a bar from x to `end`; one that goes back is hatched and points to the left."""
    match kind:
        case "forward" | "back":
            yield f'<path class="{"forward" if kind == "forward" else "back-line"}" d="M{x:g} {y:g}H{end:g}"/>'
        case "wait" | "pause":
            yield f'<path class="{"waits" if kind == "wait" else "pause"}" d="M{x:g} {y:g}H{end:g}"/>'
        case _ if is_back:
            half = BAR / 2
            yield f'<path class="back-bar" d="M{x:g} {y:g}L{x + 8:g} {y - half:g}H{end:g}V{y + half:g}H{x + 8:g}Z"/>'
        case _:
            style = {"request": "asked", "child": "child"}.get(kind, "ended")
            yield f'<rect class="{style}" x="{x:g}" y="{y - BAR / 2:g}" width="{end - x:g}" height="{BAR:g}" rx="2"/>'


def _shape_of_ending(ending: Ending, x: float, y: float) -> str:
    if ending == "refused":
        return f'<path class="wrong" d="M{x + 2:g} {y - 4:g}l8 8m0 -8l-8 8"/>'
    if ending == "unknown":
        return f'<text class="wrong-text" x="{x + 3:g}" y="{y + 4:g}">?</text>'
    return f'<path class="open" d="M{x + 3:g} {y - 5:g}L{x + 10:g} {y:g}L{x + 3:g} {y + 5:g}Z"/>'


def _shape_of_mark(kind: MarkKind, x: float, y: float) -> str:
    match kind:
        case "event":
            return f'<path class="dot" d="M{x:g} {y - 6:g}l6 6l-6 6l-6 -6Z"/>'
        case "undone":
            return f'<path class="arrow" d="M{x - 7:g} {y:g}L{x + 4:g} {y - 7:g}V{y + 7:g}Z"/>'
        case "skipped":
            return f'<circle class="open" cx="{x:g}" cy="{y:g}" r="4"/>'
        case "completed":
            return f'<circle class="good" cx="{x:g}" cy="{y:g}" r="6"/>'
        case "resumed":
            return f'<text class="name" x="{x:g}" y="{y + 5:g}" text-anchor="middle">↻</text>'
        case "stuck":
            return (
                f'<path class="stuck" d="M{x:g} {y - 9:g}l9 16h-18Z"/>'
                f'<text class="warning" x="{x:g}" y="{y + 5:g}" text-anchor="middle">!</text>'
            )
        case "acted" | "declined":
            # It points down to the row, from above: it came from outside.
            return f'<path class="{kind}" d="M{x - 6:g} {y - 12:g}h12l-6 9Z"/>'
        case "abandoned":
            return f'<path class="left" d="M{x - 5:g} {y - 5:g}h10v10h-10Zl10 10m0 -10l-10 10"/>'
        case _:
            return f'<rect class="arrow" x="{x - 5:g}" y="{y - 5:g}" width="10" height="10"/>'


def _break(piece: Piece, bottom: float, layout: _Layout) -> Iterator[str]:
    """Draw that time is left out: a strip of the page between two zigzag lines, over all rows, with its length."""
    middle = layout.left + (piece.left + piece.right) / 2
    half = min(5.0, (piece.right - piece.left) / 4)
    top = HEAD - 6
    yield f'<rect class="cut" x="{middle - half:g}" y="{top:g}" width="{2 * half:g}" height="{bottom - top:g}"/>'
    for x in (middle - half, middle + half):
        teeth = "".join(f"l{3 if n % 2 else -3:g} 6" for n in range(int((bottom - top) // 6)))
        yield f'<path class="zigzag" d="M{x:g} {top:g}{teeth}"/>'
    if piece.right - piece.left >= BREAK:
        yield _text(middle, HEAD - 28, "detail", duration(piece.end - piece.start), "middle")


def _text(x: float, y: float, kind: str, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{label(text)}</text>'
