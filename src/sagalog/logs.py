"""The library's loggers: each record is one line that cannot forge another one, and logging never raises.

Ids, names and texts of errors come from outside. They are made harmless in the record itself, before any handler sees
it, so that every formatter is safe. If a handler or a filter raises, this is reported on stderr, as `logging` does, and
the caller goes on. Packages that log call `make_records_harmless` when they are imported, so that declaring sagas loads
no logging. It imports nothing of sagalog but `harmless`.
"""

import contextlib
import logging
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

from sagalog.harmless import Lines, harmless, harmless_lines, is_plain

LOGGERS: Final = (
    "sagalog",
    "sagalog.attempts",
    "sagalog.cli",
    "sagalog.engine",
    "sagalog.messages",
    "sagalog.stores",
    "sagalog.transitions",
    "sagalog.transports",
)
LONGEST: Final = 10_000
# Continuation lines of a traceback are indented, so that they cannot look like a record.
INDENT: Final = "    "

_STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime"))
_tracebacks = logging.Formatter()


class HarmlessRecords(logging.Filter):
    """A filter that makes the contents of records harmless; every record passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record's text, arguments, traceback and added fields in place."""
        if isinstance(record.msg, str):
            record.msg = harmless(record.msg, LONGEST)
        if isinstance(record.args, Mapping):
            record.args = {name: _harmless(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(_harmless(value) for value in record.args)
        if record.exc_info and not record.exc_text:
            record.exc_text = _tracebacks.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = textwrap.indent(harmless_lines(record.exc_text), INDENT, lambda _: True)
        for name, value in vars(record).items():
            if name not in _STANDARD and isinstance(value, str) and not is_plain(value):
                setattr(record, name, _harmless(value))
        return True


def _harmless(value: object) -> Any:
    """Return an argument of a record in harmless form; numbers are kept, for `%d`."""
    if value is None or isinstance(value, int | float | Lines):
        return value
    return harmless(value if isinstance(value, str) else _said(value), LONGEST)


def _said(value: object) -> str:
    try:
        return str(value)
    except BaseException as problem:
        # The `__str__` of a foreign exception may raise, and logging it must not fail.
        return f"({type(value).__name__} cannot say what it is: {type(problem).__name__})"


class Handling:
    """Passes records to a logger's filters and handlers, and survives whatever they raise.

    A handler may, for instance, write to the very database whose outage is being logged.
    """

    def __init__(self, handle: Callable[[logging.LogRecord], None]) -> None:
        self._handle = handle

    def __call__(self, record: logging.LogRecord) -> None:
        """Pass on one record; errors are reported on stderr."""
        try:
            self._handle(record)
        except Exception:
            with contextlib.suppress(Exception):
                _STDERR.handleError(record)


def make_records_harmless() -> None:
    """Make all records of the library harmless, and their handling safe; calling it again changes nothing."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(_HARMLESS)
        if not isinstance(logger.handle, Handling):
            vars(logger)["handle"] = Handling(logger.handle)


_HARMLESS = HarmlessRecords()
_STDERR = logging.NullHandler()
