"""`sagalog skip`: a saga goes on as if a step had succeeded; the kernel decides."""

from typing import Any

import click
from msgspec import Raw

from sagalog.cli.acting import ActionCommand, Asked, about, act, result_option
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.argument("step", required=False)
@result_option
@click.option("--waive", is_flag=True, help="Never undo the step, because there is nothing to undo.")
@click.pass_obj
def skip(invocation: Invocation, /, step: str | None, result: Raw | None, waive: bool, **given: Any) -> None:
    """Go on as if a step had succeeded.

    Later steps read the given result. If the saga is rolled back later, the step is undone like any other, unless it is
    waived.
    """
    asked, step = Asked(**given).of_step(step)
    act(invocation, "skip", asked, about(step, result) | {"waive": waive})
