"""Actions on many sagas from a shell: how many are meant and which, a job for them, and how it goes until it is over.

A job is in the database, and a worker runs it; this command only begins it and looks on.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from sagalog.cli.address import address_of, require_file
from sagalog.cli.failures import CONFLICT, FAILURE
from sagalog.cli.jobs import emit_job
from sagalog.cli.logs import keep_transitions_quiet
from sagalog.cli.lookup import every_saga, filter_of
from sagalog.cli.one_saga import error_of
from sagalog.cli.options import Invocation
from sagalog.cli.output import note, write
from sagalog.cli.people import login
from sagalog.cli.progress import progress
from sagalog.cli.table import Column, plain, status_text, table_of
from sagalog.clock import SystemClock
from sagalog.errors import InvalidInput, SagaNotFound
from sagalog.process_manager import Job, ProcessManager
from sagalog.process_manager.acting import What
from sagalog.process_manager.bulk import CANARY, STOP_AFTER
from sagalog.saga.events import Verb
from sagalog.store import StatusRow

# So many of the sagas that are meant are shown, and so long a job is waited for before it is said that nobody runs it.
SAMPLE: Final = 5
PATIENCE: Final = 10.0
POLL: Final = 0.25
_SAMPLE: tuple[Column[StatusRow], ...] = (
    Column("SAGA", lambda row: row.saga_name),
    Column("KEY", lambda row: row.saga_key),
    Column("STATUS", lambda row: status_text(row.status)),
    Column("ERROR OR WAITING FOR", lambda row: error_of(row) or row.waiting_for or "", narrows="cut"),
)


class Rate(click.ParamType[float]):
    """So many sagas a second: `50/s`, or `50`; or a minute: `30/m`."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in sagas a second."""
        if isinstance(value, float):
            return value
        number, _, unit = str(value).partition("/")
        try:
            found = float(number) / {"": 1.0, "s": 1.0, "m": 60.0}[unit]
        except (ValueError, KeyError):
            found = 0.0
        if not 0 < found < 1e6:
            self.fail(f"expected so many sagas a second or a minute, such as 50/s or 30/m, found {value!r}", param, ctx)
        return found


def bulk_options() -> list[click.Parameter]:
    """Return the options of actions on many sagas."""

    def nothing() -> None: ...

    for decorate in reversed(
        (
            click.option("--where", metavar="FILTER", help="Every saga that meets it now, instead of ID|KEY."),
            click.option(
                "--canary",
                type=click.IntRange(0),
                default=CANARY,
                show_default=True,
                help="So many go first; the others when these have gone well.",
            ),
            click.option("--rate", type=Rate(), help="At most so many sagas a second: 50/s, 30/m.  [default: any]"),
            click.option(
                "--stop-after",
                type=click.IntRange(0),
                default=STOP_AFTER,
                show_default=True,
                help="Stop once more of them than this are stuck again.",
            ),
            click.option("--detach", is_flag=True, help="Begin the job, and do not look on until it is over."),
        )
    ):
        nothing = decorate(nothing)
    found: list[click.Parameter] = nothing.__dict__["__click_params__"]
    return found[::-1]


def act_on_many(
    invocation: Invocation, verb: Verb, where: str, reason: str, what: What, given: Mapping[str, Any]
) -> None:
    """Begin a job, or with --dry-run show which sagas it would be for; look on until it is over."""
    actor: str = login() if given["actor"] is None else given["actor"]
    address = address_of(invocation)
    require_file(address)
    keep_transitions_quiet()
    meant = filter_of(where, SystemClock().now())
    manager = ProcessManager(address, worker=False)
    number, sample = _count(manager, meant)
    if given["dry_run"] or invocation.output == "table":
        _show(verb, number, sample)
    if given["dry_run"]:
        note(
            f"nothing was written; `sagalog {verb} ID --dry-run` shows whether one of them allows it, and what follows"
        )
        return
    if not number:
        raise SagaNotFound(f"{verb}: no saga meets the filter {where}")
    if not given["yes"]:
        _ask(verb, number)
    options = {name: given[name] for name in ("canary", "rate", "stop_after")}
    job = asyncio.run(_job(manager, verb, where, what, actor, reason, options, looks_on=not given["detach"]))
    emit_job(invocation.output, job)
    exit_as(job)


def exit_as(job: Job) -> None:
    """End with the exit code of a conflict if a job was stopped, or if it is over and none of its sagas went well."""
    if job.row.status == "stopped" or (job.row.status == "done" and not job.counts.get("well")):
        click.get_current_context().exit(CONFLICT)


def _count(manager: ProcessManager, meant: Any) -> tuple[int, list[StatusRow]]:
    """Return how many sagas are meant, and some of them."""
    store = manager.store
    store.open()
    try:
        number, sample = 0, list[StatusRow]()
        for row in every_saga(store, meant):
            number += 1
            if number <= SAMPLE:
                sample.append(row)
        return number, sample
    finally:
        store.close()


def _show(verb: Verb, number: int, sample: list[StatusRow]) -> None:
    write(f"{verb}: {number} sagas meet the filter{', such as' if number > len(sample) else ''}")
    if sample:
        write(table_of(sample, _SAMPLE))


def _ask(verb: Verb, number: int) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{verb} of many sagas asks before it is done, and there is no terminal: add --yes")
    if not click.confirm(f"{verb} {number} sagas?", err=True):
        click.echo("nothing was done", err=True)
        click.get_current_context().exit(FAILURE)


async def _job(
    manager: ProcessManager,
    verb: Verb,
    where: str,
    what: What,
    actor: str,
    reason: str,
    options: dict[str, Any],
    looks_on: bool,
) -> Job:
    async with manager:
        try:
            job = await manager.begin_job(verb, where, actor=actor, reason=reason, **options, **what)
        except InvalidInput as problem:
            raise click.UsageError(str(problem)) from None
        note(f"job {plain(job.row.job_id)}; `sagalog jobs show {plain(job.row.job_id)}` shows how it goes")
        return await looked_on(manager, job) if looks_on else job


async def looked_on(manager: ProcessManager, job: Job) -> Job:
    """Look on until a job is over, stopped, or paused; say so if nobody runs it, and if the person looks away."""
    try:
        return await _looked_on(manager, job)
    except asyncio.CancelledError:
        job_id = plain(job.row.job_id)
        note(f"the job goes on: `sagalog jobs watch {job_id}` looks on, `sagalog jobs stop {job_id}` ends it")
        raise


async def _looked_on(manager: ProcessManager, job: Job) -> Job:
    waited = 0.0
    with progress(f"{job.row.verb} {job.row.sagas} sagas", job.row.sagas) as advance:
        while job.row.status in ("preparing", "running"):
            await asyncio.sleep(POLL)
            job = await manager.job(job.row.job_id)
            counts = job.counts
            advance(
                job.row.sagas - counts.get("pending", 0) - counts.get("acted", 0),
                ", ".join(f"{number} {status}" for status, number in sorted(counts.items())),
            )
            waited = waited + POLL if job.row.owner is None else 0.0
            if waited == PATIENCE and job.row.status == "preparing":
                note("its sagas are still being listed; if the process that began it has ended, stop it and begin anew")
            elif waited == PATIENCE:
                note("no worker runs this job yet; one does as soon as there is one: sagalog run")
    return job
