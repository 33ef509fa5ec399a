"""Every error of the library has an exit code, and is one line that says what to do."""

import inspect
import sys

import click
import pytest

from sagalog import errors
from sagalog.cli import main
from sagalog.cli.failures import EXIT_CODES, AppError, NotThere, exit_code_of, explain, one_line, report
from sagalog.harmless import CONTROLS


def an_error(kind: type[BaseException]) -> BaseException:
    return kind("it went wrong; do this")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.SagalogError, 1),
        (errors.DefinitionError, 1),
        (errors.InvalidInput, 1),
        (errors.WaitTimeout, 1),
        (errors.DivergentHistory, 1),
        (errors.ServiceNotProvided, 1),
        (AppError, 1),
        (RuntimeError, 1),
        (errors.InvalidSettings, 2),
        (errors.InvalidIdentifier, 2),
        (errors.InvalidQuery, 2),
        (errors.MissingKey, 2),
        (errors.SagaNotFound, 3),
        (errors.UnknownSaga, 3),
        (NotThere, 3),
        (errors.InvalidAction, 4),
        (errors.SagaBusy, 4),
        (errors.StoreUnavailable, 5),
        (errors.StoreFull, 5),
        (errors.StoreReadOnly, 5),
        (errors.SchemaTooNew, 5),
        (errors.SchemaTooOld, 5),
    ],
)
def test_an_error_has_the_exit_code_of_its_kind(kind: type[BaseException], code: int) -> None:
    assert exit_code_of(an_error(kind)) == code


@pytest.mark.parametrize(("kind", "code"), [(errors.StoreUnavailable, 5), (NotThere, 3), (errors.InvalidSettings, 2)])
def test_an_error_with_its_traceback_has_the_same_exit_code(
    kind: type[Exception], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = an_error(kind)
    assert isinstance(problem, Exception)
    for debug in (False, True):
        assert report(problem, debug=debug) == code
    assert "it went wrong; do this" in capsys.readouterr().err


def test_no_exit_code_is_hidden_by_a_more_general_one_before_it() -> None:
    seen: list[type[BaseException]] = []
    for kind, _ in EXIT_CODES:
        assert not any(issubclass(kind, other) for other in seen), kind
        seen.append(kind)


def test_every_error_of_the_library_can_be_explained_in_one_line() -> None:
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, Exception):
            assert explain(an_error(kind)) == "it went wrong; do this"


def test_of_a_list_of_mistakes_the_first_is_shown_and_the_others_are_counted() -> None:
    text = "saga 'x' is declared wrongly:\n  - a is missing\n  - b is missing\n  - c"
    assert one_line(text) == "saga 'x' is declared wrongly: a is missing (and 2 more; `sagalog check` lists them)"


def test_an_error_cannot_write_to_the_terminal_what_a_service_smuggled_in() -> None:
    assert one_line("bad\x1b[31m\x07 news\r\nhere") == "bad\\x1b[31m\\x07 news here"


def test_an_interruption_is_no_failure_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(click.Abort()) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("words", [["--help"], ["nope"], ["list", "--nope"]])
def test_whatever_its_file_is_called_a_command_line_calls_itself_sagalog(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/tmp/\x1b[2J\x9b\u202e", *words])
    with pytest.raises(SystemExit):
        main.main(words)
    written = "".join(capsys.readouterr())
    assert CONTROLS.search(written.replace("\n", "")) is None
    assert "sagalog" in written
