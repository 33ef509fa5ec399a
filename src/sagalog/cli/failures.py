"""The one place where an error becomes a line on stderr and an exit code; it repairs nothing."""

import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Final

import click

from sagalog import errors
from sagalog.address import cut, masked, secrets_in, secrets_of
from sagalog.cli.options import colours_wanted
from sagalog.harmless import abridged, harmless, harmless_lines
from sagalog.saga.failure import described

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
    (errors.InvalidQuery, USAGE),
    (errors.MissingKey, USAGE),
    (errors.InvalidAction, CONFLICT),
    (errors.StoreUnavailable, UNAVAILABLE),
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
    """Return the text on one line that is no longer than a screen; a listed mistake stays, others are counted."""
    first, *listed = text.split("\n  - ")
    if listed:
        more = f" (and {len(listed) - 1} more; `sagalog check` lists them)" if len(listed) > 1 else ""
        text = f"{first} {listed[0]}{more}"
    return abridged(harmless(" ".join(text.split())))


def explain(problem: BaseException, secrets: Iterable[str] = ()) -> str:
    """Return an error as one line, which says what to do and holds no secret.

    The texts of others repeat what they were given, so whatever looks like a secret is left out of them.
    """
    if isinstance(problem, click.UsageError):
        where = f"; see `{problem.ctx.command_path} --help`" if problem.ctx is not None else ""
        return one_line(masked(cut(problem.format_message(), secrets))).rstrip(".") + where
    if isinstance(problem, click.ClickException):
        return one_line(masked(cut(problem.format_message(), secrets)))
    if isinstance(problem, OSError) and problem.strerror:
        return one_line(masked(cut(f"{problem.filename or 'the system'}: {problem.strerror}", secrets)))
    if isinstance(problem, AppError):
        # It repeats what the app has said.
        return one_line(masked(cut(str(problem), secrets)))
    if isinstance(problem, errors.SagalogError | errors.Refused):
        return one_line(cut(str(problem), secrets))
    return one_line(masked(cut(f"{described(problem)}; --debug shows where", secrets)))


def report(problem: Exception, words: Sequence[str] = (), *, debug: bool = False) -> int:
    """Write the error to stderr, with `debug` where it came from, and return the exit code.

    `words` are those of the command line: no secret among them is written, whoever repeats it.
    """
    if isinstance(problem, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    secrets = [*secrets_in(words), *secrets_of(os.environ.get("SAGALOG_DB", ""))]
    if debug and not isinstance(problem, click.ClickException):
        text = "".join(traceback.format_exception(problem))
        click.echo(harmless_lines(abridged(masked(cut(text, secrets)), 100_000)), err=True, nl=False)
        return FAILURE
    label = click.style("error:", fg="red", bold=True) if colours_wanted(sys.stderr) else "error:"
    click.echo(f"{label} {explain(problem, secrets)}", err=True, color=True if "\x1b" in label else None)
    return problem.exit_code if isinstance(problem, click.ClickException) else exit_code_of(problem)
