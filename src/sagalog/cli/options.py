"""The options that every command takes, before or after its name, and their values; it imports only click."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from sagalog.saga.failure import Redact

FORMATS = ("table", "json", "jsonl", "csv")
Function = TypeVar("Function", bound=Callable[..., Any])


class Invocation:
    """The values of the global options."""

    def __init__(self) -> None:
        self.database: str | None = None
        self.named_database: str | None = None
        """The database if the command line itself names it, not the environment."""
        self.app_dir = Path()
        self.app: str | None = None
        self.named_app: str | None = None
        """The app if the command line itself names it, not the environment."""
        self.output = "table"
        self.debug = False
        self.redact: Redact | None = None
        """Removes from texts what must not be shown; the app's function, once the app is loaded."""


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        # An option left out after the command must not reset one given before it.
        if value is not None and value is not False:
            invocation = ctx.find_object(Invocation)
            assert invocation is not None
            setattr(invocation, field, value)
            if field == "database" and ctx.get_parameter_source("db") is ParameterSource.COMMANDLINE:
                invocation.named_database = value
            if field == "app" and ctx.get_parameter_source("app") is ParameterSource.COMMANDLINE:
                invocation.named_app = value

    return remember


def GLOBAL_OPTIONS(*, environment: bool) -> list[click.Parameter]:  # noqa: N802 - stands for a constant list
    """Return new options; only those before the command read the environment, so an explicit option always wins."""

    def option(name: str, field: str, **rest: Any) -> click.Option:
        return click.Option([name], expose_value=False, callback=_remember(field), **rest)

    return [
        option(
            "--db",
            "database",
            metavar="URL",
            envvar="SAGALOG_DB" if environment else None,
            help="The database: sqlite:///shop.db or postgresql://user@host/shop.  [env: SAGALOG_DB]",
        ),
        option(
            "--app-dir",
            "app_dir",
            metavar="FOLDER",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The folder that holds the app and its projections.  [default: .]",
        ),
        option(
            "--app",
            "app",
            metavar="PACKAGE",
            envvar="SAGALOG_APP" if environment else None,
            help="The package with `sagas` and `services()`.  [env: SAGALOG_APP; default: domain]",
        ),
        option("--debug", "debug", is_flag=True, is_eager=True, help="Show the traceback of an error."),
    ]


def OUTPUT_OPTION() -> click.Option:  # noqa: N802 - as above
    """Return a new `-o` option."""
    return click.Option(
        ["-o", "--output-format"],
        expose_value=False,
        callback=_remember("output"),
        type=click.Choice(FORMATS),
        help="How rows are written.  [default: table]",
    )


class Command(click.Command):
    """A command that also takes the global options, and lists them last in its help."""

    shows_rows = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared = [*([OUTPUT_OPTION()] if self.shows_rows else []), *GLOBAL_OPTIONS(environment=False)]
        self.own_count = len(self.params)
        self.params.extend(self.shared)
        # Options that several commands share, by the title under which the help lists them.
        self.groups: list[tuple[str, list[click.Parameter]]] = [("Options of every command", self.shared)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then those that it shares with others."""
        known = [param for _, params in self.groups for param in params]
        own = [param for param in self.get_params(ctx) if param not in known]
        for title, params in (("Options", own), *self.groups):
            records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class RowsCommand(Command):
    """A command that writes rows, in the format that `-o` chooses."""

    shows_rows = True


def colours_wanted(stream: Any) -> bool:
    """Tell whether a stream gets colours: only a terminal, and only if NO_COLOR is not set."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
