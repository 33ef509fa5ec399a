"""`sagalog demo`: runs the app's sample inputs on a database that is kept, and shows them."""

import asyncio
import hashlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sagalog.address import shown
from sagalog.cli.address import SqlStore, address_of, complete, opened, store_of
from sagalog.cli.app import App, load_app
from sagalog.cli.counts import at_rest, write_counts
from sagalog.cli.frames import Replayed, write_frames
from sagalog.cli.logs import keep_transitions_quiet
from sagalog.cli.lookup import every_saga, find, history
from sagalog.cli.one_saga import present
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import write
from sagalog.cli.progress import progress
from sagalog.cli.quantities import duration
from sagalog.cli.side_by_side import side_by_side
from sagalog.cli.table import rows_table
from sagalog.cli.tracing import tree_around
from sagalog.cli.words import command_line
from sagalog.codec import encode_json
from sagalog.errors import InvalidSettings, WaitTimeout
from sagalog.messages import Event, name_of
from sagalog.process_manager import ProcessManager
from sagalog.saga.declare import Saga
from sagalog.saga.transitions import AT_REST
from sagalog.store import StatusRow
from sagalog.stores import SQLITE, sqlite_path
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli.commands", "demo.sql")
LONGEST_SECONDS = 300.0


@click.command(cls=Command)
@click.pass_obj
def demo(invocation: Invocation) -> None:
    """Run the app's sample inputs on a new database and look at them.

    The database is a SQLite file that is left behind: --db FILE, or sagalog-demo-<time>.db in this folder. SAGALOG_DB
    is not used.
    """
    path = _path(invocation.named_database)
    app = load_app(invocation)
    environment, starts, beside = app.demo(path)
    os.environ.update(environment)
    invocation.database = invocation.named_database = str(path)
    write(Text.assemble("The database is ", (str(path), "bold"), "; it stays here when this ends."))
    for name, value in environment.items():
        write(f"The services keep their own tables in {value} ({name}).")
    write()
    began = time.monotonic()
    counts, again = asyncio.run(_run(address_of(invocation), app, starts))
    took = duration(int((time.monotonic() - began) * 1e6))
    write(f"{counts.total():,} sagas run in {took}" + (f", {again:,} of which were there already" if again else ""))
    write()
    write_counts(counts)
    with store_of(invocation) as store:
        rows = list(every_saga(store))
        undone = _most_telling(store, rows)
        if undone is not None:
            _tell(store, undone)
        if beside is not None:
            _compare(store, *(find(store, key) for key in beside))
    _look_further(invocation, rows, undone, environment)


def _path(named: str | None) -> Path:
    """Return the file of the demo; raises `InvalidSettings` for a database that is no SQLite file."""
    if named is None:
        return Path(time.strftime("sagalog-demo-%Y%m%d-%H%M%S.db"))
    address = complete(named)
    if not address.startswith(SQLITE):
        raise InvalidSettings(f"the demo works on a SQLite file of its own, such as --db demo.db; found {shown(named)}")
    return Path(sqlite_path(address))


async def _run(address: str, app: App, starts: Iterable[tuple[Saga[Any], Any] | Event]) -> tuple[Counter[str], int]:
    """Start everything, and wait until each saga has ended or is stuck."""
    keep_transitions_quiet()
    wanted = list(starts)
    events = {_message_id(one): one for one in wanted if isinstance(one, Event)}
    # The database belongs to the demo, so it is created whatever the settings say of migrations.
    with opened(address, migrate=True):
        pass
    with app.services() as services, progress("Running", len(wanted)) as advance:
        async with app.process_manager(address, services) as process_manager:
            before = await _begun(process_manager, events)
            for message_id, event in events.items():
                await process_manager.publish(event, id=message_id)
            runs = await asyncio.gather(*(process_manager.start(*one) for one in wanted if not isinstance(one, Event)))
            counts = await at_rest(runs, advance)
            for row in await _at_rest(process_manager, events):
                counts[row.status] += 1
    return counts, sum(not run.created for run in runs) + len(before)


