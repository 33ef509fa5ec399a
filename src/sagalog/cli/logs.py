"""Where the library's log records go when the command line runs it; the records themselves are the engine's."""

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
    """The text of a record on one line. Other libraries' records are made as harmless as ours."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        text = f"{self.beginning(record)}{harmless(record.getMessage())}"
        below = _traceback(self, record)
        return text if below is None else f"{text}\n{textwrap.indent(harmless_lines(below), INDENT, lambda _: True)}"

    def beginning(self, record: logging.LogRecord) -> str:
        """Return what stands before the text."""
        return ""


class LineFormatter(TextFormatter):
    """One line a record: time, level, text."""

    def beginning(self, record: logging.LogRecord) -> str:
        """Return the time and the level."""
        return f"{moment(int(record.created * 1e6))} {record.levelname:<7} "


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
    """Write no line for each transition, message or attempt: a command that says what became of them has said it.

    Warnings are still written to stderr, those of other libraries too, by the handler that Python has for them.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(TextFormatter())
    for name in ("sagalog.transitions", "sagalog.messages", "sagalog.attempts"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
