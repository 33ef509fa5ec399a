"""Output: rows as a table, JSON, JSON Lines or CSV, and lines for people. It reads no data."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import click
from msgspec import Struct
from msgspec.structs import asdict
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from sagalog.cli.quantities import moment
from sagalog.cli.table import GUTTER, Column, Shown, console, plain, table_of
from sagalog.harmless import harmless_cell, harmless_json, harmless_lines


def write(renderable: RenderableType = "", *, indent: int = 0, stream: IO[str] | None = None) -> None:
    """Write text or a table to stdout."""
    click.echo("\n".join(drawn(renderable, indent=indent, stream=stream)), file=stream, color=True)


def drawn(
    renderable: RenderableType, *, indent: int = 0, stream: IO[str] | None = None, width: int | None = None
) -> list[str]:
    """Return text or a table as the lines that are written, in the terminal's width, or in the given one."""
    what = Text(renderable) if isinstance(renderable, str) else renderable
    padded = Padding(what, (0, 0, 0, indent), expand=False) if indent else what
    buffer = console(stream)
    if width is not None:
        buffer.width = width
    elif isinstance(what, Table) and what.columns and what.columns[0].width:
        # On a terminal that is too narrow the lines wrap; no part of an id or a name is left out.
        buffer.width = max(buffer.width, indent + sum((column.width or 0) + GUTTER for column in what.columns))
    with buffer.capture() as captured:
        buffer.print(_Harmless(padded))
    # Cells are padded; blanks at the end of a line are removed, because they get in the way of copying.
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


class _Harmless:
    """Wraps a renderable and removes all controls but its own colours, as the last step before a terminal."""

    def __init__(self, drawn: RenderableType) -> None:
        self._drawn = drawn

    def __rich_console__(self, target: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in target.render(self._drawn, options):
            yield segment if segment.control else Segment(harmless_lines(segment.text), segment.style)


def note(text: str) -> None:
    """Write a line for the person at the terminal to stderr, so that no pipe gets it."""
    write(Text(plain(text), style="dim"), stream=sys.stderr)


def write_json(value: object, indent: int | None = 2) -> None:
    """Write a value as JSON with all controls in strings escaped; read again, the values are the same."""
    click.echo(harmless_json(json.dumps(value, indent=indent, ensure_ascii=False)))


def write_fields(fields: Sequence[tuple[str, object]], indent: int = 2) -> None:
    """Write names and values, one a line; a long value continues indented below."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        grid.add_row(Text(name), Text(plain(value)))
    write(grid, indent=indent)


def record(row: Struct) -> dict[str, Any]:
    """Return a row of the store as plain values, with times as ISO text."""
    return {
        name: moment(value, "microseconds") if name.endswith(("_at", "_until")) and value is not None else value
        for name, value in asdict(row).items()
    }


def emit(
    output: str, rows: Sequence[Shown], columns: Sequence[Column[Shown]], show: Callable[[Shown], Mapping[str, Any]]
) -> None:
    """Write rows as a table with these columns, or, for machines, each row as `show` returns it."""
    if output == "table":
        write(table_of(rows, columns))
    else:
        emit_records(output, [show(row) for row in rows])


def emit_records(output: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records for machines, as json, jsonl or csv.

    They are written one by one, so that they may be computed while they are; for csv they are gone through twice.
    """
    if output == "json":
        _emit_list(records)
    elif output == "jsonl":
        for one in records:
            write_json(one, indent=None)
    else:
        _emit_csv(records)


def _emit_list(records: Iterable[Mapping[str, Any]]) -> None:
    before = "[\n"
    for one in records:
        # No string of JSON has a line end in it.
        text = json.dumps(one, indent=2, ensure_ascii=False).replace("\n", "\n  ")
        click.echo(f"{before}  {harmless_json(text)}", nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


def _emit_csv(records: Iterable[Mapping[str, Any]]) -> None:
    titles = list(dict.fromkeys(name for one in records for name in one))
    if not titles:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_csv_cell, titles))
    for one in records:
        writer.writerow([_csv_cell(one.get(name)) for name in titles])
        click.echo(text.getvalue(), nl=False)
        text.seek(0)
        text.truncate()


def _csv_cell(value: object) -> object:
    """Return a CSV cell: on one line, with nothing that a spreadsheet would run as a formula."""
    if isinstance(value, dict | list | tuple):
        return harmless_json(json.dumps(value, ensure_ascii=False))
    return harmless_cell(value) if isinstance(value, str) else value
