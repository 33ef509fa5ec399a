"""Triggers of somebody else that fail leave nothing half written on SQLite, whichever way they fail."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from databases.stores import opened

from sagalog.errors import StoreError
from sagalog.store import Query
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.testing.contracts.store.samples import following, sample_event, start

TRIGGER = """
CREATE TRIGGER not_these BEFORE UPDATE ON saga_status WHEN NEW.saga_key = 'refused'
BEGIN SELECT RAISE({how}, 'not today'); END
"""


@pytest.mark.parametrize("how", ["ABORT", "FAIL", "ROLLBACK"])
def test_a_batch_of_which_one_is_refused_is_not_written_in_part(tmp_path: Path, how: str) -> None:
    """Invariant 5: `RAISE(FAIL)` keeps what its statement has written before, so a transaction has to take it back."""
    path = tmp_path / "sagas.db"
    with opened(SQLiteStore(str(path))) as store:
        begun = [start("one"), start("refused"), start("two")]
        store.append(begun)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(TRIGGER.format(how=how))
        with pytest.raises(StoreError, match="not today"):
            store.append([following(one) for one in begun])
        assert store.head() == 3
        assert {row.version for row in store.find(Query(limit=10))} == {1}
        assert store.append([following(begun[0]), following(begun[2])]) == ["written", "written"]


@pytest.mark.parametrize(
    ("table", "when", "starts"),
    [
        ("saga_status", "NEW.saga_key = 'left out'", 2),
        ("saga_events", "NEW.originator_version = 1", 0),
        ("saga_events", "NEW.originator_version = 2", 3),
        ("saga_events", "NEW.originator_version = 3", 3),
        ("saga_events", "NEW.originator_version = 4", 3),
        ("saga_events", "NEW.originator_version = 5", 3),
    ],
)
def test_a_row_that_is_left_out_without_a_word_is_not_taken_for_written(
    tmp_path: Path, table: str, when: str, starts: int
) -> None:
    """`RAISE(IGNORE)` is no error for SQLite: an event would be missing, or the row by which a saga is found."""
    path = tmp_path / "sagas.db"
    trigger = f"CREATE TRIGGER not_these BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(IGNORE); END"
    with opened(SQLiteStore(str(path))) as store:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(trigger)
        begun = [start("one"), start("left out"), start("two")]
        events = [sample_event("StepSucceeded", step=f"step {number}") for number in range(4)]
        assert store.append(begun).count("written") == starts
        moved = [following(one, *events) for one in begun]
        written = sum(outcome == "written" for outcome in store.append(moved))
        assert written == (starts if table == "saga_status" else 0)
        rows = store.find(Query(limit=10))
        assert len(rows) == starts
        assert {row.saga_id: row.version for row in rows} == {row.saga_id: len(store.read(row.saga_id)) for row in rows}
