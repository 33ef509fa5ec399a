"""How much a database does for one statement, in numbers that say the same on every machine: never in seconds."""

import json
import re
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, cast

from backlog.statements import POSTGRES, SQLITE
from databases.catalogs import plain
from databases.stores import opened
from msgspec import Struct

from sagalog.stores.postgres.connection import SQL as OF_POSTGRES
from sagalog.stores.postgres.store import PLANNED_EACH_TIME
from sagalog.stores.projected.postgres import SQL as PROJECTED_BY_POSTGRES
from sagalog.stores.projected.sqlite import SQL as PROJECTED_BY_SQLITE
from sagalog.stores.sqlite.writing import SQL as OF_SQLITE

# SQLite tells of its instructions in groups of so many.
GROUP = 10


class Walked(Struct, frozen=True):
    """What one statement took: instructions of SQLite or pages of PostgreSQL, rows looked at, and its plan."""

    effort: int
    rows: int
    plan: tuple[str, ...]


# How PostgreSQL plans a prepared statement: once for whatever values, or each time for those at hand. Which of both it
# does with those that read is its own choice.
Planned = Literal["generic", "custom"]


def walked(database: str, plan: Planned = "generic") -> dict[str, Walked]:
    """Return, for each statement of a worker, what it takes on a database; nothing is changed there."""
    return dict(_of_sqlite(database) if database.startswith("sqlite") else _of_postgres(database, plan))


def _of_sqlite(database: str) -> Iterator[tuple[str, Walked]]:
    with plain(database) as connection:
        for name, values in SQLITE.items():
            yield name, _counted(connection, OF_SQLITE[name], values)


def first_parked(database: str) -> Walked:
    """Return what it takes to look for what a projection could not handle."""
    values = {"projection": "orders", "generation": 1}
    with plain(database) as connection:
        if database.startswith("sqlite"):
            return _counted(connection, PROJECTED_BY_SQLITE["first_parked"], values)
        explain = b"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
        sql = explain + PROJECTED_BY_POSTGRES["first_parked"].encode()
        return _told(connection.execute(sql, values).fetchone()[0])


def _counted(connection: sqlite3.Connection, sql: str, values: Any) -> Walked:
    groups = 0

    def count() -> int:
        nonlocal groups
        groups += 1
        return 0

    plan = tuple(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
    connection.execute("BEGIN IMMEDIATE")
    connection.set_progress_handler(count, GROUP)
    rows = len(connection.execute(sql, values).fetchall())
    connection.set_progress_handler(None, 0)
    connection.execute("ROLLBACK")
    return Walked(groups * GROUP, rows, plan)


def _of_postgres(database: str, plan: Planned) -> Iterator[tuple[str, Walked]]:
    with opened(database) as store:
        connections = cast(Any, store)._connections
        for name, (writes, values) in POSTGRES.items():
            # As the store's own connections are set.
            with connections.writer() if writes else connections.reader() as connection:
                yield name, _explained(connection, name, values, plan)


@contextmanager
def planned(database: str) -> Generator[Callable[[], dict[str, Walked]]]:
    """Let PostgreSQL plan each statement of a worker as the database is now; what is returned asks with those plans."""
    with opened(database) as store, ExitStack() as stack:
        connections = cast(Any, store)._connections
        writer, reader = (stack.enter_context(one()) for one in (connections.writer, connections.reader))
        kept = {
            name: (writer if writes else reader, values)
            for name, (writes, values) in POSTGRES.items()
            if name not in PLANNED_EACH_TIME
        }

        def walked() -> dict[str, Walked]:
            return {name: _told(_asked(one, _executed(name, values))) for name, (one, values) in kept.items()}

        for name, (connection, values) in kept.items():
            connection.execute(_prepared(name, values))
        walked()
        yield walked


def _explained(connection: Any, name: str, values: Sequence[Any], plan: Planned) -> Walked:
    if name in PLANNED_EACH_TIME:
        given = [literal(value) for value in values]
        asked = re.sub(r"\$(\d+)", lambda found: given[int(found[1]) - 1], OF_POSTGRES[name].decode())
    else:
        connection.execute(_prepared(name, values))
        asked = _executed(name, values)
    # A second time: the first one reads the catalogs, and that counts as pages.
    _asked(connection, asked, plan)
    return _told(_asked(connection, asked, plan))


def _prepared(name: str, values: Sequence[Any]) -> str:
    kinds = f"({', '.join(map(_kind, values))})" if values else ""
    return f"PREPARE {name} {kinds} AS {OF_POSTGRES[name].decode()}"


def _executed(name: str, values: Sequence[Any]) -> str:
    return f"EXECUTE {name}" + (f" ({', '.join(map(literal, values))})" if values else "")


def _asked(connection: Any, asked: str, plan: Planned = "generic") -> Any:
    connection.execute("BEGIN")
    connection.execute(f"SET LOCAL plan_cache_mode = force_{plan}_plan")
    [[answer]] = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {asked}").fetchall()
    # Past the driver, which lets the server forget what is prepared when it hears of a rollback.
    connection.pgconn.exec_(b"ROLLBACK")
    return json.loads(answer)


def _told(answer: Any) -> Walked:
    plan = answer[0]["Plan"]
    nodes = list(_nodes(plan))
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return Walked(pages, sum(map(_rows, nodes)), tuple(map(_text, nodes)))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)


def _rows(node: Mapping[str, Any]) -> int:
    """Return how many rows of a table a node has looked at."""
    if not node["Node Type"].endswith("Scan") or "Relation Name" not in node:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    found: int = round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return found


def _text(node: Mapping[str, Any]) -> str:
    return " ".join(
        [node["Node Type"], *(node[part] for part in ("Relation Name", "Index Name", "Index Cond") if part in node)]
    )


def literal(value: Any) -> str:
    """Return a value as it is written in SQL."""
    if isinstance(value, list):
        values: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return f"ARRAY[{', '.join(literal(one) for one in values)}]::{_kind(values)}"
    return "NULL" if value is None else repr(value)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "boolean"
        case int():
            return "bigint"
        case [int(), *_]:
            return "bigint[]"
        case list():
            return "text[]"
        case _:
            return "text"
