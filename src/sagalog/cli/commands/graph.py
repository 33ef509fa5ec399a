"""`sagalog graph`: a saga or a choreography as a diagram; it needs the app and no database."""

from pathlib import Path

import click

from sagalog.cli.app import load_app
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import note
from sagalog.cli.pictures.chart import chart_of
from sagalog.cli.pictures.event_chart import event_chart_of, event_mermaid, event_svg
from sagalog.cli.pictures.mermaid import mermaid
from sagalog.cli.pictures.svg import svg
from sagalog.saga.choreography.definition import ChoreographyDefinition

DRAWINGS = {"mermaid": mermaid, "svg": svg}
EVENT_DRAWINGS = {"mermaid": event_mermaid, "svg": event_svg}


@click.command(cls=Command)
@click.argument("saga")
@click.option(
    "--format", "form", type=click.Choice(tuple(DRAWINGS)), help="[default: by the file's name, else mermaid]"
)
@click.option(
    "--output", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write there."
)
@click.pass_obj
def graph(invocation: Invocation, saga: str, form: str | None, target: Path | None) -> None:
    """Draw a saga or a choreography as Mermaid or SVG.

    Shows its steps, those side by side, conditions, the pivot, and what undoes what as dashed edges back.

    Of a choreography it shows which event leads to which, what undoes what, and the ends.
    """
    definition = load_app(invocation).declared(saga).definition
    if form is None:
        form = "svg" if target is not None and target.suffix == ".svg" else "mermaid"
    if isinstance(definition, ChoreographyDefinition):
        text = EVENT_DRAWINGS[form](event_chart_of(definition))
    else:
        text = DRAWINGS[form](chart_of(definition))
    if target is None:
        click.echo(text, nl=False)
        return
    target.write_text(text, "utf-8")
    note(f"wrote {target}")
