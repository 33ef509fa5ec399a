"""An event that cannot be mapped is parked with its error; later ones of its aggregate wait for it, others go on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from databases.stores import EACH_KIND
from databases.trouble import DatabaseTrouble
from eventsourcing.persistence import StoredEvent
from followed.bookshop import HANDLERS, Bookshop, Order, OrderPaid, bookshop, order_id, paid, placed
from followed.following import Target, manager_of, numbers, parked, position, published, until
from msgspec import json

from sagalog import Event
from sagalog.engine.following import follower
from sagalog.store import UnmatchedRow
from sagalog.stores.memory.store import MemoryStore

NOW = 1_700_000_000_000_000


def paid_in_money(happened: Order.Paid) -> OrderPaid:
    """The bug: nobody thought of refunds."""
    if happened.cents < 0:
        raise ValueError(f"{happened.cents} is no amount")
    return paid(happened)


BUGGY: dict[type, Callable[..., Event]] = {Order.Placed: placed, Order.Paid: paid_in_money}


def told(target: Target) -> list[tuple[str, int]]:
    """Return what was told of payments: whose, and how much."""
    payments = [json.decode(one.data, type=OrderPaid) for one in published(target.eye) if one.name == "OrderPaid"]
    names = {str(order_id(number)): f"order {number}" for number in range(10)}
    return [(names[payment.order_id], payment.cents) for payment in payments]


async def follow(target: Target, shop: Bookshop, true: Callable[[], bool], handlers: Any = BUGGY) -> None:
    """Follow the application until something is true, then shut down."""
    manager = manager_of(target.database)
    manager.follow(shop, handlers, batch=3)
    async with manager:
        await until(true)


def with_a_refund(target: Target, shop: Bookshop) -> None:
    """Two orders, a refund of the first in the middle, which cannot be mapped."""
    shop.place(1)
    shop.place(2)
    shop.pay(1, 10)
    shop.pay(1, -5)
    shop.pay(2, 20)
    shop.pay(1, 30)
    asyncio.run(follow(target, shop, lambda: position(target.eye) == 6))


def settle(target: Target, status: str, which: int = 0) -> None:
    """Do what an operator does."""
    row = parked(target.eye)[which]
    assert target.eye.settle_unmatched(row.unmatched_id, status, "ann", "mended", NOW)


def test_what_comes_after_a_parked_one_waits_and_other_aggregates_go_on(
    each_target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 36."""
    with bookshop("popo") as shop, caplog.at_level(logging.WARNING):
        with_a_refund(each_target, shop)
    assert told(each_target) == [("order 1", 10), ("order 2", 20)]
    refund, later = parked(each_target.eye)
    assert (refund.consumer, refund.message_id, refund.name) == ("follow:Bookshop", "follow:Bookshop:4", "Order.Paid")
    assert refund.reason == "ValueError: -5 is no amount"
    assert '"notification_id":4' in refund.message
    assert later.reason == "waits for notification 4 of the same aggregate, which is parked; settle that one"
    assert "follow:Bookshop: notification 4 is parked: ValueError: -5 is no amount" in caplog.text


def test_whoever_takes_over_lets_them_wait_too(each_target: Target) -> None:
    """Invariant 36: that an aggregate waits is in the store, not in a process."""
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        shop.pay(1, 40)
        shop.pay(2, 50)
        asyncio.run(follow(each_target, shop, lambda: position(each_target.eye) == 8))
    assert told(each_target) == [("order 1", 10), ("order 2", 20), ("order 2", 50)]
    assert len(parked(each_target.eye)) == 3


def test_what_is_redelivered_to_a_mended_handler_is_told_and_all_that_waited_for_it(each_target: Target) -> None:
    """Invariants 7 and 36."""
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        settle(each_target, "redelivering")
        shop.pay(1, 40)
        asyncio.run(follow(each_target, shop, lambda: len(told(each_target)) == 5, HANDLERS))
        assert told(each_target)[2:] == [("order 1", -5), ("order 1", 30), ("order 1", 40)]
        assert parked(each_target.eye, "parked", "redelivering") == []
        by_whom = [row.actor for row in parked(each_target.eye, "redelivered")]
        assert by_whom[:2] == ["ann", "sagalog"]
        # The lane is free again.
        shop.pay(1, 60)
        asyncio.run(follow(each_target, shop, lambda: position(each_target.eye) == 8))
        assert told(each_target)[-1] == ("order 1", 60)


