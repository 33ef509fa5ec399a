"""The tables are compared with the log many sagas at a time, and whatever is wrong is still told of its own saga."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from databases.catalogs import plain
from databases.crowd import crowd
from databases.stores import opened
from msgspec.structs import replace

import domain
from sagalog.cli import log_comparison
from sagalog.cli.address import SqlStore
from sagalog.cli.log_comparison import compare_messages, compare_sagas
from sagalog.stores.sqlite.store import SQLiteStore

SAGAS = 2_200
DEFINITIONS = {saga.definition.digest: saga.definition for saga in domain.sagas}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('crowd') / 'sagas.db'}"
    crowd(address, SAGAS)
    return address


@pytest.fixture
def store(filled: str) -> Iterator[SqlStore]:
    with opened(filled) as found:
        yield cast(SqlStore, found)


def found_wrong(store: SqlStore) -> list[str]:
    return [one.detail for one in compare_sagas(store, DEFINITIONS) if one.wrong]


def test_many_sagas_and_messages_are_read_with_few_statements(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rows = SQLiteStore._rows

    def noted(one: SQLiteStore, block: str, values: Any) -> Any:
        asked.append(block)
        return rows(one, block, values)

    monkeypatch.setattr(SQLiteStore, "_rows", noted)
    [compared] = compare_sagas(store, DEFINITIONS)
    assert (compared.wrong, compared.detail) == (False, f"{SAGAS + 4:,} sagas compared")
    assert len(asked) < SAGAS / 10
    asked.clear()
    [messages] = compare_messages(store)
    assert (messages.wrong, messages.detail) == (False, f"{SAGAS // 11 - SAGAS // 1100 + 1:,} messages compared")
    assert asked.count("read_messages") <= 2


@pytest.mark.parametrize("most", [1, 7, 5_000])
def test_one_saga_whose_rows_are_wrong_is_named_alone(
    filled: str, store: SqlStore, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few events are held at once."""
    monkeypatch.setattr(log_comparison, "MOST_EVENTS", most)
    [saga_id] = [row.saga_id for row in store.sagas_by_key("order-fulfilment", ["order-777"]).values()]
    with plain(filled) as connection:
        connection.execute("UPDATE saga_steps SET attempts = attempts + 1 WHERE saga_id = ?", (saga_id,))
        try:
            [wrong] = found_wrong(store)
        finally:
            connection.execute("UPDATE saga_steps SET attempts = attempts - 1 WHERE saga_id = ?", (saga_id,))
    assert wrong.startswith(f"saga {saga_id}: saga_steps of reserve_inventory (action).attempts: expected 1, found 2")
    assert found_wrong(store) == []


def test_a_saga_that_changes_while_it_is_read_is_read_again(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = store.statuses
    [ahead] = [row.saga_id for row in store.sagas_by_key("order-fulfilment", ["order-777"]).values()]

    def earlier(saga_ids: Any) -> Any:
        """Return the rows as if one saga had been a version behind when it was read first."""
        found = statuses(saga_ids)
        if ahead in found and not seen:
            seen.append(ahead)
            found[ahead] = replace(found[ahead], version=found[ahead].version - 1)
        return found

    seen: list[str] = []
    monkeypatch.setattr(store, "statuses", earlier)
    assert found_wrong(store) == []
    assert seen == [ahead]


def test_rows_that_cannot_be_read_hide_no_other_saga(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(saga_ids: Any) -> Any:
        raise ValueError("one row is no row")

    monkeypatch.setattr(store, "steps_many", broken)
    [compared] = compare_sagas(store, DEFINITIONS)
    assert (compared.wrong, compared.detail) == (False, f"{SAGAS + 4:,} sagas compared")
