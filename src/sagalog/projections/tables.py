"""What a handler writes a projection's rows with: named statements, or SQL of its own, inside one open transaction."""

from collections.abc import Mapping
from typing import Any, Protocol

from sagalog.errors import DefinitionError
from sagalog.projections.schema import ProjectionSql, parameters_in, physical, written


class Executor(Protocol):
    """A transaction of a database: how statements are written for its driver, and run."""

    # Whether the driver marks a parameter as `%(name)s`, and not as `:name`.
    with_percent: bool
    # The connection that a handler may ask for: the driver's own, or SQLAlchemy's.
    connection: Any

    def run(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement; an error may be raised later, by a statement that is waited for."""
        ...

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return the rows that it gives."""
        ...


class Tables:
    """The tables of one generation of a projection, in the transaction that also writes its position.

    Statements are named blocks of the projection's SQL file, or texts in which tables stand in `{braces}` and
    parameters behind a colon (`:order_id`).
    """

    __slots__ = ("_executor", "_generation", "_known", "_sql")

    def __init__(self, executor: Executor, sql: ProjectionSql, generation: int) -> None:
        self._executor = executor
        self._sql = sql
        self._generation = generation
        # Statements that were run before, as the driver takes them, with the names of their parameters.
        self._known: dict[str, tuple[str, frozenset[str]]] = {}

    @property
    def connection(self) -> Any:
        """Return the connection: the driver's, or SQLAlchemy's. Never commit or roll back; `name` gives table names."""
        return self._executor.connection

    def name(self, table: str) -> str:
        """Return the name that a table of the projection has in this generation."""
        if table not in self._sql.shown:
            raise DefinitionError(f"{self._sql.source} makes no table {table}; it makes {', '.join(self._sql.shown)}")
        return physical(table, self._generation)

    def run(self, statement: str, /, **values: Any) -> None:
        """Run a named statement; each of its parameters is given by name."""
        self._executor.run(self._named(statement, values), values)

    def rows(self, statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
        """Run a named statement, and return the rows that it gives."""
        return self._executor.rows(self._named(statement, values), values)

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a text of SQL, and return the rows that it gives; without any it returns an empty list."""
        return self._executor.rows(written(sql, self._generation, self._executor.with_percent), values or {})

    def _named(self, name: str, values: Mapping[str, Any]) -> str:
        """Return a named statement as the driver takes it; raises `DefinitionError` if none takes these values."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._found(name)
        if values.keys() != known[1]:
            wanted = ", ".join(parameters_in(self._sql.blocks[name])) or "no parameters"
            raise DefinitionError(f"{name}: expected {wanted}, found {', '.join(values) or 'none'}")
        return known[0]

    def _found(self, name: str) -> tuple[str, frozenset[str]]:
        block = self._sql.blocks.get(name)
        if block is None:
            known = ", ".join(sorted(self._sql.blocks)) or "none"
            raise DefinitionError(f"{self._sql.source} has no statement `-- name: {name}`; it has {known}")
        return written(block, self._generation, self._executor.with_percent), self._sql.parameters[name]
