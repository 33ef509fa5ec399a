"""`sagalog run`: a worker process; the process manager does the work."""

import asyncio
import logging

import click

from sagalog.cli.address import address_of
from sagalog.cli.app import load_app
from sagalog.cli.failures import AppError
from sagalog.cli.logs import LEVELS, log_to_stderr
from sagalog.cli.options import Command, Invocation
from sagalog.cli.worker_process import tune
from sagalog.process_manager import ProcessManager
from sagalog.process_manager.until_signalled import first_signal, opened_unless

logger = logging.getLogger("sagalog.cli")


@click.command(cls=Command)
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What is logged to stderr."
)
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="How it is logged."
)
@click.pass_obj
def run(invocation: Invocation, log_level: str, log_format: str) -> None:
    """Work until SIGTERM: run the sagas that are due.

    The messages of the app's participants are handled too.

    SIGTERM, or Ctrl-C, stops claiming, lets running steps end, and gives the rest back; a second one ends the process.
    Any number of workers may run on one database.
    """
    address = address_of(invocation)
    app = load_app(invocation)
    if not app.sagas and not app.participants and not app.choreographies:
        raise AppError(f"the app {app.name} has no sagas to run and no participants: its lists are empty")
    log_to_stderr("debug" if invocation.debug else log_level, log_format)
    with app.services() as services:
        process_manager = app.process_manager(address, services)
        names = ", ".join(
            [
                *(f"{saga.name} version {saga.version}" for saga in app.sagas),
                *(f"choreography {one.name} version {one.version}" for one in app.choreographies),
                *(f"participant {participant.name}" for participant in app.participants),
                *(f"projection {one.name} version {one.version}" for one in app.projections),
            ]
        )
        tune()
        asyncio.run(_work(process_manager, names))
        logger.info("stopped; what is unfinished waits for the next worker")


async def _work(process_manager: ProcessManager, names: str) -> None:
    """Work until a signal arrives, which may be while the database is being opened."""
    with first_signal() as stop:
        async with opened_unless(stop, process_manager) as is_open:
            if is_open:
                logger.info("working on %s", names)
            await stop.wait()
