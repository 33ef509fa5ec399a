"""`sagalog abandon`: ends a saga as it is, once it was told so; the kernel decides."""

from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act, yes_option
from sagalog.cli.options import Invocation


@click.command(cls=ActionCommand, many=True)
@yes_option
@click.pass_obj
def abandon(invocation: Invocation, /, **given: Any) -> None:
    """End a saga as it is, and leave its effects.

    It names each effect that is left, and asks. Sagas that are its steps end with it. The app is not needed; with it,
    steps that need no undoing are not named.
    """
    act(invocation, "abandon", Asked(**given))