def test_what_fails_again_is_parked_again_with_what_it_says_now(each_target: Target) -> None:
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        settle(each_target, "redelivering")

        def now_another(happened: Order.Paid) -> OrderPaid:
            if happened.cents < 0:
                raise LookupError("no such refund")
            return paid(happened)

        handlers = {Order.Placed: placed, Order.Paid: now_another}
        asyncio.run(follow(each_target, shop, lambda: len(parked(each_target.eye)) == 2, handlers))
    refund, later = sorted(parked(each_target.eye), key=lambda row: row.message_id)
    assert (refund.reason, refund.actor) == ("LookupError: no such refund", None)
    assert later.reason.startswith("waits for notification 4")
    assert len(told(each_target)) == 2


def test_what_waited_for_a_discarded_one_goes_on(each_target: Target) -> None:
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        settle(each_target, "discarded")
        asyncio.run(follow(each_target, shop, lambda: len(told(each_target)) == 3))
    assert told(each_target)[-1] == ("order 1", 30)
    assert [row.reason for row in parked(each_target.eye, "discarded")] == ["ValueError: -5 is no amount"]


def test_one_that_is_redelivered_before_an_earlier_one_is_settled_waits_for_it(each_target: Target) -> None:
    """Invariant 36."""
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        settle(each_target, "redelivering", which=1)
        shop.place(3)
        asyncio.run(follow(each_target, shop, lambda: 3 in numbers(each_target.eye)))
        assert len(told(each_target)) == 2
        settle(each_target, "discarded")
        asyncio.run(follow(each_target, shop, lambda: len(told(each_target)) == 3))
    assert told(each_target)[-1] == ("order 1", 30)


def test_one_whose_class_is_not_followed_any_more_says_so(each_target: Target) -> None:
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        settle(each_target, "redelivering")

        def said() -> bool:
            return any("its class is not followed any more" in row.reason for row in parked(each_target.eye))

        asyncio.run(follow(each_target, shop, said, {Order.Placed: placed}))


def test_an_entry_that_cannot_be_decoded_is_parked(each_target: Target) -> None:
    with bookshop("popo") as shop:
        states = [b"", b"{", b"[]", b'{"_type_": "nope", "_data_": 1}', b"\xff\xfe", b'{"number": 1}', b"null"]
        for state in states:
            shop.recorder.insert_events([StoredEvent(uuid4(), 1, "followed.bookshop:Order.Placed", state)])
        shop.place(5)
        asyncio.run(follow(each_target, shop, lambda: position(each_target.eye) == 8))
    assert numbers(each_target.eye) == [5]
    assert len(parked(each_target.eye)) == len(states)
    assert all(row.reason for row in parked(each_target.eye))


def test_a_thousand_that_fail_are_parked_and_do_not_stop_the_others() -> None:
    """Invariant 36."""

    def odd_ones_fail(happened: Order.Placed) -> object:
        return placed(happened) if happened.number % 2 else happened.nothing  # type: ignore[attr-defined]

    store = MemoryStore()
    target = Target(store, store)
    with bookshop("popo") as shop:
        shop.place_many(range(2000))
        asyncio.run(follow(target, shop, lambda: position(target.eye) == 2000, {Order.Placed: odd_ones_fail}))
    assert numbers(target.eye) == [*range(1, 2000, 2)]
    assert len(parked(target.eye)) == 1000


