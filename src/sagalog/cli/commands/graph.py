"""`sagalog graph`: a saga or a choreography as a diagram, from the app; or one run in time, from its events."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from sagalog.cli.app import load_app
from sagalog.cli.histories import histories
from sagalog.cli.lookup import saga_option
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import drawn, note
from sagalog.cli.pictures.chart import chart_of
from sagalog.cli.pictures.event_chart import event_chart_of, event_mermaid, event_svg
from sagalog.cli.pictures.mermaid import mermaid
from sagalog.cli.pictures.run_chart import run_chart_of
from sagalog.cli.pictures.run_svg import run_svg
from sagalog.cli.pictures.run_text import ASCII, UNICODE, run_text
from sagalog.cli.pictures.svg import svg
from sagalog.saga.choreography.definition import ChoreographyDefinition

DRAWINGS: Final[dict[str, Callable[[Any], str]]] = {"mermaid": mermaid, "svg": svg}
EVENT_DRAWINGS: Final[dict[str, Callable[[Any], str]]] = {"mermaid": event_mermaid, "svg": event_svg}
SUFFIXES: Final = ("", ".svg", ".mmd", ".md", ".txt")
RUN_FORMATS: Final = ("text", "svg")
# Where no terminal says how wide it is.
WIDTH: Final = 80


@click.command(cls=Command)
@click.argument("saga_name", metavar="[SAGA]", required=False)
@click.option("--run", metavar="ID|KEY", help="Draw this run in time: each attempt, each wait, forward and back.")
@click.option(
    "--from",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help="Draw a run from what `sagalog export` wrote; - is stdin.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("mermaid", "svg", "text")),
    help="[default: by the file's name, else mermaid, of a run text]",
)
@click.option(
    "--output", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write there."
)
@saga_option
@click.pass_obj
def graph(
    invocation: Invocation,
    saga_name: str | None,
    run: str | None,
    source: Any,
    form: str | None,
    target: Path | None,
    saga: str | None,
) -> None:
    """Draw a saga or a choreography, or one run in time.

    A definition is drawn as Mermaid or SVG, a run as text or SVG. A saga shows its steps, those side by side,
    conditions, the pivot, and what undoes what as dashed edges back.

    Of a choreography it shows which event leads to which, what undoes what, and the ends.

    Of a run (--run, or --from alone if the file holds one saga) it shows what happened when. That needs no app.
    """
    is_run = run is not None or source is not None
    if is_run == (saga_name is not None):
        raise click.UsageError(
            "name the saga that is to be drawn, or a run with --run ID|KEY", click.get_current_context()
        )
    if form is None and target is not None and target.suffix not in SUFFIXES:
        raise click.UsageError(
            f"expected a file that ends with {', '.join(SUFFIXES[1:])}, found {target.suffix}; or choose with --format",
            click.get_current_context(),
        )
    known = RUN_FORMATS if is_run else tuple(DRAWINGS)
    if form is None:
        form = "svg" if target is not None and target.suffix == ".svg" else known[0] if is_run else "mermaid"
    if form not in known:
        what = "a run" if is_run else "a saga's definition"
        raise click.UsageError(f"{what} is drawn as {' or '.join(known)}, not as {form}", click.get_current_context())
    text = _of_run(invocation, run, source, saga, form, target) if is_run else _of_saga(invocation, saga_name, form)
    if target is None:
        click.echo(text, nl=False, color=True)
        return
    target.write_text(text, "utf-8")
    note(f"wrote {target}")


def _of_saga(invocation: Invocation, name: str | None, form: str) -> str:
    assert name is not None
    definition = load_app(invocation).declared(name).definition
    if isinstance(definition, ChoreographyDefinition):
        return EVENT_DRAWINGS[form](event_chart_of(definition))
    return DRAWINGS[form](chart_of(definition))


def _of_run(
    invocation: Invocation, run: str | None, source: Any, saga: str | None, form: str, target: Path | None
) -> str:
    with histories(invocation, source) as found:
        saga_id, events = found.find(run, saga)
        chart = run_chart_of(saga_id, events, found.of)
    if form == "svg":
        return run_svg(chart)
    lines: list[Text] = run_text(chart, _width(), UNICODE if target is not None or _is_unicode() else ASCII)
    if target is not None:
        return "".join(f"{line.plain.rstrip()}\n" for line in lines)
    return "".join(f"{text}\n" for line in lines for text in drawn(line))


def _width() -> int:
    """Return the width of the terminal or of COLUMNS, so that the same picture is drawn in a pipe."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def _is_unicode() -> bool:
    """Tell whether stdout can take more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
