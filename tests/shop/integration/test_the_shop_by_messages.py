"""The shop's sagas begin with events and ask by command, and leave the same in the shop as local steps would."""

import asyncio
from collections.abc import Iterator

import pytest
from sagas.fulfilment_ways import CHOREOGRAPHED, LOOK_EVERY_SECONDS, at_rest, shop_at_work
from sagas.greeting import run
from sagas.shop import Shop, order

from domain.fulfilment_remote import fulfil_order_remotely
from domain.ordering.messages import CARRIER_NEVER, OrderCreated, OrderPlaced
from domain.payments.messages import RefundRequested
from domain.payments.service import CLOSED_ACCOUNT_CARD
from sagalog.process_manager import ProcessManager
from sagalog.store import Store


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


def test_an_order_that_is_placed_twice_is_fulfilled_once(each_database: str | Store, shop: Shop) -> None:
    """Invariants 1 and 2: the second message with the order's id starts nothing."""

    async def place() -> None:
        async with shop_at_work(each_database, shop) as manager:
            for _ in range(2):
                await manager.publish(OrderPlaced.of(order("o1")))
                assert await at_rest(manager, "order-fulfilment", ["o1"]) == {"o1": "completed"}

    run(place())
    assert shop.reconcile({"o1": "completed"}) == []


def test_an_event_that_is_no_order_is_parked_with_the_reason(each_database: str | Store, shop: Shop) -> None:
    async def place() -> None:
        async with shop_at_work(each_database, shop) as manager:
            await manager.publish(OrderPlaced.of(order("o0").model_copy(update={"total_cents": -5})))
            await manager.publish(OrderPlaced.of(order("o1")))
            assert await at_rest(manager, "order-fulfilment", ["o1"]) == {"o1": "completed"}
            [parked] = await manager.unmatched()
            assert "total_cents" in parked.reason

    run(place())
    assert shop.reconcile({"o1": "completed"}) == []


TROUBLES: dict[str, tuple[dict[str, object], str]] = {
    "fine": ({}, "completed"),
    "declined": ({"card_token": "tok_declined"}, "failed"),
    "unserved": ({"destination": "Atlantis"}, "failed"),
    "carrier never": ({"carrier_down_for": CARRIER_NEVER}, "failed"),
    "closed account": ({"card_token": CLOSED_ACCOUNT_CARD, "destination": "Atlantis"}, "stuck"),
}


def test_a_payment_that_is_asked_by_command_ends_as_a_local_one(each_database: str | Store, shop: Shop) -> None:
    """Invariants 9, 15 and 16, over every way in which an order can end."""
    wanted = {f"o-{n}": (order(f"o-{n}").model_copy(update=TROUBLES[kind][0]), kind) for n, kind in enumerate(TROUBLES)}

    async def fulfil_all() -> dict[str, str]:
        async with shop_at_work(each_database, shop) as manager:
            runs = [await manager.start(fulfil_order_remotely, one) for one, _ in wanted.values()]
            return {run.key: (await run.result(timeout=15)).status for run in runs}

    ended = run(fulfil_all())
    assert ended == {key: TROUBLES[kind][1] for key, (_, kind) in wanted.items()}
    assert shop.reconcile(ended) == []


def test_a_refund_that_was_refused_is_made_once_a_person_has_talked_to_the_bank(
    each_database: str | Store, shop: Shop
) -> None:
    """Invariants 24 and 30: stuck, then undone to the end."""
    unlucky = order("o1").model_copy(update=TROUBLES["closed account"][0])

    async def fulfil_and_resume() -> str:
        async with shop_at_work(each_database, shop) as manager:
            started = await manager.start(fulfil_order_remotely, unlucky)
            assert (await started.result(timeout=15)).status == "stuck"
            shop.payments.reopen_account("o1")
            await manager.resume(started.id, actor="ada", reason="the account is open again")
            return (await started.result(timeout=15)).status

    assert run(fulfil_and_resume()) == "failed"
    assert shop.reconcile({"o1": "failed"}) == []


def test_an_order_that_is_told_twice_is_followed_and_fulfilled_once(each_database: str | Store, shop: Shop) -> None:
    """Invariants 1 and 7: the effects are known by the order, not by the message."""

    async def tell() -> dict[str, str]:
        async with shop_at_work(each_database, shop) as manager:
            for message_id in ("m1", "m1", "m2"):
                await manager.publish(OrderCreated.of(order("o1")), id=message_id, correlation_id="c1")
            return await at_rest(manager, CHOREOGRAPHED, ["o1"])

    assert run(tell()) == {"o1": "completed"}
    assert shop.reconcile({"o1": "completed"}) == []


def test_a_refund_with_nobody_in_charge_is_made_once_a_person_asks_for_it_again(
    each_database: str | Store, shop: Shop
) -> None:
    """Invariants 24 and 26: stuck and visible while the money is with the shop, and undone to the end after that."""
    unlucky = order("o1").model_copy(update=TROUBLES["closed account"][0])

    async def tell_and_ask() -> str:
        async with shop_at_work(each_database, shop) as manager:
            await manager.publish(OrderCreated.of(unlucky), correlation_id="c1")
            assert await at_rest(manager, CHOREOGRAPHED, ["o1"]) == {"o1": "stuck"}
            shop.payments.reopen_account("o1")
            await manager.publish(RefundRequested(order_id="o1"), correlation_id="c1")
            return await status_after(manager, "stuck")

    async def status_after(manager: ProcessManager, before: str) -> str:
        async with asyncio.timeout(15):
            while (status := (await manager.status("o1")).status) in (before, "compensating"):
                await asyncio.sleep(LOOK_EVERY_SECONDS)
        return status

    assert run(tell_and_ask()) == "failed"
    assert shop.reconcile({"o1": "failed"}) == []
