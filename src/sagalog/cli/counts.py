"""Sagas that were started: waiting until all are at rest, and counting them by status."""

import asyncio
from collections import Counter

from sagalog.cli.output import write
from sagalog.cli.progress import Advance
from sagalog.cli.table import Column, status_text, table_of
from sagalog.process_manager import SagaRun
from sagalog.saga.transitions import STATUSES


async def at_rest(runs: list[SagaRun], advance: Advance) -> Counter[str]:
    """Wait until every saga has ended or is stuck, and return the number of sagas by status."""
    counts: Counter[str] = Counter()
    waiting = [asyncio.ensure_future(run.result()) for run in runs]
    for result in asyncio.as_completed(waiting):
        counts[(await result).status] += 1
        advance(counts.total(), f"{counts.total():,} of {len(runs):,} sagas")
    return counts


def write_counts(counts: Counter[str]) -> None:
    """Write the number of sagas for each status."""
    columns: tuple[Column[tuple[str, int]], ...] = (
        Column("STATUS", lambda row: status_text(row[0])),
        Column("SAGAS", lambda row: f"{row[1]:,}", right=True),
    )
    rows: list[tuple[str, int]] = [(status, counts[status]) for status in STATUSES if counts[status]]
    write(table_of(rows, columns))
