"""Triggers of somebody else that fail leave nothing half written on SQLite, whichever way they fail."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from databases.stores import opened

from sagalog.errors import StoreError
from sagalog.store import Query
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.testing.contracts.store.samples import following, start

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
