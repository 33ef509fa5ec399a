"""The inventory keeps its promises to a saga: idempotent by key, undone once, never oversold."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sagas.shop import NOON_MICROSECONDS, Shop, from_processes, from_threads, operations

from domain.errors import AlreadyUndone, KeyReused
from domain.inventory.messages import Reservation
from domain.inventory.service import Inventory, OutOfStock


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop.db") as shop:
        shop.inventory.receive("mug", 5, key="opening:mug")
        shop.inventory.receive("kettle", 1, key="opening:kettle")
        yield shop


def test_a_reservation_takes_the_pieces_from_the_shelf(shop: Shop) -> None:
    answer = shop.inventory.reserve("o1", {"mug": 2, "kettle": 1}, key="k1")
    assert answer == Reservation(
        reservation_id=answer.reservation_id, order_id="o1", quantities={"kettle": 1, "mug": 2}
    )
    assert shop.inventory.levels() == {"kettle": 0, "mug": 3}


def test_the_same_key_twice_gives_the_same_reservation_and_one_effect(shop: Shop) -> None:
    """Invariant 7."""
    first = shop.inventory.reserve("o1", {"mug": 2}, key="k1")
    assert shop.inventory.reserve("o1", {"mug": 2}, key="k1") == first
    assert shop.inventory.levels()["mug"] == 3
    assert operations(shop.inventory)[2:] == [("reserve", "mug", -2)]


def test_an_effect_names_its_key_its_order_and_its_time(shop: Shop) -> None:
    shop.inventory.reserve("o1", {"mug": 2}, key="k1")
    effect = shop.inventory.effects()[-1]
    assert (effect.key, effect.order_id, effect.undoes) == ("k1", "o1", None)
    assert effect.happened_at == NOON_MICROSECONDS


def test_a_delivery_announced_twice_counts_once(shop: Shop) -> None:
    shop.inventory.receive("mug", 5, key="opening:mug")
    assert shop.inventory.levels()["mug"] == 5


def test_too_little_of_one_sku_sets_nothing_of_the_others_aside(shop: Shop) -> None:
    with pytest.raises(OutOfStock, match="mug: 6 wanted, 5 on hand"):
        shop.inventory.reserve("o1", {"kettle": 1, "mug": 6}, key="k1")
    assert shop.inventory.levels() == {"kettle": 1, "mug": 5}


def test_an_unknown_sku_is_out_of_stock(shop: Shop) -> None:
    with pytest.raises(OutOfStock, match="moon: 1 wanted, 0 on hand"):
        shop.inventory.reserve("o1", {"moon": 1}, key="k1")


def test_a_refusal_is_remembered_when_the_stock_comes_back(shop: Shop) -> None:
    with pytest.raises(OutOfStock):
        shop.inventory.reserve("o1", {"kettle": 2}, key="k1")
    shop.inventory.receive("kettle", 9, key="delivery-2")
    with pytest.raises(OutOfStock):
        shop.inventory.reserve("o1", {"kettle": 2}, key="k1")
    assert shop.inventory.reserve("o1", {"kettle": 2}, key="k2").order_id == "o1"


def test_a_release_puts_every_piece_back_once(shop: Shop) -> None:
    """Invariant 23."""
    shop.inventory.reserve("o1", {"kettle": 1, "mug": 2}, key="k1")
    for _ in range(3):
        shop.inventory.release(undoes="k1", key="k1:undo")
    assert shop.inventory.levels() == {"kettle": 1, "mug": 5}
    assert operations(shop.inventory)[-2:] == [("release", "kettle", 1), ("release", "mug", 2)]


def test_a_second_release_under_another_key_finds_nothing_to_put_back(shop: Shop) -> None:
    shop.inventory.reserve("o1", {"mug": 2}, key="k1")
    shop.inventory.release(undoes="k1", key="k1:undo")
    shop.inventory.release(undoes="k1", key="k1:undo:2")
    assert shop.inventory.levels()["mug"] == 5


def test_releasing_what_was_never_reserved_changes_nothing(shop: Shop) -> None:
    """Invariant 21: an empty compensation is a no-op that leaves a tombstone."""
    shop.inventory.release(undoes="k1", key="k1:undo")
    assert shop.inventory.levels() == {"kettle": 1, "mug": 5}
    assert len(operations(shop.inventory)) == 2


def test_a_reservation_that_arrives_after_its_release_is_refused(shop: Shop) -> None:
    """Invariant 22: no hanging."""
    shop.inventory.release(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone, match="'k1' has been released"):
        shop.inventory.reserve("o1", {"mug": 1}, key="k1")
    assert shop.inventory.levels()["mug"] == 5


def test_a_reservation_is_not_made_again_under_a_released_key(shop: Shop) -> None:
    """Invariant 22."""
    shop.inventory.reserve("o1", {"mug": 1}, key="k1")
    shop.inventory.release(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone):
        shop.inventory.reserve("o1", {"mug": 1}, key="k1")


def test_releasing_a_refused_reservation_changes_nothing(shop: Shop) -> None:
    with pytest.raises(OutOfStock):
        shop.inventory.reserve("o1", {"mug": 9}, key="k1")
    shop.inventory.release(undoes="k1", key="k1:undo")
    assert shop.inventory.levels()["mug"] == 5


def test_a_key_used_for_other_pieces_is_refused(shop: Shop) -> None:
    shop.inventory.reserve("o1", {"mug": 1}, key="k1")
    with pytest.raises(KeyReused, match="give every operation a key of its own"):
        shop.inventory.reserve("o1", {"mug": 2}, key="k1")
    with pytest.raises(KeyReused, match="order_id"):
        shop.inventory.reserve("o2", {"mug": 1}, key="k1")


@pytest.mark.parametrize("pieces", [0, -1])
def test_a_reservation_cannot_put_pieces_on_the_shelf(shop: Shop, pieces: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1 pieces"):
        shop.inventory.reserve("o1", {"mug": pieces}, key="k1")


def test_a_call_without_a_key_is_refused(shop: Shop) -> None:
    """Invariant 8: no identity, no entry."""
    with pytest.raises(ValueError, match="idempotency key"):
        shop.inventory.reserve("o1", {"mug": 1}, key="")


def test_threads_with_one_key_get_one_reservation(shop: Shop) -> None:
    answers = from_threads(8, lambda: shop.inventory.reserve("o1", {"mug": 2}, key="k1"))
    assert answers == [answers[0]] * 8
    assert shop.inventory.levels()["mug"] == 3


def test_threads_with_many_keys_never_oversell(shop: Shop) -> None:
    keys = iter(range(8))

    def reserve() -> bool:
        number = next(keys)
        try:
            shop.inventory.reserve(f"o{number}", {"mug": 1}, key=f"k{number}")
        except OutOfStock:
            return False
        return True

    assert sum(from_threads(8, reserve)) == 5
    assert shop.inventory.levels()["mug"] == 0


def test_two_processes_fulfil_the_same_orders_once_and_never_oversell(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    order_ids = [f"order-{number}" for number in range(30)]
    with Shop(path) as shop:
        shop.inventory.receive("mug", 20, key="opening:mug")
    first, second = from_processes(path, order_ids)
    assert first == second
    assert len(first) == 10
    with Shop(path) as shop:
        ends = {order_id: "failed" if order_id in first else "completed" for order_id in order_ids}
        assert shop.reconcile(ends) == []
        assert shop.inventory.levels() == {"mug": 0}


def test_what_was_decided_is_there_after_closing_the_file(tmp_path: Path) -> None:
    with Inventory(tmp_path / "shop.db") as inventory:
        inventory.receive("mug", 1, key="opening:mug")
        first = inventory.reserve("o1", {"mug": 1}, key="k1")
    with Inventory(tmp_path / "shop.db") as inventory:
        assert inventory.reserve("o1", {"mug": 1}, key="k1") == first
        assert inventory.levels() == {"mug": 0}