def _message_id(event: Event) -> str:
    """Return the id of a sample event, the same each time, so that a second demo publishes nothing again."""
    text = name_of(type(event)).encode() + encode_json(event)
    return f"demo-{hashlib.sha256(text).hexdigest()[:32]}"


async def _begun(process_manager: ProcessManager, message_ids: Iterable[str]) -> list[StatusRow]:
    """Return the sagas that were begun by these messages."""
    ids = list(message_ids)
    return await asyncio.to_thread(process_manager.store.sagas_by_correlation, None, ids) if ids else []


async def _at_rest(process_manager: ProcessManager, events: Mapping[str, Event]) -> list[StatusRow]:
    """Wait until what the events have begun has ended or is stuck; raises `WaitTimeout` if it never does."""
    give_up = time.monotonic() + LONGEST_SECONDS
    while True:
        if time.monotonic() > give_up:
            raise WaitTimeout(
                f"what {len(events)} events began has not come to rest in {LONGEST_SECONDS:g} s; "
                "look at it with `sagalog list` and `sagalog unmatched list`"
            )
        rows = await _begun(process_manager, events)
        if len(rows) >= len(events) and all(row.status in AT_REST for row in rows):
            return rows
        await asyncio.sleep(process_manager.settings.poll)


def _most_telling(store: SqlStore, rows: list[StatusRow]) -> StatusRow | None:
    """Return the failed saga with the most to undo; among equals, the one with the shortest history."""
    failed = [row for row in rows if row.status == "failed"]

    def telling(row: StatusRow) -> tuple[int, int]:
        return -sum(step.direction == "compensation" for step in store.steps(row.saga_id)), row.version

    return min(failed, key=telling, default=None)


def _tell(store: SqlStore, row: StatusRow) -> None:
    _title("One saga that was undone, step by step")
    present("table", store, row)
    _title("Its replay: what each event changed")
    write_frames(Replayed(history(store, row.saga_id)), brief=True)
    _title("The same in SQL")
    sql = SQL["steps"].replace(":key", "'" + row.saga_key.replace("'", "''") + "'")
    write(sql, indent=2)
    write()
    write(rows_table(*store.query(sql)), indent=2)


def _compare(store: SqlStore, left: StatusRow, right: StatusRow) -> None:
    _title("The same order with a coordinator and without")
    write(side_by_side(store, left, right), indent=2)
    _title("What caused what, with nobody in charge")
    write(tree_around(store, right), indent=2)


def _look_further(
    invocation: Invocation, rows: list[StatusRow], undone: StatusRow | None, environment: Mapping[str, str]
) -> None:
    _title("Look further")
    stuck = next((row for row in rows if row.status == "stuck"), None)
    commands: list[tuple[str, tuple[str, ...]]] = []
    if stuck is not None:
        commands.append(("the one that needs a person", ("show", stuck.saga_key)))
    if undone is not None:
        commands.append(("every change of the saga above", ("replay", undone.saga_key)))
        commands.append(("what caused what", ("show", undone.saga_key, "--trace")))
        commands.append(("how it stood after three events", ("replay", undone.saga_key, "--at", "3")))
        commands.append(("all that were undone", ("list", "--status", "failed")))
    if rows:
        commands.append(("the saga as a diagram", ("graph", (undone or rows[-1]).saga_name)))
    commands.append(("queries that must return no row", ("audit",)))
    commands.append(("do the tables equal the log?", ("check",)))
    prefix = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
    for what, words in commands:
        write(Text(f"# {what}", style="dim"), indent=2)
        needs_services = words[0] == "check"
        write((prefix if needs_services else "") + command_line(invocation, *words), indent=2)


def _title(text: str) -> None:
    write()
    write(Text(text, style="bold"))
    write()
