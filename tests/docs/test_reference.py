"""The reference says what the code says: commands, tables, settings, events and names. Neither may have more."""

import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
import msgspec
import pytest
from pages import sagalog_commands
from pages.pages import ROOT, Page, page, pages
from pages.transition_diagram import diagram

import sagalog
import sagalog.participant_kit
import sagalog.process_manager
from sagalog import errors
from sagalog.cli import app, failures, main
from sagalog.cli.acting import ActionCommand
from sagalog.cli.options import Command
from sagalog.participant_kit import ParticipantKit
from sagalog.process_manager import FollowContext, ProcessManager, SagaResult, SagaRun
from sagalog.saga.declare import Saga, Step
from sagalog.saga.events import EVENTS, ErrorInfo, SagaEvent
from sagalog.saga.happenings import HAPPENINGS
from sagalog.saga.messages.declare import RequestStep
from sagalog.settings import PREFIX, Settings
from sagalog.store.filters import AGES, BEFORE_ATTRIBUTES, FIELDS
from sagalog.store.where import parse
from sagalog.transports.faststream import FastStreamTransport

CODE = re.compile(r"`([^`]+)`")
COMMANDS = dict(sagalog_commands.every_command())


def first_cells(section: str) -> list[str]:
    """Return what stands in code style in the first column of the tables of a section."""
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in CODE.findall(re.split(r"(?<!\\)\|", row)[1])]


# ---------------------------------------------------------------------------------------------- command line

CLI = page("reference/cli.md")


def shown(option: str) -> str:
    """Return an option or argument as it is named, without what it takes."""
    return option.replace("\\|", "|").split(" ")[0]


def names_of(parameters: list[click.Parameter]) -> set[str]:
    found: set[str] = set()
    for parameter in parameters:
        if isinstance(parameter, click.Argument):
            found.add((parameter.metavar or str(parameter.name).upper()).strip("[]."))
        else:
            found.update(parameter.opts)
    return found


def own_parameters(command: click.Command) -> list[click.Parameter]:
    groups = command.groups if isinstance(command, Command) else []
    shared = [parameter for _, parameters in groups for parameter in parameters]
    return [parameter for parameter in command.params if parameter not in shared]


def test_every_command_is_documented_and_no_other() -> None:
    documented = {heading.removeprefix("sagalog ") for heading in CLI.headings if heading.startswith("sagalog ")}
    assert documented == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other(name: str) -> None:
    documented = {shown(option) for option in first_cells(CLI.section(f"sagalog {name}"))}
    assert documented == names_of(own_parameters(COMMANDS[name]))


def test_every_option_that_all_commands_have_is_documented_and_no_other() -> None:
    documented = {shown(option) for option in first_cells(CLI.section("Options of every command"))}
    assert documented == names_of(main.params) | {"-h", "--help"}


def test_every_option_that_all_actions_have_is_documented_and_no_other() -> None:
    for command in COMMANDS.values():
        if isinstance(command, ActionCommand):
            documented = {shown(option) for option in first_cells(CLI.section("Acting on a saga"))}
            assert documented == names_of(command.acting)


def test_every_option_of_actions_on_many_sagas_is_documented_and_no_other() -> None:
    many = [one for one in COMMANDS.values() if isinstance(one, ActionCommand) and one.on_many]
    documented = {shown(option) for option in first_cells(CLI.section("Acting on many sagas"))}
    for command in many:
        assert documented == names_of(command.on_many) | {"--yes"}
    acting = {name for name, one in COMMANDS.items() if isinstance(one, ActionCommand)}
    assert acting - {name for name, one in COMMANDS.items() if one in many} == {"amend", "fork"}


def test_every_name_that_an_app_is_asked_for_is_documented_and_no_other() -> None:
    asked = re.findall(r'''(?:module, |_declared\(|_call\()"(\w+)"''', inspect.getsource(app))
    documented = [name.partition("(")[0] for name in first_cells(CLI.section("The app"))]
    assert sorted(documented) == sorted(set(asked))


def test_every_exit_code_is_documented_and_no_other() -> None:
    documented = {int(row[0]) for row in CLI.rows("code")}
    assert documented == {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}


FILTERS = page("reference/filters.md")


