"""The file the services share: private, durable, all or nothing, and closed when told."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sagas.shop import Shop

from domain.database import Database, statements
from domain.inventory.service import Inventory


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    with Shop(tmp_path / "shop.db"):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_an_operation_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with Shop(tmp_path / "shop.db") as shop:
        shop.inventory.receive("mug", 1, key="k0")
        with pytest.raises(RuntimeError), shop.database.transaction() as connection:
            connection.execute(shop.inventory.statements["put"], {"sku": "mug", "quantity": 7})
            raise RuntimeError("the process loses heart")
        assert shop.inventory.levels() == {"mug": 1}
        shop.inventory.receive("mug", 1, key="k1")
        assert shop.inventory.levels() == {"mug": 2}


def test_an_operation_becomes_part_of_the_transaction_that_it_is_called_in(tmp_path: Path) -> None:
    with Shop(tmp_path / "shop.db") as shop:
        with pytest.raises(RuntimeError), shop.database.transaction():
            shop.payments.capture("o1", "tok_visa", 100, key="k1")
            assert shop.payments.balance_cents() == 100
            raise RuntimeError("the process loses heart")
        assert shop.payments.balance_cents() == 0
        with shop.database.transaction():
            shop.payments.capture("o1", "tok_visa", 100, key="k1")
        assert shop.payments.balance_cents() == 100


def test_a_transaction_of_another_thread_is_waited_for(tmp_path: Path) -> None:
    """It is not joined: the two would be undone together."""
    with Shop(tmp_path / "shop.db") as shop, ThreadPoolExecutor(1) as pool:
        with shop.database.transaction():
            paid = pool.submit(shop.payments.capture, "o1", "tok_visa", 100, key="k1")
            with pytest.raises(TimeoutError):
                paid.result(timeout=0.05)
        assert paid.result().amount_cents == 100
        assert shop.payments.balance_cents() == 100


def test_a_process_that_holds_the_file_too_long_is_not_waited_for_forever(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with Shop(path) as holder, Database(path, busy_seconds=0) as database:
        inventory = Inventory(database)
        locked = pytest.raises(sqlite3.OperationalError, match="locked")
        with holder.database.transaction(), locked:
            inventory.receive("mug", 1, key="k1")
        inventory.receive("mug", 1, key="k1")
        assert inventory.levels() == {"mug": 1}


def test_a_shared_database_outlives_the_service_and_a_path_does_not(tmp_path: Path) -> None:
    with Database(tmp_path / "shop.db") as database:
        with Inventory(database):
            pass
        assert Inventory(database).levels() == {}
    inventory = Inventory(tmp_path / "shop.db")
    inventory.close()
    inventory.close()
    with pytest.raises(sqlite3.ProgrammingError):
        inventory.levels()


def test_a_shop_in_memory_goes_back_to_an_image() -> None:
    with Shop() as shop:
        shop.inventory.receive("mug", 2, key="k0")
        opening = shop.database.image()
        for _ in range(3):
            shop.fulfil("o1")
            assert shop.reconcile({"o1": "completed"}) == []
            shop.database.restore(opening)
            assert shop.inventory.levels() == {"mug": 2}
            assert shop.payments.effects() == []


def test_a_file_is_not_overwritten_with_an_image(tmp_path: Path) -> None:
    refused = pytest.raises(ValueError, match="expected a database in memory")
    with Shop(tmp_path / "shop.db") as shop, refused:
        shop.database.restore(shop.database.image())


def test_a_statement_name_used_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.sql"
    path.write_text("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    with pytest.raises(ValueError, match=r"twice\.sql"):
        statements(path)


def test_a_new_file_that_another_process_is_setting_up_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite does not wait by itself while two processes switch one file to WAL."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        def release(_: float) -> None:
            other.execute("ROLLBACK")

        monkeypatch.setattr("domain.database.sleep", release)
        with Database(path, busy_seconds=0.02) as database:
            assert Inventory(database).levels() == {}
