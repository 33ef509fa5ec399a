"""Where log records of the library go when it is run from the command line; the engine writes the records."""

import json
import logging
import sys
import textwrap
from typing import Any

from sagalog.cli.quantities import moment
from sagalog.harmless import harmless, harmless_json, harmless_lines
from sagalog.logs import INDENT

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
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


class TextFormatter(logging.Formatter):
    """Formats a record as text on one line. Records of other libraries are made harmless, too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        text = f"{self.beginning(record)}{harmless(record.getMessage())}"
        below = _traceback(self, record)
        return text if below is None else f"{text}\n{textwrap.indent(harmless_lines(below), INDENT, lambda _: True)}"

    def beginning(self, record: logging.LogRecord) -> str:
        """Return what precedes the text: nothing here."""
        return ""


class LineFormatter(TextFormatter):
    """Formats a record as one line: time, level, text."""

    def beginning(self, record: logging.LogRecord) -> str:
        """Return the time and the level."""
        return f"{moment(int(record.created * 1e6))} {record.levelname:<7} "


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with the saga's fields beside the text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object on one line."""
        found: dict[str, Any] = {
            "time": moment(int(record.created * 1e6), "microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        below = _traceback(self, record)
        if below is not None:
            found["traceback"] = below
        return harmless_json(json.dumps(found, ensure_ascii=False))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    """Return the lines of a record's traceback; None if it has none."""
    if record.exc_text:
        return textwrap.dedent(record.exc_text)
    return formatter.formatException(record.exc_info) if record.exc_info else None


def log_to_stderr(level: str, form: str) -> None:
    """Send the library's log records to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sagalog").setLevel(level.upper())


def keep_transitions_quiet() -> None:
    """Silence the log lines for transitions, messages and attempts, for commands that print the outcome themselves.

    Warnings, those of other libraries included, are still written to stderr by Python's own handler.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(TextFormatter())
    for name in ("sagalog.transitions", "sagalog.messages", "sagalog.attempts"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
