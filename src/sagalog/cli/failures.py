"""The one place where an error becomes a line on stderr and an exit code; it repairs nothing."""

import sys
from typing import Final

import click

from sagalog import errors
from sagalog.cli.options import colours_wanted

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 4
UNAVAILABLE: Final = 5
SAGA_FAILED: Final = 10
SAGA_STUCK: Final = 11
INTERRUPTED: Final = 130


class AppError(errors.SagalogError):
    """The app on the command line cannot be used."""


class NotThere(errors.SagalogError):
    """What was named on the command line does not exist."""


# The first class that fits decides, so the special ones stand before the general ones.
EXIT_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.SagaNotFound, NOT_FOUND),
    (errors.UnknownSaga, NOT_FOUND),
    (NotThere, NOT_FOUND),
    (FileNotFoundError, NOT_FOUND),
    (errors.InvalidSettings, USAGE),
    (errors.InvalidIdentifier, USAGE),
    (errors.MissingKey, USAGE),
    (errors.InvalidAction, CONFLICT),
    (errors.StoreUnavailable, UNAVAILABLE),
    (errors.StoreReadOnly, UNAVAILABLE),
    (errors.StoreUnfit, UNAVAILABLE),
    (errors.SchemaTooNew, UNAVAILABLE),
    (errors.SchemaTooOld, UNAVAILABLE),
)


def exit_code_of(problem: BaseException) -> int:
    """Return the exit code that stands for an error."""
    for kind, code in EXIT_CODES:
        if isinstance(problem, kind):
            return code
    return FAILURE


def one_line(text: str) -> str:
    """Return the text without line breaks and control characters; a listed mistake stays, others are counted."""
    first, *listed = text.split("\n  - ")
    if listed:
        more = f" (and {len(listed) - 1} more; `sagalog check` lists them)" if len(listed) > 1 else ""
        text = f"{first} {listed[0]}{more}"
    flat = " ".join(text.split())
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in flat)


def explain(problem: BaseException) -> str:
    """Return an error as one line, which says what to do."""
    if isinstance(problem, click.UsageError):
        where = f"; see `{problem.ctx.command_path} --help`" if problem.ctx is not None else ""
        return one_line(problem.format_message()).rstrip(".") + where
    if isinstance(problem, click.ClickException):
        return one_line(problem.format_message())
    if isinstance(problem, OSError) and problem.strerror:
        return one_line(f"{problem.filename or 'the system'}: {problem.strerror}")
    if isinstance(problem, errors.SagalogError | errors.Refused):
        return one_line(str(problem))
    return one_line(f"{type(problem).__name__}: {problem}; --debug shows where")


def report(problem: Exception) -> int:
    """Write the error to stderr and return the exit code."""
    if isinstance(problem, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    label = click.style("error:", fg="red", bold=True) if colours_wanted(sys.stderr) else "error:"
    click.echo(f"{label} {explain(problem)}", err=True, color=True if "\x1b" in label else None)
    return problem.exit_code if isinstance(problem, click.ClickException) else exit_code_of(problem)
