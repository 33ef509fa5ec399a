"""`sagalog resolve`: settles an outcome that nobody knows; the kernel decides."""

from typing import Any

import click
from msgspec import Raw

from sagalog.cli.acting import ActionCommand, Asked, about, act, result_option
from sagalog.cli.options import Invocation
from sagalog.saga.events import Direction


@click.command(cls=ActionCommand, many=True)
@click.argument("step", required=False)
@click.option("--happened", is_flag=True, help="It was done; an action has a --result then.")
@click.option("--did-not-happen", is_flag=True, help="It was not done, and never will be.")
@result_option
@click.option(
    "--of",
    "direction",
    type=click.Choice(("action", "compensation")),
    help="Which outcome.  [default: the compensation's, once that was tried]",
)
@click.pass_obj
def resolve(
    invocation: Invocation,
    /,
    step: str | None,
    happened: bool,
    did_not_happen: bool,
    result: Raw | None,
    direction: Direction | None,
    **given: Any,
) -> None:
    """Settle an outcome that nobody knows.

    A step, or its compensation, did or did not happen. What did not is refused: the saga goes back, and an undoing that
    did not happen is tried again.
    """
    if happened == did_not_happen:
        raise click.UsageError("say what you found out: --happened or --did-not-happen, one of them")
    if result is not None and not happened:
        raise click.UsageError("--result goes with --happened: what did not happen has no result")
    asked, step = Asked(**given).of_step(step)
    what = about(step, result)
    if direction is not None:
        what["direction"] = direction
    what["happened"] = happened
    act(invocation, "resolve", asked, what)
