"""`sagalog cancel`: rolls a saga back that is under way; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def cancel(invocation: Invocation, /, **given: Any) -> None:
    """Roll a saga back: what it has done is undone.

    No step is begun any more, and attempts under way are waited for. It is refused once the saga's pivot is reached.
    """
    act(invocation, "cancel", Asked(**given))
