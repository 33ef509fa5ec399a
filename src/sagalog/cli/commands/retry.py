"""`sagalog retry`: tries at once what waits for its next attempt; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def retry(invocation: Invocation, /, **given: Any) -> None:
    """Try now what waits for its next attempt.

    What has failed for good gets a fresh budget of attempts; a stuck saga goes on.
    """
    act(invocation, "retry", Asked(**given))
