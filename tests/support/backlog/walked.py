"""How much a database does for one statement, in numbers that say the same on every machine: never in seconds."""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

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


def walked(database: str) -> dict[str, Walked]:
    """Return, for each statement of a worker, what it takes on a database; nothing is changed there."""
    return dict(_of_sqlite(database) if database.startswith("sqlite") else _of_postgres(database))


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


def _of_postgres(database: str) -> Iterator[tuple[str, Walked]]:
    with opened(database) as store:
        connections = cast(Any, store)._connections
        for name, (writes, values) in POSTGRES.items():
            # As the store's own connections are set, with a plan that was made once for all values.
            with connections.writer() if writes else connections.reader() as connection:
                yield name, _explained(connection, name, values)


def _explained(connection: Any, name: str, values: Sequence[Any]) -> Walked:
    text = OF_POSTGRES[name].decode()
    given = [literal(value) for value in values]
    prepare = name not in PLANNED_EACH_TIME
    answer: Any = None
    # A second time: the first one reads the catalogs, and that counts as pages.
    for turn in range(2):
        connection.execute("BEGIN")
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        if prepare:
            # A name for each time: the driver may let the server forget what is prepared, and may not.
            kinds = f"({', '.join(map(_kind, values))})" if values else ""
            connection.execute(f"PREPARE {name}_{turn} {kinds} AS {text}")
            asked = f"EXECUTE {name}_{turn}" + (f" ({', '.join(given)})" if given else "")
        else:
            asked = re.sub(r"\$(\d+)", lambda found: given[int(found[1]) - 1], text)
        [[answer]] = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {asked}").fetchall()
        connection.execute("ROLLBACK")
    return _told(json.loads(answer))


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
