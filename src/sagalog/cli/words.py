"""Writes a command line that can be pasted into a shell; it shows no secret."""

import os
import shlex
from pathlib import Path

from sagalog.address import as_meant, is_open
from sagalog.cli.options import Invocation


def command_line(invocation: Invocation, *command: str) -> str:
    """Return `sagalog ...` with the options that differ from the environment, quoted for a shell, without secrets."""
    words = ["sagalog"]
    if invocation.named_database is not None and invocation.database is not None:
        words += [
            "--db",
            shlex.quote(as_meant(invocation.database)) if is_open(invocation.database) else '"$SAGALOG_DB"',
        ]
    if invocation.app_dir != Path():
        words += ["--app-dir", shlex.quote(str(invocation.app_dir))]
    if invocation.app is not None and invocation.app != os.environ.get("SAGALOG_APP"):
        words += ["--app", shlex.quote(invocation.app)]
    return " ".join([*words, *map(shlex.quote, command)])
