"""The columns of our tables, from the fields of their rows: what `{saga_status.all}` and its like stand for in SQL.

No statement names the columns of a row one by one, and no store does: a field that is added to a row is a column in all
of them. It knows no statement and no database.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from sagalog.messages import Envelope
from sagalog.store import CommandRow, InboxRow, StatusRow, StepRow, UnmatchedRow

# How PostgreSQL calls an array of each kind of column; one letter stands for a kind.
ARRAYS: Final[Mapping[str, str]] = {"t": "text[]", "b": "bigint[]", "y": "bytea[]", "j": "json[]"}
# The columns of saga_messages beside the position, and the fields of an envelope that they hold.
INDEXED: Final[Mapping[str, str]] = {
    "message_id": "id",
    "kind": "kind",
    "name": "name",
    "source": "source",
    "correlation_id": "correlation_id",
    "causation_id": "causation_id",
    "time": "time",
    "saga_id": "saga_id",
    "step": "step",
}
# What is JSON in PostgreSQL and text everywhere else.
_JSON: Final = ("result",)

_BLOCK = re.compile(r"\{(\w+)\}")
_LIST = re.compile(r"\{(?P<table>saga_\w+)\.(?P<part>\w+)(?: (?P<how>as|of|from|but) (?P<what>\w+))?\}")
_NUMBER = re.compile(r"\$(\d+)")


class Columns(Struct, frozen=True):
    """Some columns of a table and the kind of each; `values` gives what a row has in them, in the same order."""

    names: tuple[str, ...]
    kinds: str
    values: Callable[[Any], tuple[Any, ...]]

    def but(self, names: Sequence[str]) -> "Columns":
        """Return them without some."""
        kept = {name: kind for name, kind in zip(self.names, self.kinds, strict=True) if name not in names}
        return _columns(kept)


class Table(Struct, frozen=True):
    """The columns of a table, and which of them are written when.

    `given` come with a row, and the store fills the others. `changing` are those of them that replace what a row has
    that is there already, `computed` those that follow from the log.
    """

    all: Columns
    given: Columns
    changing: Columns
    computed: Columns


def _columns(kinds: Mapping[str, str]) -> Columns:
    return Columns(tuple(kinds), "".join(kinds.values()), attrgetter(*kinds))


def _kind(field: str, declared: Any) -> str:
    if field in _JSON:
        return "j"
    parts = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if int in parts:
        return "b"
    if str in parts or get_origin(declared) is Literal:
        return "t"
    raise TypeError(f"{field}: expected a column of int or str, perhaps None, found {declared}; name its kind here")


def _table(row: type[Struct], *, filled: Sequence[str] = (), fixed: Sequence[str], kept: Sequence[str] = ()) -> Table:
    """Return the table of a row: `filled` by the store, `fixed` once it is there, `kept` when it is computed anew."""
    every = _columns({field.name: _kind(field.name, field.type) for field in fields(row)})
    given = every.but(filled)
    return Table(every, given, given.but(fixed), every.but(kept))


def _index() -> Table:
    """Return the table of messages, which has no row of its own: it holds the fields of an envelope."""
    declared = {field.name: field.type for field in fields(Envelope)}
    kinds = {name: _kind(field, declared[field]) for name, field in INDEXED.items()}
    given = Columns(tuple(kinds), "".join(kinds.values()), attrgetter(*INDEXED.values()))
    every = Columns(("position", *given.names), "b" + given.kinds, lambda placed: (placed[0], *given.values(placed[1])))
    return Table(every, given, given, every)


STATUS = _table(
    StatusRow,
    filled=("position",),
    fixed=(
        "saga_id",
        "saga_name",
        "saga_version",
        "definition",
        "saga_key",
        "run",
        "correlation_id",
        "causation_id",
        "started_at",
        "deadline_at",
    ),
    kept=("saga_id", "owner"),
)
STEP = _table(StepRow, filled=("position",), fixed=("saga_id", "step", "direction"))
# How often a command was delivered is not the saga's to say.
COMMAND = _table(
    CommandRow,
    filled=("deliveries", "position"),
    fixed=("command_id", "name", "saga_id", "step", "direction", "correlation_id", "causation_id", "issued_at"),
    kept=("command_id", "deliveries"),
)
MESSAGE = _index()
INBOX = _table(InboxRow, filled=("position",), fixed=("recipient", "message_id", "lane", "name", "arrived_at"))
UNMATCHED = _table(UnmatchedRow, fixed=("unmatched_id", "consumer", "message_id"))

TABLES: Final[Mapping[str, Table]] = {
    "saga_status": STATUS,
    "saga_steps": STEP,
    "saga_commands": COMMAND,
    "saga_messages": MESSAGE,
    "saga_inbox": INBOX,
    "saga_unmatched": UNMATCHED,
}


def written_out(blocks: Mapping[str, str]) -> dict[str, str]:
    """Return SQL blocks with what stands in braces in them: other blocks of theirs, and lists of columns.

    Of a table and a part of its columns, such as `saga_status.given`, a list is asked for as
    - `{saga_status.given}`: the names;
    - `{saga_status.given but run}`: the names without one;
    - `{saga_status.given of s}`: the names, of what is called `s`;
    - `{saga_status.given from new}`: assignments from what is called `new`;
    - `{saga_status.given as marks}`: a `?` for each;
    - `{saga_status.given as arrays}`: an array of each as a parameter, numbered on from the last number of the block.
    """
    whole = {name: _BLOCK.sub(lambda found: blocks[found[1]], text) for name, text in blocks.items()}
    return {name: _with_lists(text) for name, text in whole.items()}


def _with_lists(text: str) -> str:
    last = max(map(int, _NUMBER.findall(text)), default=0)

    def listed(found: re.Match[str]) -> str:
        nonlocal last
        columns: Columns = getattr(TABLES[found["table"]], found["part"])
        if found["what"] == "arrays":
            arrays = [f"${number}::{ARRAYS[kind]}" for number, kind in enumerate(columns.kinds, last + 1)]
            last += len(arrays)
            return ", ".join(arrays)
        return ", ".join(_names(columns, found["how"], found["what"]))

    return _LIST.sub(listed, text)


def _names(columns: Columns, how: str | None, what: str) -> Sequence[str]:
    match how:
        case "but":
            return columns.but([what]).names
        case "of":
            return [f"{what}.{name}" for name in columns.names]
        case "from":
            return [f"{name} = {what}.{name}" for name in columns.names]
        case "as":
            return ["?"] * len(columns.names)
        case _:
            return columns.names
