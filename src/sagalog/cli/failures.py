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
from sagalog.saga.failure import Redact, described, redacted

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 4
UNAVAILABLE: Final = 5
SAGA_FAILED: Final = 10
SAGA_STUCK: Final = 11
SAGA_ABANDONED: Final = 12
INTERRUPTED: Final = 130


class AppError(errors.SagalogError):
    """Raised when the app cannot be used; the text is redacted, and `redact` is applied to its cause."""

    def __init__(self, text: str, redact: Redact | None = None) -> None:
        super().__init__(text)
        self.redact = redact


class AppRaised(AppError):
    """Raised when a function of the app raised; an error of sagalog inside keeps its own text."""

    def __init__(self, what: str, problem: BaseException, redact: Redact | None) -> None:
        ours = isinstance(problem, errors.SagalogError)
        text = redacted(str(problem), redact) if ours else f"{what} raised {described(problem, redact)}"
        super().__init__(text, redact)
        self.problem = problem


class MisnamedApp(AppError):
    """Raised for a text that cannot be the name of an app."""


class NotThere(errors.SagalogError):
    """Raised when something named on the command line does not exist."""


class Unreadable(errors.SagalogError):
    """Raised when one of two that are to be compared cannot be read; that must not look like a difference."""


# The first matching class decides, so special ones come before general ones.
EXIT_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.SagaNotFound, NOT_FOUND),
    (errors.UnknownSaga, NOT_FOUND),
    (NotThere, NOT_FOUND),
    (FileNotFoundError, NOT_FOUND),
    (MisnamedApp, USAGE),
    (Unreadable, USAGE),
    (errors.InvalidSettings, USAGE),
    (errors.InvalidIdentifier, USAGE),
    (errors.InvalidQuery, USAGE),
    (errors.MissingKey, USAGE),
    (errors.QueryRefused, USAGE),
    (errors.InvalidAction, CONFLICT),
    (errors.SagaBusy, CONFLICT),
    (errors.StoreUnavailable, UNAVAILABLE),
    (errors.StoreUnfit, UNAVAILABLE),
    (errors.SchemaTooNew, UNAVAILABLE),
    (errors.SchemaTooOld, UNAVAILABLE),
)


def exit_code_of(problem: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(problem, AppRaised):
        problem = problem.problem
    for kind, code in EXIT_CODES:
        if isinstance(problem, kind):
            return code
    return FAILURE


def one_line(text: str) -> str:
    """Return the text on one line, abridged if it is long; of several listed mistakes the first is kept."""
    first, *listed = text.split("\n  - ")
    if listed:
        more = f" (and {len(listed) - 1} more; `sagalog check` lists them)" if len(listed) > 1 else ""
        text = f"{first} {listed[0]}{more}"
    return abridged(harmless(" ".join(text.split())))


def explain(problem: BaseException, secrets: Iterable[str] = (), redact: Redact | None = None) -> str:
    """Return an error as one line, with advice and without secrets.

    Texts of other libraries may repeat what they were given. So whatever looks like a secret is removed from them, and
    so is whatever the app's `redact` removes.
    """
    if isinstance(problem, click.UsageError):
        where = f"; see `{problem.ctx.command_path} --help`" if problem.ctx is not None else ""
        return one_line(masked(cut(problem.format_message(), secrets))).rstrip(".") + where
    if isinstance(problem, click.ClickException):
        return one_line(masked(cut(problem.format_message(), secrets)))
    if isinstance(problem, OSError) and problem.strerror:
        text = redacted(f"{problem.filename or 'the system'}: {problem.strerror}", redact)
        return one_line(masked(cut(text, secrets)))
    if isinstance(problem, AppError):
        # Its text repeats the app's, so it is redacted.
        theirs = isinstance(problem, AppRaised) and not isinstance(problem.problem, errors.SagalogError)
        return one_line(masked(cut(str(problem) + ("; --debug shows where" if theirs else ""), secrets)))
    if isinstance(problem, errors.SagalogError | errors.Refused):
        return one_line(cut(str(problem), secrets))
    return one_line(masked(cut(f"{described(problem, redact)}; --debug shows where", secrets)))


def report(problem: Exception, words: Sequence[str] = (), *, debug: bool = False, redact: Redact | None = None) -> int:
    """Write the error to stderr, with `debug` its traceback as well, and return the exit code.

    `words` are those of the command line: secrets among them are removed from the output. `redact` is the app's, if an
    app was loaded.
    """
    if isinstance(problem, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(problem, AppError) and problem.redact is not None:
        redact = problem.redact
    secrets = [*secrets_in(words), *secrets_of(os.environ.get("SAGALOG_DB", ""))]
    if debug and not isinstance(problem, click.ClickException):
        text = "".join(traceback.format_exception(problem))
        click.echo(harmless_lines(abridged(masked(cut(redacted(text, redact), secrets)), 100_000)), err=True, nl=False)
        if redact is None:
            return exit_code_of(problem)
        # After redaction nothing may be left of the traceback.
        click.echo(err=True)
    label = click.style("error:", fg="red", bold=True) if colours_wanted(sys.stderr) else "error:"
    click.echo(f"{label} {explain(problem, secrets, redact)}", err=True, color=True if "\x1b" in label else None)
    return problem.exit_code if isinstance(problem, click.ClickException) else exit_code_of(problem)
