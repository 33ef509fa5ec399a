"""`sagalog pause`: lets a saga begin nothing new; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@click.pass_obj
def pause(invocation: Invocation, /, **given: Any) -> None:
    """Begin nothing new until `unpause`.

    Neither forward nor back. Attempts under way end, messages are taken, and time passes. The app is not needed.
    """
    act(invocation, "pause", Asked(**given))
