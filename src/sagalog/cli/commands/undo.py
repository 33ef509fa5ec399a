"""`sagalog undo`: rolls a completed saga back; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def undo(invocation: Invocation, /, **given: Any) -> None:
    """Roll back a saga that has completed.

    It is refused for a saga with a pivot, and for one that is a step of another saga: undo that one.
    """
    act(invocation, "undo", Asked(**given))
