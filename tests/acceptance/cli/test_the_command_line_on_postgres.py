"""The same commands on PostgreSQL: the store is told apart from SQLite by its address alone."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from pages.command_line import ROOT, Ran, sagalog

from sagalog.stores.migrations import newest

pytestmark = pytest.mark.postgres

ORDER = {
    "customer": "Ada",
    "lines": [{"sku": "mug", "quantity": 1}],
    "total_cents": 1200,
    "card_token": "tok_visa",
    "destination": "Lisbon",
}


@pytest.fixture
def on_postgres(postgres_url: str) -> Callable[..., Ran]:
    def run(*words: str, given: str = "") -> Ran:
        before = ["--app-dir", str(ROOT), *words, "--db", postgres_url]
        return sagalog(*before, given=given, environment={"SHOP_DB": ":memory:"})

    return run


def test_sagas_are_run_shown_checked_and_audited_on_postgres(
    on_postgres: Callable[..., Ran], postgres_url: str
) -> None:
    assert on_postgres("list").code == 5
    assert on_postgres("db", "status").code == 1
    upgraded = on_postgres("db", "upgrade")
    assert len(upgraded.lines) == newest("postgres")
    orders = [
        json.dumps(ORDER | {"order_id": "o-1"}),
        json.dumps(ORDER | {"order_id": "o-2", "destination": "Atlantis"}),
    ]
    started = on_postgres("start", "order-fulfilment", "--input", "-", "--wait", given="\n".join(orders))
    assert (started.code, started.err) == (10, "")
    assert "undo process_payment" in on_postgres("show", "o-2").out
    listed = {row["saga_key"]: row["status"] for row in json.loads(on_postgres("list", "-o", "json").out)}
    assert listed == {"o-1": "completed", "o-2": "failed"}
    checked = on_postgres("check", "-o", "json")
    assert (checked.code, checked.err) == (0, "")
    assert "2 sagas compared" in checked.out
    audited = on_postgres("audit", "-o", "json")
    assert (audited.code, audited.err) == (0, "")
    exported = on_postgres("export", "--all").out
    assert sagalog("replay", "o-2", "--from", "-", given=exported).out == on_postgres("replay", "o-2").out
    assert on_postgres("wait", "o-1").code == 0
    if urlsplit(postgres_url).password is not None:
        page = on_postgres("list", "--limit", "1").err
        assert page.startswith('next page: sagalog --db "$SAGALOG_DB"')


def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_secret() -> None:
    address = "postgresql://ada:secret@127.0.0.1:1/shop"
    ran = sagalog("--db", address, "list", environment={"SAGALOG_CONNECT_TIMEOUT": "0.2"})
    assert (ran.code, ran.out) == (5, "")
    assert "secret" not in ran.err
    assert ran.err.count("\n") == 1
