"""`sagalog jobs`: actions on many sagas, how they go, and their end; it runs none."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, get_args

import click

from sagalog.cli.address import address_of, require_file
from sagalog.cli.bulk import exit_as, looked_on
from sagalog.cli.jobs import COLUMNS, emit_job, job_record, say_job
from sagalog.cli.options import Invocation, RowsCommand
from sagalog.cli.output import write, write_json
from sagalog.cli.paging import after_option, emit_page, limit_option
from sagalog.cli.table import Column, status_text, table_of
from sagalog.process_manager import Job, ProcessManager
from sagalog.store.jobs import JobItemRow, JobItemStatus

_ITEMS: tuple[Column[JobItemRow], ...] = (
    Column("SAGA", lambda item: item.saga_id),
    Column("STATUS", lambda item: status_text(item.status)),
    Column("WHY", lambda item: item.text or "", narrows="cut"),
)
FoundT = TypeVar("FoundT")
# Of the sagas of a job, so many are shown to a person.
MOST_SHOWN = 20


@click.group("jobs", context_settings={"help_option_names": ["-h", "--help"]})
def jobs() -> None:
    """See, pause and stop actions on many sagas."""


@jobs.command("list", cls=RowsCommand)
@limit_option
@after_option("job")
@click.pass_obj
def list_jobs(invocation: Invocation, limit: int, after: str | None) -> None:
    """List jobs, newest first."""
    found = _with_manager(invocation, lambda manager: manager.jobs(limit + 1, after))
    emit_page(
        invocation,
        found,
        COLUMNS,
        job_record,
        limit=limit,
        command=("jobs", "list"),
        id_of=lambda job: job.row.job_id,
        nothing="no job was begun",
    )


@jobs.command("show", cls=RowsCommand)
@click.argument("job_id", metavar="ID")
@click.option("--status", type=click.Choice(get_args(JobItemStatus)), help="Its sagas with this status.")
@click.pass_obj
def show_job(invocation: Invocation, job_id: str, status: JobItemStatus | None) -> None:
    """Show a job, and its sagas that were refused or are stuck again."""
    job = _with_manager(invocation, lambda manager: manager.job(job_id))
    wanted: tuple[JobItemStatus, ...] = ("refused", "failed") if status is None else (status,)
    items = _with_manager(invocation, lambda manager: manager.job_items(job_id, wanted))
    shown = [{"saga_id": item.saga_id, "status": item.status, "text": item.text} for item in items]
    if invocation.output == "json":
        write_json({**job_record(job), "items": shown})
    elif invocation.output == "table":
        say_job(job)
        if items:
            write(table_of(items[:MOST_SHOWN], _ITEMS))
        if len(items) > MOST_SHOWN:
            write(f"and {len(items) - MOST_SHOWN} more")
    else:
        emit_job(invocation.output, job)


@jobs.command("watch", cls=RowsCommand)
@click.argument("job_id", metavar="ID")
@click.pass_obj
def watch_job(invocation: Invocation, job_id: str) -> None:
    """Look on until a job is over, stopped or paused; exit code 4 if it is stopped, or no saga went well."""

    async def watch(manager: ProcessManager) -> Job:
        return await looked_on(manager, await manager.job(job_id))

    job = _with_manager(invocation, watch)
    emit_job(invocation.output, job)
    exit_as(job)


@jobs.command("pause", cls=RowsCommand)
@click.argument("job_id", metavar="ID")
@click.pass_obj
def pause_job(invocation: Invocation, job_id: str) -> None:
    """Let a job rest; sagas that were acted on go on."""
    emit_job(invocation.output, _with_manager(invocation, lambda manager: manager.pause_job(job_id)))


@jobs.command("unpause", cls=RowsCommand)
@click.argument("job_id", metavar="ID")
@click.pass_obj
def unpause_job(invocation: Invocation, job_id: str) -> None:
    """Let a job that rests go on."""
    emit_job(invocation.output, _with_manager(invocation, lambda manager: manager.unpause_job(job_id)))


@jobs.command("stop", cls=RowsCommand)
@click.argument("job_id", metavar="ID")
@click.pass_obj
def stop_job(invocation: Invocation, job_id: str) -> None:
    """End a job; sagas that it has not acted on stay as they are."""
    emit_job(invocation.output, _with_manager(invocation, lambda manager: manager.stop_job(job_id)))


def _with_manager(invocation: Invocation, call: Callable[[ProcessManager], Coroutine[Any, Any, FoundT]]) -> FoundT:
    address = address_of(invocation)
    require_file(address)

    async def asked() -> FoundT:
        async with ProcessManager(address, worker=False) as manager:
            return await call(manager)

    return asyncio.run(asked())
