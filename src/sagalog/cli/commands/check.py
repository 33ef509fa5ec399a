"""`sagalog check`: whether the app, the database and its tables fit together; it only reads."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from sagalog.address import cut, masked, secrets_of
from sagalog.cli.address import store_of
from sagalog.cli.app import App, load_app
from sagalog.cli.failures import FAILURE, OK, MisnamedApp, NotThere, one_line
from sagalog.cli.log_comparison import compare_messages, compare_sagas
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit
from sagalog.cli.table import Column, status_text
from sagalog.errors import DefinitionError, SagalogError
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described


class Finding(NamedTuple):
    """What was checked, whether it is ok or wrong, and details."""

    check: str
    result: str
    detail: str


COLUMNS: tuple[Column[Finding], ...] = (
    Column("CHECK", lambda finding: finding.check),
    Column("RESULT", lambda finding: status_text(finding.result)),
    Column("DETAIL", lambda finding: finding.detail, narrows="wrap"),
)
# These errors concern the command line, not what is checked.
NOT_NAMED = (MisnamedApp, NotThere)


def _finding(what: str, wrong: bool, detail: str) -> Finding:
    return Finding(what, "wrong" if wrong else "ok", one_line(detail))


@click.command(cls=RowsCommand)
@click.option("--no-log", "quick", is_flag=True, help="Do not compare the tables with the log, which reads all of it.")
@click.pass_context
def check(ctx: click.Context, quick: bool) -> None:
    """Check the app, the database, and that the tables equal the log. The exit code is 1 if something is wrong.

    Without a database only the app is checked. An app that is named and not there is an error as for any command.
    """
    invocation = ctx.ensure_object(Invocation)
    rows: list[Finding] = []
    app = _attempt(rows, "app", lambda: load_app(invocation), () if invocation.app is None else NOT_NAMED)
    definitions = _check_app(rows, app) if app is not None else {}
    if invocation.database is not None:
        _check_database(rows, invocation, definitions, quick)
    # An exception of the app may repeat the address, so its secrets are removed.
    secrets = secrets_of(invocation.database or "")
    rows = [row._replace(detail=masked(cut(row.detail, secrets))) for row in rows]
    emit(invocation.output, rows, COLUMNS, Finding._asdict)
    ctx.exit(FAILURE if any(row.result != "ok" for row in rows) else OK)


def _attempt(rows: list[Finding], what: str, call: Callable[[], Any], told: tuple[type[Exception], ...] = ()) -> Any:
    """Return what `call` returns; an exception becomes a row, except those of `told`, which are raised."""
    try:
        return call()
    except told:
        raise
    except (SagalogError, OSError) as problem:
        rows.append(_finding(what, True, str(problem)))
        return None


def _check_app(rows: list[Finding], app: App) -> dict[str, Definition]:
    empty = not app.sagas and not app.participants and not app.choreographies
    rows.append(_finding("app", empty, f"{app.name} has no sagas" if empty else f"{app.name} in {app.folder}"))
    definitions: dict[str, Definition] = {}
    for saga in app.sagas:
        name = f"saga {saga.name} version {saga.version}"
        with _mistakes(rows, name):
            definition = saga.definition
            definitions[definition.digest] = definition
            rows.append(_finding(name, False, f"{len(definition.steps)} steps ({definition.digest})"))
    for choreography in app.choreographies:
        name = f"choreography {choreography.name} version {choreography.version}"
        with _mistakes(rows, name):
            followed = choreography.definition
            definitions[followed.digest] = followed
            events = len(followed.contract.events)
            rows.append(_finding(name, False, f"{events} events ({followed.digest})"))
    for participant in app.participants:
        name = f"participant {participant.name}"
        with _mistakes(rows, name):
            rows.append(_finding(name, False, f"takes {', '.join(participant.definition.handlers)}"))
    for projection in app.projections:
        name = f"projection {projection.name} version {projection.version}"
        with _mistakes(rows, name):
            projection.check()
            rows.append(_finding(name, False, f"makes {', '.join(projection.sql.shown)} ({projection.sql.digest})"))
    try:
        with app.services() as services:
            if all(row.result == "ok" for row in rows):
                app.process_manager("memory://", services, projections=False)
            rows.append(_finding("services", False, ", ".join(sorted(kind.__name__ for kind in services)) or "none"))
    except Exception as problem:
        text = str(problem) if isinstance(problem, SagalogError) else described(problem, app.redact)
        rows.append(_finding("services", True, text))
    return definitions


@contextmanager
def _mistakes(rows: list[Finding], name: str) -> Generator[None]:
    """Turn each mistake of a declaration into a row."""
    try:
        yield
    except DefinitionError as problem:
        _, *mistakes = str(problem).split("\n  - ")
        rows += [_finding(name, True, mistake) for mistake in mistakes]


def _check_database(
    rows: list[Finding], invocation: Invocation, definitions: dict[str, Definition], quick: bool
) -> None:
    try:
        with store_of(invocation) as store:
            rows.append(_finding("database", False, f"{store.name}, schema {store.schema_version()}"))
            unloaded = store.unloaded(list(definitions))
            for name, version, digest, count in unloaded:
                rows.append(
                    _finding(
                        "open sagas", True, f"{count:,} of {name} version {version} ({digest}), which is not loaded"
                    )
                )
            if not unloaded:
                rows.append(_finding("open sagas", False, "each has its definition"))
            if not quick:
                rows += [_finding(*one) for one in compare_sagas(store, definitions)]
                rows += [_finding(*one) for one in compare_messages(store)]
    except SagalogError as problem:
        rows.append(_finding("database", True, str(problem)))
