"""What an older release has written: with the columns that its schema has, by the plain drivers and not by a store."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from databases.catalogs import plain
from msgspec.structs import asdict, replace

from sagalog.store import Append, StatusRow, StepRow


def write_as_then(database: str, *appends: Append) -> tuple[dict[str, StatusRow], list[StepRow]]:
    """Write what these appends had left in an empty database; return the rows of its sagas and of their steps."""
    sagas: dict[str, StatusRow] = {}
    steps: dict[tuple[str, str, str], StepRow] = {}
    position = 0
    with plain(database) as connection:
        for one in appends:
            for version, (topic, state) in enumerate(one.events, one.expected + 1):
                position += 1
                event = {"originator_id": one.saga_id, "originator_version": version, "topic": topic, "state": state}
                _insert(connection, "saga_events", event)
            sagas[one.saga_id] = replace(one.status, position=position)
            for step in one.steps:
                steps[step.saga_id, step.step, step.direction] = replace(step, position=position)
        for saga in sagas.values():
            _insert(connection, "saga_status", asdict(saga))
        for step in steps.values():
            _insert(connection, "saga_steps", asdict(step))
    return sagas, list(steps.values())


def _insert(connection: Any, table: str, values: Mapping[str, Any]) -> None:
    """Write what the table has columns for: a row of today may have more."""
    is_a_file = isinstance(connection, sqlite3.Connection)
    known = [column[0] for column in connection.execute(f"SELECT * FROM {table} WHERE false").description]
    names = [name for name in known if name in values]
    marks = ", ".join(("?" if is_a_file else "%s") for _ in names)
    connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", [values[name] for name in names])
