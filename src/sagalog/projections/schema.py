"""The SQL of a projection: its tables, which stand in `{braces}`, and its named statements. Pure; it opens nothing.

Each generation of a projection has tables of its own: `{orders}` is `orders_g3` in the third one. Readers use a view
called `orders`, which shows the tables of the generation that is live.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from sagalog.errors import DefinitionError
from sagalog.harmless import harmless

# PostgreSQL cuts names off after 63 bytes; `_g` and a number come behind.
LONGEST_TABLE = 48
OURS = "saga_"

_BLOCK = re.compile(r"^-- name: (\w+)[^\n]*$", re.MULTILINE)
_NAMED = re.compile(r"\{([A-Za-z_]\w*)\}")
_MADE = re.compile(
    r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?(?P<kind>TABLE|VIEW|INDEX|UNIQUE\s+INDEX)\s+"
    r"(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\S+?)[\s(]",
    re.IGNORECASE,
)
# Texts, quoted names, comments, casts and percent signs, in which nothing is replaced; then tables and parameters.
_PARTS = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::|%"
    r"|\{(?P<table>[A-Za-z_]\w*)\}|(?<![\w:]):(?P<name>[A-Za-z_]\w*)",
    re.DOTALL,
)


class Made(Struct, frozen=True):
    """Something that the SQL of a projection makes: a "TABLE", a "VIEW" or an "INDEX", and its name in braces."""

    kind: str
    name: str


class ProjectionSql(Struct, frozen=True):
    """A projection's SQL: the statements that make its tables, and its named statements.

    `shown` are the tables and views that readers see by their plain names; `parameters` are those of each statement.
    """

    source: str
    create: tuple[str, ...]
    blocks: Mapping[str, str]
    made: tuple[Made, ...]
    parameters: Mapping[str, frozenset[str]]

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the names of the tables and views, in the order in which they are made."""
        return tuple(one.name for one in self.made if one.kind != "INDEX")

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables, in the order in which they are made."""
        return tuple(one.name for one in self.made if one.kind == "TABLE")

    @property
    def digest(self) -> str:
        """Return what identifies the tables: another text that makes them needs another version."""
        return hashlib.sha256("\0".join(" ".join(one.split()) for one in self.create).encode()).hexdigest()[:32]


def read_sql(text: str, source: str) -> ProjectionSql:
    """Return the SQL of a projection; raises `DefinitionError` with every mistake. `source` names it in errors.

    What stands before the first `-- name: ...` makes the tables; a statement ends with a semicolon at a line's end.
    """
    parts = _BLOCK.split(text)
    create = tuple(_split(parts[0]))
    blocks = {name: _bare(body).rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    mistakes: list[str] = []
    twice = [name for name, number in Counter(parts[1::2]).items() if number > 1]
    mistakes += [f"{name}: expected each statement to have a name of its own, found several" for name in twice]
    made = tuple(one for statement in create if (one := _made(statement, mistakes)) is not None)
    if not any(one.kind == "TABLE" for one in made):
        mistakes.append("it makes no table; the statements that do come first, with names in {braces}")
    known = {one.name for one in made}
    for where, statement in [("the tables", one) for one in create] + list(blocks.items()):
        for name in dict.fromkeys(found["table"] for found in _PARTS.finditer(statement) if found["table"]):
            if name not in known:
                mistakes.append(f"{where}: {{{name}}} is nothing that it makes; it makes {', '.join(sorted(known))}")
    if mistakes:
        listed = "\n".join(f"  - {one}" for one in mistakes)
        raise DefinitionError(f"the SQL of {source} cannot be used:\n{listed}")
    parameters = {name: frozenset(parameters_in(block)) for name, block in blocks.items()}
    return ProjectionSql(source, create, blocks, made, parameters)


def _made(statement: str, mistakes: list[str]) -> Made | None:
    found = _MADE.match(statement)
    shown = harmless(" ".join(statement.split())[:60])
    if found is None:
        mistakes.append(f"expected CREATE of a table, a view or an index before the first name, found {shown}")
        return None
    kind, name = found["kind"].upper().split()[-1], found["name"]
    inside = _NAMED.fullmatch(name)
    if inside is not None and inside[1].lower().startswith(OURS):
        mistakes.append(f"{shown}: expected a name of your own, found {inside[1]}; {OURS}... are the tables of sagalog")
    if inside is None:
        mistakes.append(f"{shown}: write {{{name}}} in braces, for a rebuild makes a second one beside the first")
        return None
    if len(inside[1]) > LONGEST_TABLE:
        mistakes.append(f"{shown}: expected a name of at most {LONGEST_TABLE} letters, found {len(inside[1])}")
    return Made(kind, inside[1])


def _split(script: str) -> list[str]:
    found = re.split(r";\s*(?:\n|$)", _bare(script) + "\n")
    return [one.strip() for one in found if one.strip()]


def _bare(text: str) -> str:
    """Return SQL without the lines that are comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def physical(name: str, generation: int) -> str:
    """Return the name of a projection's table in one generation."""
    return f"{name}_g{generation}"


def shown_as(table: str, generation: int) -> str:
    """Return the name by which readers see a table that `physical` has named."""
    return table.removesuffix(physical("", generation))


@cache
def written(statement: str, generation: int, with_percent: bool) -> str:
    """Return a statement as the driver takes it: with the tables of a generation, and with its marks for parameters.

    `with_percent`: the driver marks a parameter as `%(name)s`, and not as `:name`.
    """

    def part(found: re.Match[str]) -> str:
        if found["table"]:
            return physical(found["table"], generation)
        if not with_percent:
            return found[0]
        return f"%({found['name']})s" if found["name"] else found[0].replace("%", "%%")

    return _PARTS.sub(part, statement)


def with_numbers(statement: str, numbers: Mapping[str, int]) -> str:
    """Return a statement with whole numbers in the places of these parameters; all else stays as it is."""
    return _PARTS.sub(lambda found: str(numbers.get(found["name"], found[0])), statement)


def parameters_in(statement: str) -> tuple[str, ...]:
    """Return the names of a statement's parameters, each once."""
    return tuple(dict.fromkeys(found["name"] for found in _PARTS.finditer(statement) if found["name"]))
