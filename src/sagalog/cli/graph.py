"""`sagalog graph`: a saga as a diagram; it needs the app and no database."""

from pathlib import Path

import click

from sagalog.cli.chart import chart_of
from sagalog.cli.drawing import svg
from sagalog.cli.mermaid import mermaid
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import note

DRAWINGS = {"mermaid": mermaid, "svg": svg}


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
    """Draw a saga as Mermaid or SVG.

    Shows its steps, those side by side, conditions, the pivot, and what undoes what as dashed edges back.
    """
    definition = invocation.load_app().saga(saga).definition
    if form is None:
        form = "svg" if target is not None and target.suffix == ".svg" else "mermaid"
    text = DRAWINGS[form](chart_of(definition))
    if target is None:
        click.echo(text, nl=False)
        return
    target.write_text(text, "utf-8")
    note(f"wrote {target}")
