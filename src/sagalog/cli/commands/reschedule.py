"""`sagalog reschedule`: moves the time that a saga waits for; the kernel decides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sagalog.cli.acting import ActionCommand, Asked, act
from sagalog.cli.options import Invocation
from sagalog.cli.quantities import Age, Time
from sagalog.process_manager.acting import What


@click.command(cls=ActionCommand, many=True)
@click.option("--at", type=Time(), help="The new time, such as 2026-03-01T09:30+01:00; local without an offset.")
@click.option("--in", "within", type=Age(), metavar="DURATION", help="From now: 30s, 10m, 2h, 1d12h; 0s is now.")
@click.option("--step", metavar="STEP", help="The time of this step: its retry or timer.")
@click.option("--deadline", is_flag=True, help="The deadline of the saga.")
@click.pass_obj
def reschedule(
    invocation: Invocation, /, at: int | None, within: int | None, step: str | None, deadline: bool, **given: Any
) -> None:
    """Move the time that a saga waits for.

    It is the time of a retry, of a timer, or the deadline. If it waits for several, --step or --deadline says which
    one is meant. The app is not needed.
    """
    if (at is None) == (within is None):
        raise click.UsageError("say when: --at TIME or --in DURATION, one of them")
    if step is not None and deadline:
        raise click.UsageError("--step and --deadline are two times: give one of them")
    what: What = {"at": _moment(at, within), "deadline": deadline}
    if step is not None:
        what["step"] = step
    act(invocation, "reschedule", Asked(**given), what)


def _moment(at: int | None, within: int | None) -> datetime | timedelta:
    """Return a time, or a duration from now, given in microseconds."""
    if within is not None:
        return timedelta(microseconds=within)
    assert at is not None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
