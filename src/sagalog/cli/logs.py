"""Where the library's log records go when the command line runs it; the records themselves are the engine's."""

import json
import logging
import sys
from typing import Any

from sagalog.cli.quantities import moment

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


class LineFormatter(logging.Formatter):
    """One line a record: time, level, text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        text = f"{moment(int(record.created * 1e6))} {record.levelname:<7} {record.getMessage()}"
        below = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        return f"{text}\n{below}" if below else text


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
        if record.exc_text or record.exc_info:
            found["traceback"] = record.exc_text or self.formatException(record.exc_info or (None, None, None))
        return json.dumps(found, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """Send the library's log records to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sagalog").setLevel(level.upper())


def keep_transitions_quiet() -> None:
    """Write no line for each transition or message: a command that reports what became of them has said it already."""
    for name in ("sagalog.transitions", "sagalog.messages"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
