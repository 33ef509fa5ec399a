"""Reads `.sql` files, in which SQL stands in named blocks (`-- name: insert_events`); it knows no dialect."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)[^\n]*$", re.MULTILINE)
_END = re.compile(r";[ \t]*\n(?![ \t]|END\b)")
_KEYS = re.compile(r"WHERE\s+(\(\w+ = \?(?: AND \w+ = \?)*\))")
_VALUES = re.compile(r"VALUES\s+(\((?:\?,\s*)*\?\))")


@cache
def statements(package: str, path: str) -> dict[str, str]:
    """Return the named blocks of one `.sql` file in `package`, by name; comment lines are left out."""
    parts = _NAME.split(files(package).joinpath(path).read_text("utf-8"))
    return {name: _without_comments(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _without_comments(text: str) -> str:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip().rstrip(";")


def split(script: str) -> list[str]:
    """Return the single statements of a script.

    A statement ends with a semicolon at the end of a line, unless what follows is indented, or ends a body (`END`).
    """
    found = _END.split(_without_comments(script) + "\n")
    return [statement.strip() for statement in found if statement.strip()]


@cache
def for_rows(statement: str, rows: int) -> str:
    """Return the statement with its `VALUES (?, ...)`, or its `WHERE (a = ? AND ...)`, written once for each row."""
    for pattern, between in ((_VALUES, ", "), (_KEYS, " OR ")):
        match = pattern.search(statement)
        if match is not None:
            return statement[: match.start(1)] + between.join([match[1]] * rows) + statement[match.end(1) :]
    raise ValueError(f"expected a statement with VALUES (?, ...) or WHERE (a = ? ...), found {statement[:60]!r}")
