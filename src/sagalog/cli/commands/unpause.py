"""`sagalog unpause`: lets a paused saga go on; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def unpause(invocation: Invocation, /, **given: Any) -> None:
    """Let a paused saga go on."""
    act(invocation, "unpause", Asked(**given))
