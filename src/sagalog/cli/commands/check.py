"""`sagalog check`: whether the app, the database and its tables fit together; it only reads."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from sagalog.address import cut, masked, secrets_of
from sagalog.cli.address import SqlStore, store_of
from sagalog.cli.app import App, load_app
from sagalog.cli.failures import FAILURE, OK, MisnamedApp, NotThere, one_line
from sagalog.cli.lookup import PAGE
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import emit
from sagalog.cli.progress import progress
from sagalog.cli.table import Column, status_text
from sagalog.codec import CODEC
from sagalog.errors import DefinitionError, SagalogError, StoreUnavailable
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.verification import differences, index_differences
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.store import StoredEvent
from sagalog.store.published import is_message_stream


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
MOST_SHOWN = 10
TRIES = 5


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
    try:
        with app.services() as services:
            if all(row.result == "ok" for row in rows):
                app.process_manager("memory://", services)
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
                rows += _check_log(store, definitions)
                rows += _check_messages(store)
    except SagalogError as problem:
        rows.append(_finding("database", True, str(problem)))


def _check_log(store: SqlStore, definitions: dict[str, Definition]) -> Iterator[Finding]:
    """Compare every saga's rows with its events."""
    sagas = untold = wrong = 0
    # Counted first, because a saga that starts meanwhile only adds to the log.
    rows_there = sum(count for _, _, count in store.counts())
    with progress("Comparing", None) as advance:
        for saga_id in _saga_ids(store):
            sagas += 1
            found = _compare(store, saga_id, definitions)
            if found is None:
                untold += 1
            elif found:
                wrong += 1
                if wrong <= MOST_SHOWN:
                    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                    yield _finding("tables equal log", True, f"saga {saga_id}: {found[0]}{more}")
            advance(sagas, f"{sagas:,} sagas")
    if wrong > MOST_SHOWN:
        yield _finding("tables equal log", True, f"and {wrong - MOST_SHOWN:,} more sagas")
    if rows_there > sagas:
        yield _finding("tables equal log", True, f"{rows_there:,} rows in saga_status, {sagas:,} sagas in the log")
    if not wrong:
        not_compared = f"; {untold:,} not compared, for their definition is not loaded" if untold else ""
        yield _finding("tables equal log", False, f"{sagas - untold:,} sagas compared{not_compared}")


def _check_messages(store: SqlStore) -> Iterator[Finding]:
    """Compare the index of messages with the log; yield nothing for a log without messages."""
    messages = wrong = 0
    for page in indexed_pages(store, PAGE):
        found = [one for one in store.read_messages(page.after, PAGE) if one[0] <= page.upto]
        messages += max(len(page.messages), len(found))
        # A message that is not in the log cannot be compared.
        readable = [one for one in found if one[0] not in page.damaged]
        for text in [*dict.fromkeys(page.damaged.values()), *index_differences(page.messages, readable)]:
            wrong += 1
            if wrong <= MOST_SHOWN:
                yield _finding("messages equal log", True, text)
    if wrong > MOST_SHOWN:
        yield _finding("messages equal log", True, f"and {wrong - MOST_SHOWN:,} more differences")
    if messages and not wrong:
        yield _finding("messages equal log", False, f"{messages:,} messages compared")


def _saga_ids(store: SqlStore) -> Iterator[str]:
    position = 0
    while events := store.read_log(position, PAGE):
        yield from (event.saga_id for event in events if event.version == 1 and not is_message_stream(event.saga_id))
        position = events[-1].position


def _compare(store: SqlStore, saga_id: str, definitions: dict[str, Definition]) -> list[str] | None:
    """Compare one saga; if it changes meanwhile, compare it again."""
    try:
        return _compared(store, saga_id, definitions)
    except StoreUnavailable:
        raise
    except Exception as problem:
        # Rows that cannot be read are reported, and the other sagas are still compared.
        return [described(problem)]


def _compared(store: SqlStore, saga_id: str, definitions: dict[str, Definition]) -> list[str] | None:
    found: list[str] | None = None
    for _ in range(TRIES):
        row, steps, events = store.status(saga_id), store.steps(saga_id), store.read(saga_id)
        commands, attributes = store.commands_of(saga_id), store.attributes([saga_id]).get(saga_id, [])
        if row is None:
            return ["saga_status: expected a row, found none"]
        again = store.status(saga_id)
        if again is None or again.version != row.version:
            continue
        if row.version == len(events):
            return _differences(row.definition, definitions, row, steps, commands, events, attributes)
        found = [f"saga_status.version: expected {len(events)}, found {row.version}"]
    return found


def _differences(
    digest: str,
    definitions: dict[str, Definition],
    row: Any,
    steps: Any,
    commands: Any,
    events: list[StoredEvent],
    attributes: Any,
) -> list[str] | None:
    try:
        decoded = CODEC.decode_all((event.topic, event.state) for event in events)
        return differences(definitions.get(digest), row, steps, commands, decoded, attributes)
    except SagalogError as problem:
        return [str(problem)]