def test_every_field_of_a_filter_is_documented_with_its_kind_and_no_other() -> None:
    documented = {row[0].strip("`"): row[1] for row in FILTERS.rows("field")}
    fields = {name: kind for name, (_, kind) in FIELDS.items()}
    assert documented == fields | dict.fromkeys(AGES, "length of time") | {f"{BEFORE_ATTRIBUTES}NAME": "attribute"}


def test_the_comparisons_of_every_kind_are_documented_and_no_other() -> None:
    """What the table says is read, and what it does not say is refused."""
    samples = {"text": ("key", "a"), "status": ("status", "stuck"), "number": ("run", "1")}
    samples |= {"time": ("ended", "2026-11-23"), "length of time": ("age", "1h30m"), "attribute": ("attribute.a", "1")}
    operators = ["=", "!=", "<", "<=", ">", ">=", "~", "!~", "in"]
    for kind, documented, _ in FILTERS.rows("kind"):
        allowed = operators if documented == "all of these" else CODE.findall(documented)
        field, value = samples.pop(kind)
        for operator in operators:
            text = f"{field} {operator} {f'({value})' if operator == 'in' else value}"
            if operator in allowed:
                parse(text, 0)
            else:
                with pytest.raises(errors.InvalidQuery, match="is compared by"):
                    parse(text, 0)
    assert not samples


# ---------------------------------------------------------------------------------------------- settings and events


def test_every_setting_is_documented_with_its_default_and_variable() -> None:
    rows = page("reference/settings.md").rows("field")
    documented = {row[0].strip("`"): (row[1].strip("`"), row[2].strip("`")) for row in rows}
    there = {
        name: (f"{field.default:g}" if isinstance(field.default, float) else str(field.default), PREFIX + name.upper())
        for name, field in Settings.model_fields.items()
    }
    assert documented == there


EVENT_PAGE = page("reference/events.md")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.__name__))
def test_every_field_of_an_event_is_documented_and_no_other(event: type[SagaEvent]) -> None:
    assert first_cells(EVENT_PAGE.section(event.__name__)) == [field.name for field in msgspec.structs.fields(event)]
    assert f"sagalog.{event.__name__}.1" == event.TOPIC, "then the page must say which number"


def test_every_event_is_documented_and_no_other() -> None:
    documented = [heading for heading in EVENT_PAGE.headings if heading not in ("Events", "Errors")]
    assert documented == [event.__name__ for event in EVENTS]


def test_the_fields_and_kinds_of_errors_are_documented_and_no_other() -> None:
    fields = msgspec.structs.fields(ErrorInfo)
    kinds = next(field.type.__args__ for field in fields if field.name == "kind")
    assert first_cells(EVENT_PAGE.section("Errors")) == [*[field.name for field in fields], *kinds]


def test_the_diagram_of_the_statuses_is_up_to_date() -> None:
    assert diagram() in page("concepts.md").text, "run tests/support/pages/transition_diagram.py"


# ---------------------------------------------------------------------------------------------- Python names

PYTHON = page("reference/python.md")
ANY_SAGA: Any = Saga
ANY_STEP: Any = Step
ANY_PARTICIPANT: Any = sagalog.Participant
ANY_REQUEST: Any = RequestStep
ANY_TRANSPORT: Any = FastStreamTransport
SIGNATURES: dict[str, Callable[..., Any]] = {
    "Saga": ANY_SAGA,
    "saga.step": ANY_SAGA.step,
    "step.compensate": ANY_STEP.compensate,
    "saga.request": ANY_SAGA.request,
    "request.compensate": ANY_REQUEST.compensate,
    "saga.wait_for": ANY_SAGA.wait_for,
    "saga.sleep": ANY_SAGA.sleep,
    "saga.started_by": ANY_SAGA.started_by,
    "saga.cancelled_by": ANY_SAGA.cancelled_by,
    "saga.child": ANY_SAGA.child,
    "saga.parallel": ANY_SAGA.parallel,
    "Choreography": sagalog.Choreography,
    "choreography.attributes_from": sagalog.Choreography.attributes_from,
    "Participant": ANY_PARTICIPANT,
    "participant.handles": ANY_PARTICIPANT.handles,
    "participant.on": ANY_PARTICIPANT.on,
    "Retry": sagalog.Retry,
    "ProcessManager": ProcessManager,
    **{f"manager.{name}": getattr(ProcessManager, name) for name in dir(ProcessManager) if not name.startswith("_")},
    "FastStreamTransport": ANY_TRANSPORT,
    "run.result": SagaRun.result,
    "run.status": SagaRun.status,
    "ParticipantKit": ParticipantKit,
    **{f"kit.{name}": getattr(ParticipantKit, name) for name in dir(ParticipantKit) if not name.startswith("_")},
}
# What only the library passes to itself.
INTERNAL = {"self", "drive"}


