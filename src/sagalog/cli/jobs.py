"""Bulk jobs as rows: for people and for machines."""

from typing import Any

from sagalog.cli.output import emit, write_fields, write_json
from sagalog.cli.quantities import moment
from sagalog.cli.table import Column, plain, status_text
from sagalog.process_manager import Job
from sagalog.store.jobs import JOB_ITEM_STATUSES


def counts_of(job: Job) -> str:
    """Return how many sagas of a job are where, in words."""
    known = [(job.counts.get(status, 0), status) for status in JOB_ITEM_STATUSES]
    return ", ".join(f"{number} {status}" for number, status in known if number) or "none"


COLUMNS: tuple[Column[Job], ...] = (
    Column("ID", lambda job: job.row.job_id, style="dim"),
    Column("ACTION", lambda job: job.row.verb),
    Column("STATUS", lambda job: status_text(job.row.status)),
    Column("SAGAS", lambda job: str(job.row.sagas), right=True),
    Column("DONE", counts_of),
    Column("BEGUN", lambda job: moment(job.row.created_at, "seconds"), spare=1),
    Column("BY", lambda job: job.row.actor, spare=2),
    Column("FILTER", lambda job: job.row.filter, narrows="cut"),
)


def job_record(job: Job) -> dict[str, Any]:
    """Return a job for machines."""
    row = job.row
    return {
        "job_id": row.job_id,
        "verb": row.verb,
        "filter": row.filter,
        "actor": row.actor,
        "reason": row.reason,
        "status": row.status,
        "why": row.why,
        "canary": row.canary,
        "rate": row.rate,
        "stop_after": row.stop_after,
        "sagas": row.sagas,
        "counts": {status: job.counts.get(status, 0) for status in JOB_ITEM_STATUSES},
        "created_at": moment(row.created_at, "microseconds"),
        "updated_at": moment(row.updated_at, "microseconds"),
        "owner": row.owner,
    }


def emit_job(output: str, job: Job) -> None:
    """Write one job, for a person or for machines."""
    if output == "table":
        say_job(job)
    elif output == "json":
        write_json(job_record(job))
    else:
        emit(output, [job], COLUMNS, job_record)


def say_job(job: Job) -> None:
    """Write a job for a person."""
    row = job.row
    lines = [
        ("job", plain(row.job_id)),
        ("action", f"{row.verb} by {plain(row.actor)}: {plain(row.reason)}"),
        ("sagas", f"{row.sagas} where {plain(row.filter)}"),
        ("status", status_text(row.status)),
        ("so far", counts_of(job)),
    ]
    if row.why:
        lines.append(("why", plain(row.why)))
    write_fields(lines)
