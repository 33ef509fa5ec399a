"""Who acts, and why: the options of commands whose doing is recorded."""

import getpass

import click


def login() -> str:
    """Return the login name; raises `click.UsageError` if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("nobody is logged in by a name: say who decides with --actor") from None