def signature_of(function: Callable[..., Any]) -> str:
    """Return the parameters of a function as the page writes them: no annotations, and defaults as a reader would."""
    parts: list[str] = []
    starred = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in INTERNAL:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        default = "" if parameter.default is parameter.empty else f"={written(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{default}")
    return ", ".join(parts)


def written(default: object) -> str:
    if isinstance(default, timedelta):
        return repr(default).removeprefix("datetime.")
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, sagalog.Retry):
        usual = sagalog.Retry()
        given = [f"{name}={getattr(default, name)!r}" for name in default.__struct_fields__]
        return f"Retry({', '.join(text for text in given if text not in repr(usual))})"
    return "<not given>" if type(default).__name__ in ("Unset", "UnsetType") else repr(default)


def documented_names() -> set[str]:
    return {name.split("(")[0] for heading in PYTHON.headings for name in CODE.findall(heading)}


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_signature_is_documented_as_it_is(name: str) -> None:
    headings = [written for heading in PYTHON.headings for written in CODE.findall(heading)]
    assert f"{name}({signature_of(SIGNATURES[name])})" in headings


def test_every_public_name_is_documented_and_no_other() -> None:
    public = {*sagalog.__all__, *sagalog.process_manager.__all__, *sagalog.participant_kit.__all__, Settings.__name__}
    error_names = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert documented_names() == (public - {"SagalogError"}) | set(SIGNATURES)
    assert set(first_cells(PYTHON.section("Errors"))) == error_names


def test_every_public_name_of_a_saga_and_a_step_is_documented() -> None:
    members = {f"saga.{name}" for name in dir(Saga) if not name.startswith("_")}
    members |= {f"step.{name}" for name in dir(Step) if not name.startswith("_")}
    assert {name for name in members if name not in PYTHON.text} == set()


@pytest.mark.parametrize("kind", [sagalog.MessageContext, sagalog.StepContext, SagaResult, FollowContext])
def test_every_field_of_a_value_is_documented_and_no_other(kind: type[msgspec.Struct]) -> None:
    properties = {name for name, member in vars(kind).items() if isinstance(member, property)}
    fields = {field.name for field in msgspec.structs.fields(kind)}
    assert set(first_cells(PYTHON.section(f"`{kind.__name__}`"))) == fields | properties


# ---------------------------------------------------------------------------------------------- projections


def test_every_event_that_projections_are_told_of_is_documented_with_its_fields() -> None:
    section = page("reference/projections.md").section("Events")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", section, re.MULTILINE)
    documented = {name: set(CODE.findall(fields)) for name, fields in rows}
    told = {kind.__name__: {field.name for field in msgspec.structs.fields(kind)} for kind in HAPPENINGS}
    assert documented == told


# ---------------------------------------------------------------------------------------------- architecture


LIBRARY = ROOT / "src" / "sagalog"
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+/")


def is_there(path: str) -> bool:
    return (ROOT / path).exists() or (LIBRARY / path).exists()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.name))
def test_every_path_that_a_page_names_is_there(page: Page) -> None:
    """A path is one of ours if its first folder is, of the repository or of the library."""
    paths = [path for span in CODE.findall(page.prose) for path in span.split() if PATH.fullmatch(path)]
    assert [path for path in paths if is_there(path.partition("/")[0]) and not is_there(path)] == []


@pytest.mark.parametrize(("name", "least"), [("architecture.md", 100), ("contributing.md", 30)])
def test_every_file_that_a_page_about_the_code_names_is_there(name: str, least: int) -> None:
    about: Page = page(name)
    files = [one for one in CODE.findall(about.prose) if re.fullmatch(r"[\w/.-]+(/|\.(py|sql|md|toml))", one)]
    assert len(files) > least
    # Where a table names a folder first, or any room, it goes on with a file of it.
    bare = {one for one in files if "/" not in one and not is_there(one) and name == "architecture.md"}
    assert [one for one in files if not is_there(one) and one not in bare] == []
    assert [one for one in bare if not [*LIBRARY.rglob(one)]] == []
