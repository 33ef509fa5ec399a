"""Writes the answer to a query row by row, so that a long one is never held in memory; it judges no value."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import click
import msgspec

from sagalog.cli.output import note, write
from sagalog.cli.table import rows_table
from sagalog.harmless import harmless_cell, harmless_json
from sagalog.store import Selection
from sagalog.store.selection import PAGE

# A table is as wide as its widest row, so it is drawn of so many at most.
MOST_IN_A_TABLE: Final = 1_000
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def write_selection(output: str, selection: Selection) -> None:
    """Write the answer as a table of its first rows, or, for machines, all of it."""
    if output == "table":
        rows = [tuple(map(_shown, row)) for row in islice(selection.rows, MOST_IN_A_TABLE)]
        write(rows_table(selection.columns, rows))
        if next(selection.rows, None) is not None:
            note(f"the first {MOST_IN_A_TABLE:,} rows; -o jsonl, json or csv writes all of them")
    elif output == "csv":
        _write(_lines_of_csv(selection))
    elif output == "jsonl":
        _write(f"{line}\n" for line in _objects(selection))
    else:
        _write(_list(selection))


def record(columns: Sequence[str], row: Iterable[Any]) -> dict[str, Any]:
    """Return a row as values that JSON has, exactly; what JSON has no number for is text."""
    return dict(zip(columns, map(_plain, row), strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _shown(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else _plain(value)


def _objects(selection: Selection) -> Iterator[str]:
    for row in selection.rows:
        yield harmless_json(_ENCODER.encode(record(selection.columns, row)).decode())


def _list(selection: Selection) -> Iterator[str]:
    """Yield a list with an object a line; after an error it has no end, so nobody takes it for the whole answer."""
    before = "[\n  "
    for line in _objects(selection):
        yield before + line
        before = ",\n  "
    yield "[]\n" if before == "[\n  " else "\n]\n"


def _lines_of_csv(selection: Selection) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(harmless_cell, selection.columns))
    for row in selection.rows:
        writer.writerow([harmless_cell(cell) if isinstance(cell := _shown(one), str) else cell for one in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _write(parts: Iterator[str]) -> None:
    """Write many short texts as few longer ones; what came before an error is written, too."""
    page: list[str] = []
    try:
        for part in parts:
            page.append(part)
            if len(page) == PAGE:
                click.echo("".join(page), nl=False)
                page.clear()
    finally:
        click.echo("".join(page), nl=False)