def test_an_event_whose_message_the_database_does_not_take_is_parked_and_the_others_are_told(
    each_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 36: in a batch with others, whatever the database has against it."""
    if not isinstance(each_target.database, str):
        pytest.skip("a store in memory has no triggers")
    monkeypatch.setattr(follower, "MOST_REFUSALS", 2)
    with bookshop("popo") as shop:
        for number, cents in ((1, 10), (2, 20), (3, 30)):
            shop.place(number)
            shop.pay(number, cents)
        trouble = DatabaseTrouble(each_target.database)
        # The follower's id of the fourth notification, the payment of the second order.
        with trouble.forbidding("saga_messages", "NEW.message_id LIKE 'follow:%:4:0'", "23514"):
            asyncio.run(follow(each_target, shop, lambda: len(parked(each_target.eye)) == 1, HANDLERS))
    assert told(each_target) == [("order 1", 10), ("order 3", 30)]
    (row,) = parked(each_target.eye)
    assert "not today" in row.reason


@pytest.mark.parametrize("code", ["42P01", "40001", "57P04"])
def test_an_event_in_trouble_for_a_while_is_told_afterwards_and_the_others_meanwhile(
    each_target: Target, code: str
) -> None:
    """Invariant 36: later ones of its aggregate wait for it, and no person has to do anything about it."""
    if not isinstance(each_target.database, str):
        pytest.skip("a store in memory has no triggers")
    if each_target.database.startswith("sqlite:") and code != "42P01":
        pytest.skip("SQLite has one such code")

    async def story(shop: Bookshop, trouble: DatabaseTrouble) -> None:
        manager = manager_of(each_target.database)
        manager.follow(shop, HANDLERS, batch=3)
        async with manager:
            with trouble.forbidding("saga_messages", "NEW.message_id LIKE 'follow:%:4:0'", code):
                await until(lambda: position(each_target.eye) == 6)
                shop.pay(2, 25)
                shop.pay(3, 35)
                await until(lambda: len(told(each_target)) == 3)
                assert told(each_target) == [("order 1", 10), ("order 3", 30), ("order 3", 35)]
                assert parked(each_target.eye) == []
                first, second = parked(each_target.eye, "redelivering")
                assert first.reason.startswith("it could not be written yet: ")
                assert second.reason.startswith("waits for notification 4 of the same aggregate, which could not")
            await until(lambda: len(told(each_target)) == 5)

    with bookshop("popo") as shop:
        for number, cents in ((1, 10), (2, 20), (3, 30)):
            shop.place(number)
            shop.pay(number, cents)
        asyncio.run(story(shop, DatabaseTrouble(each_target.database)))
    assert told(each_target)[3:] == [("order 2", 20), ("order 2", 25)]


def spoil(target: Target, row: UnmatchedRow, notification_id: str) -> None:
    assert isinstance(target.database, str)
    DatabaseTrouble(target.database).execute(
        "UPDATE saga_unmatched SET message = 'no JSON', "
        f"message_id = 'follow:Bookshop:{notification_id}' WHERE unmatched_id = '{row.unmatched_id}'"
    )


@pytest.mark.parametrize("each_database", EACH_KIND[1:], indirect=True)
def test_a_damaged_row_keeps_its_aggregate_waiting_as_before(each_target: Target) -> None:
    """Invariant 36: the log of the application still knows whose it is."""
    with bookshop("popo") as shop:
        with_a_refund(each_target, shop)
        refund, _ = parked(each_target.eye)
        spoil(each_target, refund, "4")
        shop.pay(1, 40)
        shop.pay(2, 50)
        asyncio.run(follow(each_target, shop, lambda: position(each_target.eye) == 8))
        assert told(each_target) == [("order 1", 10), ("order 2", 20), ("order 2", 50)]
        settle(each_target, "redelivering")
        asyncio.run(follow(each_target, shop, lambda: len(told(each_target)) == 6, HANDLERS))
    assert told(each_target)[3:] == [("order 1", -5), ("order 1", 30), ("order 1", 40)]


@pytest.mark.parametrize("each_database", EACH_KIND[1:], indirect=True)
def test_a_row_of_which_nobody_knows_what_it_is_about_is_named_and_stops_nobody(
    each_target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with bookshop("popo") as shop, caplog.at_level(logging.WARNING):
        with_a_refund(each_target, shop)
        refund, _ = parked(each_target.eye)
        spoil(each_target, refund, "of nobody")
        shop.pay(2, 50)
        asyncio.run(follow(each_target, shop, lambda: position(each_target.eye) == 7))
    assert ("order 2", 50) in told(each_target)
    said = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert len(said) == 1
    assert f"row {refund.unmatched_id} of saga_unmatched (follow:Bookshop:of nobody) is damaged" in said[0]
