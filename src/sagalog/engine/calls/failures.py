"""What is recorded and logged of an exception from foreign code: which outcome it is, and why."""

import asyncio
import logging
import traceback
from types import TracebackType
from typing import Any

from sagalog.engine.calls.call import NotBegun, Overdue, Stopped
from sagalog.engine.ending import is_told_to_end
from sagalog.errors import DefinitionError, InvalidInput, PayloadTooLarge, Refused
from sagalog.harmless import harmless, harmless_lines
from sagalog.saga.callables import question_mistake
from sagalog.saga.events import ErrorInfo, ErrorKind, error_from
from sagalog.saga.failure import Redact, is_a, leaves_of, mentioned, redacted, text_of, type_of, uncarried

logger = logging.getLogger("sagalog.attempts")

# Mistakes in a program. Undoing a thousand orders because of a misspelt name would only multiply the mistake.
FAULTS = (
    TypeError,
    NameError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    ImportError,
    PayloadTooLarge,
    InvalidInput,
)
# A traceback keeps its two ends, in characters: where it began, and what was raised.
LONGEST_HEAD = 4_000
LONGEST_TAIL = 12_000
MOST_FRAMES = 50
# Modules whose frames come before those of the handler in every traceback.
ENGINE = ("sagalog.engine", "concurrent.futures")


def check_redact(redact: object) -> None:
    """Raise `DefinitionError` for a `redact=` that cannot be called with a text."""
    if redact is not None and (wrong := question_mistake(redact, "a text", str)) is not None:
        raise DefinitionError(f"redact= {wrong}; let it return what may be kept of the text")


def raise_if_no_outcome(problem: BaseException) -> None:
    """Raise `problem` again if it is no outcome of an attempt: `NotBegun`, `Stopped`, or a cancellation by the engine.

    Any other cancellation is an error like others, whether by the handler itself or by other code.
    """
    if is_a(problem, (NotBegun, Stopped)) or (is_a(problem, asyncio.CancelledError) and is_told_to_end()):
        raise problem


class Failures:
    """Judges what the handlers of one process manager raise; `redact` removes secrets from texts."""

    def __init__(self, redact: Redact | None = None) -> None:
        self.redact = redact

    def error_of(self, problem: BaseException, what: str, timeout: str, prefix: str = "", **fields: Any) -> ErrorInfo:
        """Return what is recorded of an attempt that raised, and log its traceback.

        `what` names the attempt in the log. `timeout` is the error type of an overdue attempt, and `prefix` precedes
        its text. `fields` are added to the log record.
        """
        if is_a(problem, Overdue):
            return error_from("timeout", timeout, f"{prefix}{text_of(problem)}")
        kind, decisive, others = judged(problem)
        text = f"{text_of(decisive, self.redact)}{mentioned(others, self.redact)}"
        if kind == "refused":
            return error_from(kind, "Refused", text)
        error = error_from(kind, type_of(decisive), text)
        self._log(problem, what, error, fields)
        return error

    def fault_of(self, problem: BaseException, what: str, doing: str, **fields: Any) -> ErrorInfo:
        """Return what is recorded of a fault: an error that would come again until the program is mended."""
        _, decisive, others = judged(problem)
        text = f"in {doing}: {text_of(decisive, self.redact)}{mentioned(others, self.redact)}"
        error = error_from("fault", type_of(decisive), text)
        self._log(problem, what, error, fields)
        return error

    def _log(self, problem: BaseException, what: str, error: ErrorInfo, fields: dict[str, Any]) -> None:
        """Write one log record with the traceback of an exception, at the level that fits the error."""
        level = logging.ERROR if error.kind == "fault" else logging.WARNING
        if not logger.isEnabledFor(level):
            return
        said = "%s is at fault: %s: %s" if error.kind == "fault" else "%s failed: %s: %s"
        arguments = (what, error.type, harmless(error.message))
        record = logger.makeRecord(logger.name, level, __file__, 0, said, arguments, None, "_log", fields)
        # Given as text: a formatter that gets the exception would show what was redacted, or fail on its text.
        record.exc_text = traceback_of(uncarried(problem), self.redact)
        logger.handle(record)


def judged(problem: BaseException) -> tuple[ErrorKind, BaseException, list[BaseException]]:
    """Return which outcome an exception is, the exception that decides, and the others of its group.

    One fault in a group makes it a fault. A group is a refusal only if each of its exceptions is one: beside a
    refusal, something else may have been done.
    """
    leaves = leaves_of(problem)
    kind: ErrorKind = "error"
    decisive = next((one for one in leaves if is_a(one, FAULTS)), None)
    if decisive is not None:
        kind = "fault"
    else:
        decisive = next((one for one in leaves if not is_a(one, Refused)), None)
        if decisive is None:
            kind, decisive = "refused", leaves[0]
    return kind, decisive, [one for one in leaves if one is not decisive]


def traceback_of(problem: BaseException, redact: Redact | None = None) -> str:
    """Return the traceback of an exception and its causes as text: redacted, shortened, and harmless to show."""
    try:
        trace = _beyond_the_engine(problem.__traceback__)
        shown = traceback.TracebackException(type(problem), problem, trace, limit=-MOST_FRAMES, compact=True)
        text = "".join(shown.format()).rstrip()
    except BaseException as second:
        # Formatting asks exceptions for attributes of many kinds, any of which may be code.
        text = f"(the traceback of {type_of(problem)} cannot be shown: showing it raised {type_of(second)})"
    text = redacted(text, redact)
    if len(text) > LONGEST_HEAD + LONGEST_TAIL:
        text = f"{text[:LONGEST_HEAD]}\n[...]\n{text[-LONGEST_TAIL:]}"
    return harmless_lines(text)


def _beyond_the_engine(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame of users' code on; the frames of the engine say nothing new."""
    found = trace
    while found is not None and str(found.tb_frame.f_globals.get("__name__")).startswith(ENGINE):
        found = found.tb_next
    return trace if found is None else found
