"""The columns of our tables, taken from the fields of their rows, for placeholders such as `{saga_status.all}` in SQL.

No statement and no store lists the columns of a row by hand, so a new field of a row becomes a column everywhere. This
module knows no statement and no database.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from sagalog.messages import Envelope
from sagalog.store import AttributeRow, CommandRow, InboxRow, JobItemRow, JobRow, StatusRow, StepRow, UnmatchedRow

# PostgreSQL's array type for each kind of column; one letter stands for a kind.
ARRAYS: Final[Mapping[str, str]] = {"t": "text[]", "b": "bigint[]", "y": "bytea[]", "j": "json[]"}
# The columns of saga_messages except the position, and the envelope fields that they hold.
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
# Columns that are JSON in PostgreSQL, and text in the other stores.
_JSON: Final = ("result",)
# Columns that are numbers of any kind: one has no array; that of an attribute goes as text to PostgreSQL.
_NUMBERS: Final = ("number", "rate")

_BLOCK = re.compile(r"\{(\w+)\}")
_LIST = re.compile(r"\{(?P<table>saga_\w+)\.(?P<part>\w+)(?: (?P<how>as|of|from|but|numbered) (?P<what>[\w.]+))?\}")
_NUMBER = re.compile(r"\$(\d+)")


class Columns(Struct, frozen=True):
    """Some columns of a table and their kinds; `values` returns a row's values for them, in the same order."""

    names: tuple[str, ...]
    kinds: str
    values: Callable[[Any], tuple[Any, ...]]

    def but(self, names: Sequence[str]) -> "Columns":
        """Return the columns without the named ones."""
        kept = {name: kind for name, kind in zip(self.names, self.kinds, strict=True) if name not in names}
        return _columns(kept)


class Table(Struct, frozen=True):
    """The columns of a table, grouped by when they are written.

    `given` come with a row; the store fills the others. `changing` are the given ones that replace an existing row's,
    and `fixed` the others; `computed` are those that follow from the log.
    """

    all: Columns
    given: Columns
    changing: Columns
    fixed: Columns
    computed: Columns


def _columns(kinds: Mapping[str, str]) -> Columns:
    return Columns(tuple(kinds), "".join(kinds.values()), attrgetter(*kinds) if kinds else _no_values)


def _no_values(_: Any) -> tuple[()]:
    return ()


def _kind(field: str, declared: Any) -> str:
    if field in _JSON:
        return "j"
    parts = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if field in _NUMBERS and float in parts:
        return "n"
    if int in parts:
        return "b"
    if str in parts or get_origin(declared) is Literal:
        return "t"
    raise TypeError(f"{field}: expected a column of int or str, perhaps None, found {declared}; name its kind here")


def _table(row: type[Struct], *, filled: Sequence[str] = (), fixed: Sequence[str], kept: Sequence[str] = ()) -> Table:
    """Return the table of a row type: `filled` by the store, `fixed` once written, `kept` by a rebuild."""
    every = _columns({field.name: _kind(field.name, field.type) for field in fields(row)})
    given = every.but(filled)
    changing = given.but(fixed)
    return Table(every, given, changing, given.but(changing.names), every.but(kept))


def _index() -> Table:
    """Return the table of messages, which has no row type: it holds the fields of an envelope."""
    declared = {field.name: field.type for field in fields(Envelope)}
    kinds = {name: _kind(field, declared[field]) for name, field in INDEXED.items()}
    given = Columns(tuple(kinds), "".join(kinds.values()), attrgetter(*INDEXED.values()))
    every = Columns(("position", *given.names), "b" + given.kinds, lambda placed: (placed[0], *given.values(placed[1])))
    return Table(every, given, given, _columns({}), every)


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
    ),
    kept=("saga_id", "owner"),
)
STEP = _table(StepRow, filled=("position",), fixed=("saga_id", "step", "direction"))
# The store counts deliveries, so an append does not write them.
COMMAND = _table(
    CommandRow,
    filled=("deliveries", "position"),
    fixed=("command_id", "name", "saga_id", "step", "direction", "correlation_id", "causation_id", "issued_at"),
    kept=("command_id", "deliveries"),
)
MESSAGE = _index()
INBOX = _table(InboxRow, filled=("position",), fixed=("recipient", "message_id", "lane", "name", "arrived_at"))
ATTRIBUTE = _table(AttributeRow, filled=("position",), fixed=("saga_id", "name"))
UNMATCHED = _table(UnmatchedRow, fixed=("unmatched_id", "consumer", "message_id"))
# A job begins without items, and nobody runs it.
JOB = _table(JobRow, filled=("status", "why", "sagas", "owner"), fixed=())
JOB_ITEM = _table(JobItemRow, fixed=("job_id", "number", "saga_id"))

TABLES: Final[Mapping[str, Table]] = {
    "saga_status": STATUS,
    "saga_steps": STEP,
    "saga_commands": COMMAND,
    "saga_messages": MESSAGE,
    "saga_inbox": INBOX,
    "saga_unmatched": UNMATCHED,
    "saga_attributes": ATTRIBUTE,
    "saga_jobs": JOB,
    "saga_job_items": JOB_ITEM,
}


def written_out(blocks: Mapping[str, str]) -> dict[str, str]:
    """Return SQL blocks with their placeholders replaced: by other blocks, and by lists of columns.

    For some columns of a table, such as `saga_status.given`, the placeholders are:
    - `{saga_status.given}`: the names;
    - `{saga_status.given but run}`: the names without one;
    - `{saga_status.given of s}`: the names, each prefixed with the alias `s`;
    - `{saga_status.given from new}`: assignments from the alias `new`;
    - `{saga_status.given numbered part_}`: instead of the names `part_1`, `part_2` and so on;
    - `{saga_status.given as marks}`: a `?` for each, and `as nulls` a `NULL`;
    - `{saga_status.given as numbers}`: a parameter for each, numbered on from the last number in the block;
    - `{saga_status.given as arrays}`: an array parameter for each, numbered on from the last number in the block.
    """

    def whole(text: str) -> str:
        return _BLOCK.sub(lambda found: whole(blocks[found[1]]), text)

    return {name: _with_lists(whole(text)) for name, text in blocks.items()}


def _with_lists(text: str) -> str:
    last = max(map(int, _NUMBER.findall(text)), default=0)

    def listed(found: re.Match[str]) -> str:
        nonlocal last
        columns: Columns = getattr(TABLES[found["table"]], found["part"])
        if found["what"] in ("arrays", "numbers"):
            numbers = [f"${number}" for number in range(last + 1, last + 1 + len(columns.kinds))]
            last += len(numbers)
            if found["what"] == "numbers":
                return ", ".join(numbers)
            return ", ".join(f"{one}::{ARRAYS[kind]}" for one, kind in zip(numbers, columns.kinds, strict=True))
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
        case "numbered":
            return [f"{what}{number}" for number in range(1, len(columns.names) + 1)]
        case "as":
            return ["NULL" if what == "nulls" else "?"] * len(columns.names)
        case _:
            return columns.names
