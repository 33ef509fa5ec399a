"""`sagalog resume`: lets a stuck saga go on; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def resume(invocation: Invocation, /, **given: Any) -> None:
    """Let a stuck saga go on where it stopped.

    What was done or undone is not repeated; what has failed for good gets a fresh budget of attempts.
    """
    act(invocation, "resume", Asked(**given))
