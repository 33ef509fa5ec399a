"""A progress bar on stderr, shown only on a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from sagalog.cli.options import colours_wanted
from sagalog.cli.table import console

Advance = Callable[[float, str], None]


@contextmanager
def progress(title: str, total: float | None) -> Generator[Advance]:
    """Yield a function `advance(how far, what to say)`; `total` None: the end is unknown. Silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _far, _text: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    colour = "green" if colours_wanted(sys.stderr) else "default"
    bar = Progress(
        SpinnerColumn(style=colour),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30, complete_style=colour, finished_style=colour),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console(sys.stderr),
        transient=True,
        refresh_per_second=8,
    )
    with bar:
        task = bar.add_task(title, total=total, text="")
        yield lambda far, text: bar.update(task, completed=far, text=text)
