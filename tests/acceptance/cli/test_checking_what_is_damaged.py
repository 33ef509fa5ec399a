"""`sagalog check` names each saga and each message that is damaged, and looks at all the others as well."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from databases.stores import EACH_KIND, opened
from databases.trouble import DatabaseTrouble
from pages.command_line import ROOT, sagalog

from sagalog.readmodel.rebuild import rebuild
from sagalog.store import Posting
from sagalog.testing.contracts.store.message_samples import event

ON_SQL = [one for one in EACH_KIND if one.id != "memory"]
ORDER = {
    "customer": "Ada",
    "lines": [{"sku": "mug", "quantity": 1}],
    "total_cents": 1200,
    "card_token": "tok_visa",
    "destination": "Lisbon",
}


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with four finished sagas and four messages."""
    address: str = f"sqlite:///{tmp_path}/shop.db"
    if request.param == "postgres":
        address = request.getfixturevalue("postgres_url")
    orders = "\n".join(json.dumps(ORDER | {"order_id": f"o-{number}"}) for number in range(4))
    assert run(address, "db", "upgrade")[0] == 0
    assert run(address, "start", "order-fulfilment", "--input", "-", "--wait", given=orders)[0] == 0
    with opened(address) as store:
        store.post([Posting([event(f"m-{number}") for number in range(4)])])
    return address


def run(address: str, *words: str, given: str = "") -> tuple[int, str]:
    before = ["--app-dir", str(ROOT), *words, "--db", address]
    ran = sagalog(*before, given=given, environment={"SHOP_DB": ":memory:"})
    return ran.code, ran.out


def wrong(address: str) -> list[tuple[str, str]]:
    """Return what `check` finds that is wrong."""
    code, out = run(address, "check", "-o", "json")
    rows: Sequence[Any] = json.loads(out)
    found = [(row["check"], row["detail"]) for row in rows if row["result"] != "ok"]
    assert code == bool(found)
    return found


def spoil(address: str, table: str, column: str, where: str, text: str = "{}") -> None:
    """Write into one row what nobody can read."""
    value = f"CAST('{text}' AS BLOB)" if address.startswith("sqlite") else f"convert_to('{text}', 'UTF8')"
    DatabaseTrouble(address).execute(f"UPDATE {table} SET {column} = {value} WHERE {where}")


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_every_damaged_message_and_saga_is_named_and_the_others_are_compared(database: str) -> None:
    assert wrong(database) == []
    with opened(database) as store:
        first, second, third, _ = store.sagas_by_key("order-fulfilment", [f"o-{n}" for n in range(4)]).values()
    spoil(database, "saga_events", "state", "originator_id = 'message:m-0'")
    spoil(database, "saga_events", "state", "originator_id = 'message:m-2'", "no JSON")
    spoil(database, "saga_events", "state", f"originator_id = '{first.saga_id}' AND originator_version = 2", "[")
    DatabaseTrouble(database).execute(
        f"UPDATE saga_events SET topic = 'nonsense' WHERE originator_id = '{second.saga_id}'",
        f"UPDATE saga_status SET status = 'failed' WHERE saga_id = '{third.saga_id}'",
        "UPDATE saga_messages SET name = 'Other' WHERE message_id = 'm-3'",
    )
    found = wrong(database)
    sagas = [detail for check, detail in found if check == "tables equal log"]
    messages = [detail for check, detail in found if check == "messages equal log"]
    assert [one.saga_id in text for one, text in zip((first, second, third), sagas, strict=True)] == [True] * 3
    assert "status: expected 'completed', found 'failed'" in sagas[2]
    assert ["found something else" in text for text in messages] == [True, True, False]
    assert ".name: expected" in messages[2]


@pytest.mark.parametrize("database", ON_SQL, indirect=True)
def test_a_rebuild_leaves_the_row_of_a_damaged_message_as_it_is(database: str) -> None:
    spoil(database, "saga_events", "state", "originator_id = 'message:m-1'")
    DatabaseTrouble(database).execute("UPDATE saga_messages SET name = 'Other' WHERE message_id = 'm-2'")
    with opened(database) as store:
        rebuilt = rebuild(store, {})
        names = {one.id: one.name for _, one in store.read_messages(0, 100)}
    assert names == {f"m-{number}": event().name for number in range(4)}
    assert [one.startswith("expected a message at position") for one in rebuilt.damaged] == [True]


@pytest.mark.parametrize("database", ON_SQL[:1], indirect=True)
@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("saga_messages", "source", "message_id = 'm-1'"),
        ("saga_status", "current_step", "saga_key = 'o-1'"),
        ("saga_steps", "error_text", "saga_id IN (SELECT saga_id FROM saga_status WHERE saga_key = 'o-1')"),
        ("saga_events", "topic", "originator_id = 'message:m-1'"),
    ],
)
def test_a_text_that_is_no_utf_8_is_named_and_hides_nothing_else(
    database: str, table: str, column: str, where: str
) -> None:
    DatabaseTrouble(database).execute(
        f"UPDATE {table} SET {column} = CAST(x'41ff42' AS TEXT) WHERE {where}",
        "UPDATE saga_status SET status = 'failed' WHERE saga_key = 'o-3'",
    )
    found = wrong(database)
    assert len(found) == 2
    assert sum("status: expected 'completed', found 'failed'" in detail for _, detail in found) == 1
    assert sum("A\\\\xffB" in detail or "position" in detail for _, detail in found) == 1
