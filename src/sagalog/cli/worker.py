"""`sagalog run`: a worker process; what it does is the process manager's."""

import asyncio
import json
import logging
import sys
from typing import Any

import click

from sagalog.cli.failures import AppError
from sagalog.cli.options import Command, Invocation
from sagalog.cli.quantities import moment
from sagalog.process_manager import ProcessManager

LEVELS = ("debug", "info", "warning", "error")
FIELDS = (
    "saga_id",
    "saga_name",
    "saga_key",
    "saga_status",
    "transition",
    "step",
    "attempt",
    "correlation_id",
    "causation_id",
    "error_type",
)


class LineFormatter(logging.Formatter):
    """One line a record: time, level, text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        text = f"{moment(int(record.created * 1e6))} {record.levelname:<7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object a record, with the saga's fields beside the text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object on one line."""
        found: dict[str, Any] = {
            "time": moment(int(record.created * 1e6), "microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """Send the library's log records to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sagalog").setLevel(level.upper())


@click.command(cls=Command)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What is logged to stderr.")
@click.option("--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="How it is logged.")
@click.pass_obj
def run(invocation: Invocation, log_level: str, log_format: str) -> None:
    """Work until SIGTERM or Ctrl-C: run the sagas that are due.

    The signal stops claiming, lets running steps end, and gives the rest back; a second one ends the process at once.
    Any number of workers may run on one database.
    """
    address = invocation.address()
    app = invocation.load_app()
    if not app.sagas:
        raise AppError(f"the app {app.name} has no sagas to run: its list `sagas` is empty")
    log_to_stderr("debug" if invocation.debug else log_level, log_format)
    logger = logging.getLogger("sagalog.cli")
    with app.services() as services:
        process_manager = ProcessManager(address, sagas=app.sagas, services=services)
        names = ", ".join(f"{saga.name} version {saga.version}" for saga in app.sagas)
        logger.info("working on %s", names)
        asyncio.run(process_manager.run())
        logger.info("stopped; what is unfinished waits for the next worker")
