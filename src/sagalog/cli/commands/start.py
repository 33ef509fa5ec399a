"""`sagalog start`: starts one saga for each line of JSON, streamed; a bad line is reported and stops no other."""

import asyncio
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import IO, Any, cast

import click
import msgspec

from sagalog.cli.address import address_of
from sagalog.cli.app import App, load_app
from sagalog.cli.counts import at_rest, write_counts
from sagalog.cli.encoding import NO_UTF8
from sagalog.cli.failures import FAILURE, OK, SAGA_ABANDONED, SAGA_FAILED, SAGA_STUCK, one_line
from sagalog.cli.lines import LONGEST, prefetched
from sagalog.cli.logs import keep_transitions_quiet
from sagalog.cli.options import Command, Invocation
from sagalog.cli.output import write
from sagalog.cli.progress import Advance, progress
from sagalog.engine.carrying import carrying
from sagalog.errors import InvalidIdentifier, InvalidInput, MissingKey, PayloadTooLarge, StoreError, StoreUnavailable
from sagalog.process_manager import ProcessManager, SagaRun
from sagalog.saga.callables import plain_answer
from sagalog.saga.declare import Saga
from sagalog.saga.failure import Redact, described, uncarried

AT_ONCE = 256
TRIES = 3
# Errors of a single line, not of the database or the program.
BAD_LINE = (InvalidInput, InvalidIdentifier, MissingKey, PayloadTooLarge)


class Starter:
    """Starts a saga for each line, several at once, and counts the results."""

    def __init__(
        self, process_manager: ProcessManager, saga: Saga[Any], key_field: str | None, redact: Redact | None
    ) -> None:
        self._process_manager = process_manager
        self._saga = saga
        self._key_field = key_field
        self._redact = redact
        self._room = asyncio.Semaphore(AT_ONCE)
        self.runs: list[SagaRun] = []
        self.keep_runs = False
        self.started = self.already_there = self.bad = 0

    async def all_of(self, source: IO[bytes], advance: Advance) -> None:
        """Start a saga for every line; raises `StoreError` when the database is gone, naming the line."""
        read = 0
        async with asyncio.TaskGroup() as group:
            async for number, line in prefetched(source):
                await self._room.acquire()
                group.create_task(self._one(number, line))
                read += len(line or b"")
                advance(read, f"{self.started:,} started")

    async def _one(self, number: int, line: bytes | None) -> None:
        try:
            value, key = self._read(line)
            run = await self._start(value, key)
        except BAD_LINE as problem:
            self.bad += 1
            click.echo(f"line {number}: {one_line(str(problem))}", err=True)
        except StoreError as problem:
            raise type(problem)(
                f"{problem}; stopped at line {number}: give the same input again, what is started is not started twice"
            ) from problem
        else:
            self.started += run.created
            self.already_there += not run.created
            if self.keep_runs:
                self.runs.append(run)
        finally:
            self._room.release()

    def _read(self, line: bytes | None) -> tuple[Any, str | None]:
        if line is None:
            raise InvalidInput(f"the line is longer than {LONGEST:,} bytes; store large data elsewhere")
        try:
            plain: object = msgspec.json.decode(line)
        except UnicodeDecodeError:
            raise InvalidInput(NO_UTF8) from None
        except (msgspec.MsgspecError, RecursionError) as problem:
            raise InvalidInput(f"this is not JSON: {problem}") from None
        value = self._saga.definition.input.accept(line)
        if self._key_field is None:
            return value, self._declared_key(value)
        found = cast("dict[str, object]", plain).get(self._key_field) if isinstance(plain, dict) else None
        if not isinstance(found, str | int) or isinstance(found, bool):
            raise MissingKey(f"expected a text or a whole number in the field {self._key_field!r} for the key")
        return value, str(found)

    def _declared_key(self, value: Any) -> str | None:
        declared = self._saga.definition.key
        try:
            return None if declared is None else plain_answer(carrying(declared, value), "the saga's key function")
        except Exception as problem:
            raise InvalidInput(
                f"the saga's key function raised {described(uncarried(problem), self._redact)}"
            ) from None

    async def _start(self, value: Any, key: str | None) -> SagaRun:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._process_manager.start(self._saga, value, key=key)
            except StoreUnavailable:
                # It is unknown whether the start was written; with its key it is safe to repeat.
                if attempt == TRIES:
                    raise
        raise AssertionError("the loop returns or raises")


@click.command(cls=Command)
@click.argument("saga")
@click.option("--input", "source", type=click.File("rb"), required=True, metavar="FILE", help="JSON Lines; - is stdin.")
@click.option(
    "--key", "key_field", metavar="FIELD", help="The field that holds the key.  [default: the saga's own key]"
)
@click.option("--wait", "waits", is_flag=True, help="Run them here too, and wait until each has ended or is stuck.")
@click.pass_context
def start(ctx: click.Context, saga: str, source: IO[bytes], key_field: str | None, waits: bool) -> None:
    """Start a saga for every line of JSON.

    A key that was used before is the same saga, so the same input may be given again. A bad line is reported with its
    number and the others go on; the exit code is then 1. With --wait it is 10 if a saga failed, 11 if one is stuck,
    and 12 if one was abandoned.
    """
    invocation = ctx.ensure_object(Invocation)
    address = address_of(invocation)
    app = load_app(invocation)
    try:
        ctx.exit(asyncio.run(_start(address, app, app.saga(saga), source, key_field, waits)))
    except* (StoreError, InvalidInput) as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[StoreError | InvalidInput]) -> BaseException:
    """Return one of several simultaneous errors: an unavailable database gives the same error for every line."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", first).exceptions[0]
    return first


async def _start(address: str, app: App, saga: Saga[Any], source: IO[bytes], key_field: str | None, waits: bool) -> int:
    keep_transitions_quiet()
    with ExitStack() as stack:
        services: Mapping[type, Any] = stack.enter_context(app.services()) if waits else {}
        process_manager = app.process_manager(address, services, worker=waits)
        async with process_manager:
            starter = Starter(process_manager, saga, key_field, app.redact)
            starter.keep_runs = waits
            with progress("Starting", _size(source)) as advance:
                try:
                    await starter.all_of(source, advance)
                finally:
                    _summary(starter)
            if not waits:
                return FAILURE if starter.bad else OK
            with progress("Running", len(starter.runs)) as advance:
                counts = await at_rest(starter.runs, advance)
    write_counts(counts)
    if starter.bad:
        return FAILURE
    codes = {"stuck": SAGA_STUCK, "abandoned": SAGA_ABANDONED, "failed": SAGA_FAILED}
    return next((code for status, code in codes.items() if counts[status]), OK)


def _size(source: IO[bytes]) -> float | None:
    """Return the size of a regular file in bytes, and None for a pipe."""
    try:
        found = os.fstat(source.fileno())
    except (OSError, ValueError):
        return None
    return float(found.st_size) if stat.S_ISREG(found.st_mode) else None


def _summary(starter: Starter) -> None:
    parts = [f"{starter.started:,} started", f"{starter.already_there:,} already there", f"{starter.bad:,} bad"]
    write(", ".join(parts))
    sys.stdout.flush()
