"""Tables for people: widths, colours, and what is shortened on a narrow terminal; it writes nothing."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Generic, Literal, TypeVar

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sagalog.cli.options import colours_wanted
from sagalog.harmless import harmless

Shown = TypeVar("Shown")

STATUS_STYLES = {
    "started": "blue",
    "pending": "blue",
    "running": "blue",
    "retrying": "yellow",
    "compensating": "magenta",
    "compensated": "magenta",
    "completed": "green",
    "succeeded": "green",
    "ok": "green",
    "failed": "yellow",
    "refused": "yellow",
    "stuck": "bold red",
    "abandoned": "red",
    "wrong": "bold red",
    "parked": "bold red",
    "unreadable": "bold red",
    "redelivering": "yellow",
    "redelivered": "green",
    "discarded": "dim",
    "sent": "blue",
    "unanswered": "yellow",
    "skipped": "dim",
    "unknown": "dim",
    "waived": "dim",
}
# Wide enough for any row: in a pipe nothing is cut.
PIPE_WIDTH = 1_000
# Between columns: one blank of the box, the rest is padding.
GUTTER = 2
NARROWEST = 24


@dataclass(frozen=True)
class Column(Generic[Shown]):
    """A column of a table: its title, what it shows of a row, and how."""

    title: str
    cell: Callable[[Shown], object]
    right: bool = False
    style: str = ""
    narrows: Literal["", "cut", "wrap"] = ""
    """How the column is shortened on a narrow terminal; other columns keep their width, so that names stay whole."""
    spare: int = 0
    """The order in which columns are left out on a narrow terminal: the highest number first; 0 is never left out."""


def console(stream: IO[str] | None = None) -> Console:
    """Return a console on stdout (or `stream`) that wraps no lines by itself."""
    target = stream or sys.stdout
    terminal = target.isatty()
    return Console(
        file=target,
        width=None if terminal else PIPE_WIDTH,
        no_color=not colours_wanted(target),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def plain(value: object) -> str:
    """Return text on one line that cannot move the cursor or colour a terminal: a line end is shown as its escape."""
    return "" if value is None else harmless(str(value))


def status_text(status: str) -> Text:
    """Return a status in its colour."""
    return Text(plain(status), style=STATUS_STYLES.get(status, ""))


def table_of(rows: Sequence[Shown], columns: Sequence[Column[Shown]], indent: int = 0) -> Table:
    """Return a table with one line under the titles, and numbers aligned to the right."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, GUTTER - 1, 0, 0))
    every_cell = [[_cell(column.cell(row)) for row in rows] for column in columns]
    widths = [
        max(len(column.title), *(cell_len(cell.plain) for cell in cells), 0)
        for column, cells in zip(columns, every_cell, strict=True)
    ]
    room = console().width - indent
    shown = _that_fit(columns, widths, room)
    kept = sum(widths[index] + GUTTER for index in shown if not columns[index].narrows)
    narrow = max(NARROWEST, room - kept - GUTTER)
    for index in shown:
        column, width = columns[index], widths[index]
        table.add_column(
            Text(plain(column.title)),
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=column.narrows != "wrap",
            overflow="ellipsis" if column.narrows == "cut" else "fold",
            width=min(width, narrow) if column.narrows else width,
        )
    for line in zip(*(every_cell[index] for index in shown), strict=True):
        table.add_row(*line)
    return table


def _that_fit(columns: Sequence[Column[Any]], widths: Sequence[int], room: int) -> list[int]:
    """Return which columns are shown: the required ones, and as many of the others as there is room for."""
    shown = list(range(len(columns)))
    for dispensable in sorted(
        (index for index in shown if columns[index].spare), key=lambda index: -columns[index].spare
    ):
        needed = sum(min(widths[index], NARROWEST) if columns[index].narrows else widths[index] for index in shown)
        if needed + GUTTER * len(shown) > room:
            shown.remove(dispensable)
    return shown


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(plain(value))


def rows_table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], indent: int = 0) -> Table:
    """Return the result of a query as a table, with numbers aligned to the right."""
    return table_of(rows, [_column(index, name, rows) for index, name in enumerate(columns)], indent)


def _column(index: int, name: str, rows: Sequence[tuple[Any, ...]]) -> Column[tuple[Any, ...]]:
    values = [row[index] for row in rows if row[index] is not None]
    return Column(name, lambda row: row[index], right=bool(values) and all(isinstance(v, int | float) for v in values))
