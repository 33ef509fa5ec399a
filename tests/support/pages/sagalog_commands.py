"""The command line as the tests of the documentation use it: parse a command, or run it in this process."""

import contextlib
import io
from collections.abc import Iterator, Sequence

import click

from sagalog.cli import main
from sagalog.cli.options import Invocation


def parse(words: Sequence[str]) -> None:
    """Parse a command line without running it; raises `click.ClickException` for what the command does not take."""
    rest = list(words)
    command: click.Command = main
    context: click.Context | None = None
    while True:
        context = command.make_context(command.name, rest, parent=context, obj=Invocation())
        if not isinstance(command, click.Group):
            return
        # Where click keeps the name of the command that comes next.
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"sagalog has no command {name}"
        command = found


def run(words: Sequence[str], fails: bool = False) -> str:
    """Run a command and return what it wrote; raises `AssertionError` if it failed, or did not although it `fails`."""
    # With bytes below the text, for commands that write bytes.
    written, complained = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(complained):
        try:
            main(list(words), "sagalog")
        except SystemExit as end:
            code = end.code
    assert fails == (code not in (0, None)), f"exit code {code}: {complained.getvalue()}"
    written.seek(0)
    return written.read()


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its full name, those in groups too."""

    def below(prefix: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            full = f"{prefix}{name}"
            yield full, command
            if isinstance(command, click.Group):
                yield from below(f"{full} ", command)

    yield from below("", main)
