"""`sagalog amend`: replaces a value that later steps will read; the kernel decides."""

from typing import Any

import click
from msgspec import Raw

from sagalog.cli.acting import ActionCommand, Asked, Json, about, act, result_option, yes_option
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand)
@click.argument("step", metavar="[STEP]", required=False)
@result_option
@click.option("--input", "input_", type=Json(), metavar="JSON", help="The new input of the saga; without a step.")
@yes_option
@click.pass_obj
def amend(invocation: Invocation, /, step: str | None, result: Raw | None, input_: Raw | None, **given: Any) -> None:
    """Replace the result of a step, or the input.

    All that is begun from now on reads the new value. What was begun with the old one is listed first, and you are
    asked.
    """
    if (step is None) != (result is None) or (step is None) == (input_ is None):
        raise click.UsageError("give a step and its new --result, or, without a step, the new --input")
    if step is None:
        act(invocation, "amend", Asked(**given), {"input": input_})
    else:
        act(invocation, "amend", Asked(**given), about(step, result))
