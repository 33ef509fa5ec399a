"""`sagalog fork`: a new saga goes on from one that has ended; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, about, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand)
@click.argument("step")
@click.pass_obj
def fork(invocation: Invocation, /, step: str, **given: Any) -> None:
    """Start a new saga that goes on from one that has ended.

    It begins as if the steps before STEP had just succeeded, with the same key, as its next run. No step before may
    have been undone.
    """
    act(invocation, "fork", Asked(**given), about(step, None))
