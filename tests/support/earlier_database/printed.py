"""What the command line prints of the recorded sagas, one command after the other; it changes nothing."""

import json
import os
import re
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from earlier_database.recorded import fields_in, text_of
from pages.command_line import Ran, sagalog

from sagalog.store import CommandRow, StatusRow, StepRow

KEYS = (
    "order-completed",
    "order-retried",
    "order-refused-beside",
    "order-unknown",
    "order-stuck-undoing",
    "order-resumed",
    "parcels-partly-undone",
    "trip-child-undone",
    "delivery-late",
    "delivery-given-up",
    "return-sleeping",
    "inquiry-answered",
    "purchase-failed",
)
OF_A_SAGA = (("show",), ("history",), ("replay",), ("replay", "--at", "2"))
OF_ALL = (
    # How long an open saga takes grows while the years pass: of those only what machines read.
    ("list", "--status", "completed", "--status", "failed"),
    ("list", "--status", "stuck", "-o", "jsonl"),
    ("unmatched", "list"),
    ("show", "order-stuck-undoing", "--trace"),
    ("show", "trip-child-undone", "--trace"),
    ("show", "delivery-undone", "-o", "json"),
    ("history", "delivery-undone", "-o", "jsonl"),
    ("replay", "order-refused", "-o", "jsonl"),
    ("replay", "delivery-retrying", "-o", "json"),
    ("export", "trip-completed", "parcels-refused"),
    ("db", "consumers"),
)
FROM_NOW = re.compile(r"(\d+ (d|h|m|s|ms) ?)+ago|in \d+ d \d\d h")


def with_app(address: str, *words: str) -> Ran:
    """Run a command on a database, by the earlier app."""
    return sagalog(
        "--app-dir", str(Path(__file__).parent.parent), "--app", "earlier_database.app", "--db", address, *words
    )


def printed_of(address: str) -> str:
    """Return each command with what it prints, in UTC, and without how far from now that is."""
    commands = [(first, key, *rest) for key in KEYS for first, *rest in OF_A_SAGA] + list(OF_ALL)
    found: list[str] = []
    with in_utc():
        for words in commands:
            ran = with_app(address, *words)
            assert ran.code == 0, ran
            out = _as_then(ran.out) if words[-1].startswith("json") and words[0] in ("list", "show") else ran.out
            shown = FROM_NOW.sub("some time from now", out + ran.err)
            found.append(f"$ sagalog {' '.join(words)}\n{shown}")
    return "\n".join(found)


def known_then(text: str) -> list[str]:
    """Return the lines without what is said since: what a person may do or has done, and who paused a saga."""
    found: list[str] = []
    of_actions = False
    for line in text.splitlines():
        of_actions = line.startswith(("  you may ", "  acted on ")) or (of_actions and line.startswith(" " * 12))
        if not of_actions and line.strip() != '"paused_by": null,':
            found.append(line)
    return found


def _as_then(text: str) -> str:
    """Return rows as JSON without the columns that have been added since."""
    columns = {name for kind in (StatusRow, StepRow, CommandRow) for name in kind.__struct_fields__}
    # Rows of a saga have its attributes beside its columns, and how it was acted on.
    since = (columns - fields_in(text_of("memory.jsonl"))) | {"attributes", "acted"}
    is_one = text.startswith("{\n")
    values = [json.loads(text)] if is_one else [json.loads(line) for line in text.splitlines()]
    return "".join(
        json.dumps(_without(since, value), indent=2 if is_one else None, ensure_ascii=False) + "\n" for value in values
    )


def _without(names: set[str], value: Any) -> Any:
    match value:
        case dict():
            return {
                name: _without(names, one)
                for name, one in cast("Mapping[str, Any]", value).items()
                if name not in names
            }
        case list():
            return [_without(names, one) for one in cast("Iterable[Any]", value)]
        case _:
            return value


@contextmanager
def in_utc() -> Generator[None]:
    """Let the time of this machine be UTC for a while."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
