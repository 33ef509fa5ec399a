"""Rows on stdout as a table, JSON, JSON Lines or CSV, and what else is written for people; it asks nobody for data."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, NamedTuple

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sagalog.cli.options import colours_wanted
from sagalog.cli.quantities import moment

Row = Mapping[str, Any]

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
    "wrong": "bold red",
    "skipped": "dim",
    "waived": "dim",
}
# Wide enough for any row: what goes into a pipe is cut by nobody but its reader.
PIPE_WIDTH = 1_000


class Column(NamedTuple):
    """A column of a table: its title, what it shows of a row, and how."""

    title: str
    cell: Callable[[Row], object]
    right: bool = False
    style: str = ""
    elastic: bool = False
    """Give way, with an ellipsis, when the terminal is narrow."""


def console(stream: IO[str] | None = None) -> Console:
    """Return a console on stdout (or `stream`) that wraps nothing it was not asked to wrap."""
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
    """Return text that cannot move the cursor or colour a terminal, on one line."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    flat = " ".join(text.splitlines())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in flat)


def status_text(status: str) -> Text:
    """Return a status in its colour."""
    return Text(plain(status), style=STATUS_STYLES.get(status, ""))


def table_of(rows: Iterable[Row], columns: Sequence[Column], total: Row | None = None) -> Table:
    """Return a calm table: one line under the titles, numbers to the right."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.show_footer = total is not None
    for column in columns:
        table.add_column(
            Text(column.title),
            footer=Text(plain(column.cell(total))) if total is not None else "",
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=True,
            overflow="ellipsis" if column.elastic else "fold",
            min_width=None if column.elastic else max(1, len(column.title)),
        )
    for row in rows:
        cells = [column.cell(row) for column in columns]
        table.add_row(*[cell if isinstance(cell, Text) else Text(plain(cell)) for cell in cells])
    return table


def write(renderable: object = "", *, indent: int = 0, stream: IO[str] | None = None) -> None:
    """Write text or a table to stdout."""
    what = Text(renderable) if isinstance(renderable, str) else renderable
    padded = Padding(what, (0, 0, 0, indent), expand=False) if indent else what  # type: ignore[arg-type]
    buffer = console(stream)
    with buffer.capture() as captured:
        buffer.print(padded)
    # Cells are padded to their column's width; the blanks at the end of a line only hurt whoever copies it.
    text = "\n".join(line.rstrip() for line in captured.get().split("\n"))
    click.echo(text, nl=False, file=stream, color=True)


def note(text: str) -> None:
    """Write a line for the person at the terminal to stderr, which no pipe gets."""
    write(Text(text, style="dim"), stream=sys.stderr)


def record(row: object, times: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row of the store as plain values, its `*_at` columns as ISO times."""
    found: dict[str, Any] = {}
    for field in row.__struct_fields__:  # type: ignore[attr-defined]
        value = getattr(row, field)
        is_time = field.endswith(("_at", "_until")) or field in times
        found[field] = moment(value, "microseconds") if is_time and value is not None else value
    return found


def emit(output: str, rows: Iterable[Row], columns: Sequence[Column], show: Callable[[Row], Row] = dict) -> int:
    """Write rows in a format and return how many there were; `show` gives a row as machines read it."""
    count = 0
    if output == "table":
        listed = list(rows)
        write(table_of(listed, columns))
        return len(listed)
    if output == "csv":
        return _emit_csv([show(row) for row in rows])
    if output == "json":
        listed = [show(row) for row in rows]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return len(listed)
    for row in rows:
        click.echo(json.dumps(show(row), ensure_ascii=False))
        count += 1
    return count


def _emit_csv(rows: Sequence[Row]) -> int:
    titles = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in titles])
    click.echo(text.getvalue() if titles else "", nl=False)
    return len(rows)


def _csv_cell(value: object) -> object:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return value
