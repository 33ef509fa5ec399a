"""The command line: it names every command and loads each only when it is used. It must import nothing but click."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from sagalog.cli.options import GLOBAL_OPTIONS, OUTPUT_OPTION, Invocation

# Section -> command -> (its function, short help). A command's module has the command's name. The help is here so that
# `--help` imports no command.
COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Run sagas": {
        "demo": ("demo", "Run the app's sample inputs on a new database and look at them."),
        "run": ("run", "Work until SIGTERM: run the sagas that are due."),
        "start": ("start", "Start a saga for every line of JSON."),
        "wait": ("wait", "Wait until a saga has ended or is stuck."),
    },
    "Look at sagas": {
        "list": ("list_sagas", "List sagas, newest first."),
        "show": ("show", "Show where a saga stands, step by step."),
        "history": ("history", "Show every event of a saga."),
        "replay": ("replay", "Replay a saga: what each event changed, to any moment."),
        "diff": ("diff", "Show what differs between two sagas, or two moments of one."),
        "export": ("export", "Write histories as JSON Lines."),
        "sql": ("sql", "Run a query of yours, which can only read."),
    },
    "Act on a saga": {
        "cancel": ("cancel", "Roll a saga back: what it has done is undone."),
        "retry": ("retry", "Try now what waits for its next attempt."),
        "resume": ("resume", "Let a stuck saga go on where it stopped."),
        "skip": ("skip", "Go on as if a step had succeeded."),
        "resolve": ("resolve", "Settle an outcome that nobody knows."),
        "amend": ("amend", "Replace the result of a step, or the input."),
        "reschedule": ("reschedule", "Move the time that a saga waits for."),
        "pause": ("pause", "Begin nothing new until `unpause`."),
        "unpause": ("unpause", "Let a paused saga go on."),
        "undo": ("undo", "Roll back a saga that has completed."),
        "abandon": ("abandon", "End a saga as it is, and leave its effects."),
        "fork": ("fork", "Start a new saga that goes on from one that has ended."),
        "jobs": ("jobs", "See, pause and stop actions on many sagas."),
    },
    "Look after read models": {
        "projections": ("projections", "See how far projections are; rebuild, verify, switch, pause."),
    },
    "Look after messages": {
        "unmatched": ("unmatched", "See messages that nobody could take; redeliver or discard them."),
    },
    "Check": {
        "audit": ("audit", "Run the app's audit queries, which must return no row."),
        "check": ("check", "Check the app, the database, and that the tables equal the log."),
        "graph": ("graph", "Draw a saga or a choreography, or one run in time."),
        "db": ("database", "Upgrade the database and see its schema."),
    },
}


class SagalogGroup(click.Group):
    """The group of all commands: loads a command when it is used, and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        for section in COMMANDS.values():
            if cmd_name in section:
                function, _ = section[cmd_name]
                command: click.Command = getattr(import_module(f"sagalog.cli.commands.{cmd_name}"), function)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without importing them."""
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()], col_max=20)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 unavailable."""
        invocation = Invocation()
        try:
            code = super().main(
                args,
                # Always "sagalog", because the program file may have any name.
                prog_name or "sagalog",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=invocation,
                **extra,
            )
        except Exception as problem:
            from sagalog.cli.failures import report

            code = report(
                problem, sys.argv[1:] if args is None else args, debug=invocation.debug, redact=invocation.redact
            )
        sys.exit(code if isinstance(code, int) else 0)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"sagalog {version('sagalog')}")
        except PackageNotFoundError:
            click.echo("sagalog, run from its sources without being installed")
        ctx.exit()


@click.group(
    cls=SagalogGroup,
    params=[*GLOBAL_OPTIONS(environment=True), OUTPUT_OPTION()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`sagalog COMMAND --help` says more. The options above may also stand behind the command.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def main() -> None:
    """Run long transactions that either finish or are undone, and see where each of them stands."""
