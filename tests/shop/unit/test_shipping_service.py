"""The carrier keeps its promises to a saga, and breaks down exactly as often as it is told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sagas.shop import Shop, from_threads, operations

from domain.errors import AlreadyUndone, KeyReused
from domain.shipping.messages import Shipment
from domain.shipping.service import CarrierDown, CarrierMute, NotServed


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop.db") as shop:
        yield shop


def test_a_booking_gives_a_parcel_to_follow(shop: Shop) -> None:
    answer = shop.carrier.book("o1", "Lisbon", key="k1")
    assert answer == Shipment(tracking_id=answer.tracking_id, order_id="o1", destination="Lisbon")
    assert shop.carrier.live() == {"k1": "o1"}


def test_the_same_key_twice_gives_the_same_shipment_and_one_effect(shop: Shop) -> None:
    """Invariant 7."""
    first = shop.carrier.book("o1", "Lisbon", key="k1")
    assert shop.carrier.book("o1", "Lisbon", key="k1") == first
    assert operations(shop.carrier) == [("book", "Lisbon", 1)]


def test_a_carrier_that_is_down_twice_books_the_third_time(shop: Shop) -> None:
    for _ in range(2):
        with pytest.raises(CarrierDown):
            shop.carrier.book("o1", "Lisbon", key="k1", down_for=2)
        assert operations(shop.carrier) == []
    assert shop.carrier.book("o1", "Lisbon", key="k1", down_for=2).order_id == "o1"


def test_an_outage_is_counted_for_each_key_alone(shop: Shop) -> None:
    with pytest.raises(CarrierDown):
        shop.carrier.book("o1", "Lisbon", key="k1", down_for=1)
    with pytest.raises(CarrierDown):
        shop.carrier.book("o2", "Lisbon", key="k2", down_for=1)
    assert shop.carrier.book("o1", "Lisbon", key="k1", down_for=1).order_id == "o1"


def test_a_mute_carrier_has_booked_although_nobody_heard_it(shop: Shop) -> None:
    with pytest.raises(CarrierDown):
        shop.carrier.book("o1", "Lisbon", key="k1", down_for=1, mute_for=1)
    with pytest.raises(CarrierMute):
        shop.carrier.book("o1", "Lisbon", key="k1", down_for=1, mute_for=1)
    assert shop.carrier.live() == {"k1": "o1"}
    shop.carrier.book("o1", "Lisbon", key="k1", down_for=1, mute_for=1)
    assert operations(shop.carrier) == [("book", "Lisbon", 1)]


def test_a_place_the_carrier_does_not_serve_is_refused(shop: Shop) -> None:
    for _ in range(2):
        with pytest.raises(NotServed, match="no service to Atlantis"):
            shop.carrier.book("o1", "Atlantis", key="k1")
    assert operations(shop.carrier) == []


def test_a_shipment_is_cancelled_once(shop: Shop) -> None:
    """Invariant 23."""
    shop.carrier.book("o1", "Lisbon", key="k1")
    for key in ("k1:undo", "k1:undo", "k1:undo:2"):
        shop.carrier.cancel(undoes="k1", key=key)
    assert shop.carrier.live() == {}
    assert operations(shop.carrier)[1:] == [("cancel", "Lisbon", -1)]


def test_cancelling_what_was_never_booked_changes_nothing(shop: Shop) -> None:
    """Invariant 21: an empty compensation is a no-op that leaves a tombstone."""
    with pytest.raises(CarrierDown):
        shop.carrier.book("o1", "Lisbon", key="k1", down_for=9)
    shop.carrier.cancel(undoes="k1", key="k1:undo")
    assert operations(shop.carrier) == []


def test_a_booking_that_arrives_after_its_cancellation_is_refused(shop: Shop) -> None:
    """Invariant 22: no hanging."""
    shop.carrier.cancel(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone, match="'k1' has been cancelled"):
        shop.carrier.book("o1", "Lisbon", key="k1")
    assert shop.carrier.live() == {}


def test_a_booking_is_not_made_again_under_a_cancelled_key(shop: Shop) -> None:
    """Invariant 22."""
    shop.carrier.book("o1", "Lisbon", key="k1")
    shop.carrier.cancel(undoes="k1", key="k1:undo")
    with pytest.raises(AlreadyUndone):
        shop.carrier.book("o1", "Lisbon", key="k1", mute_for=3)


def test_a_key_used_for_another_destination_is_refused(shop: Shop) -> None:
    shop.carrier.book("o1", "Lisbon", key="k1")
    with pytest.raises(KeyReused, match="destination 'Lisbon', found 'Porto'"):
        shop.carrier.book("o1", "Porto", key="k1")


def test_threads_with_one_key_book_one_parcel(shop: Shop) -> None:
    answers = from_threads(8, lambda: shop.carrier.book("o1", "Lisbon", key="k1"))
    assert answers == [answers[0]] * 8
    assert operations(shop.carrier) == [("book", "Lisbon", 1)]
