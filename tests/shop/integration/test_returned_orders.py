"""Goods that come back: the parcel is waited for, each line restocked, the money paid back, and undone until then."""

import asyncio
from collections.abc import Iterator

import pytest
from sagas.fulfilment_ways import LOOK_EVERY_SECONDS, at_rest, shop_at_work
from sagas.greeting import run
from sagas.shop import Shop, operations, order

from domain.fulfilment import fulfil_order
from domain.ordering.messages import Line, Order, OrderPlaced, ReturnRequested
from domain.payments.service import CLOSED_ACCOUNT_CARD
from domain.returns import take_back
from domain.shipping.messages import ParcelArrived
from sagalog.process_manager import ProcessManager
from sagalog.store import Query, Store

LINES = (Line(sku="mug", quantity=2), Line(sku="kettle", quantity=1), Line(sku="grinder", quantity=1))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


def request(*, refund_cents: int = 60, instead: Order | None = None) -> ReturnRequested:
    return ReturnRequested(
        return_id="r1",
        order_id="o1",
        lines=LINES,
        refund_cents=refund_cents,
        replacement=None if instead is None else OrderPlaced.of(instead),
    )


async def ended(manager: ProcessManager, return_id: str = "r1") -> str:
    return (await at_rest(manager, take_back.name, [return_id]))[return_id]


async def begun(manager: ProcessManager) -> None:
    while not await asyncio.to_thread(manager.store.sagas_by_key, take_back.name, ["r1"]):
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def replaced(manager: ProcessManager) -> str:
    """Return the status of the one order that was taken as a part of a return."""
    [row] = await asyncio.to_thread(manager.store.find, Query(saga_name=fulfil_order.name))
    return row.status


def test_a_return_is_restocked_line_by_line_paid_back_and_closed(each_database: str | Store, shop: Shop) -> None:
    async def take() -> str:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request())
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager)

    assert run(take()) == "completed"
    assert shop.reconcile_returns({"r1": "completed"}) == []
    assert operations(shop.inventory)[-3:] == [
        ("restock", "mug", 2),
        ("restock", "kettle", 1),
        ("restock", "grinder", 1),
    ]
    assert shop.payments.balance_cents() == 40


def test_a_parcel_that_nobody_has_announced_is_parked_until_a_person_delivers_it(
    each_database: str | Store, shop: Shop
) -> None:
    """Invariant 4: it matches no return yet, so it is parked with the reason, and not lost."""

    async def take() -> str:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(ParcelArrived(return_id="r1"))
            await manager.publish(request())
            # Routed in the order of the log: when the second has begun a return, nobody had taken the first.
            await begun(manager)
            [parked] = await manager.unmatched()
            assert "r1" in parked.reason
            await manager.redeliver(parked.unmatched_id, actor="ada", reason="it is announced now")
            return await ended(manager)

    assert run(take()) == "completed"
    assert shop.reconcile_returns({"r1": "completed"}) == []


def test_a_damaged_parcel_is_not_taken_back(each_database: str | Store, shop: Shop) -> None:
    """Invariant 16: nothing was done, so nothing is undone."""

    async def take() -> str:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request())
            await manager.publish(ParcelArrived(return_id="r1", damaged=True))
            return await ended(manager)

    assert run(take()) == "failed"
    assert shop.reconcile_returns({"r1": "failed"}) == []
    assert operations(shop.inventory)[-1][0] == "reserve"


def test_every_line_is_taken_off_the_shelf_again_when_the_money_cannot_be_paid_back(
    each_database: str | Store, shop: Shop
) -> None:
    """Invariant 27: one compensation for each element that was done, the last first."""

    async def take() -> str:
        async with shop_at_work(each_database, shop) as manager:
            shop.payments.capture("o1", CLOSED_ACCOUNT_CARD, 100, key="o1:pay")
            await manager.publish(request())
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager)

    assert run(take()) == "failed"
    assert shop.reconcile_returns({"r1": "failed"}) == []
    assert operations(shop.inventory)[-3:] == [
        ("withdraw", "grinder", -1),
        ("withdraw", "kettle", -1),
        ("withdraw", "mug", -2),
    ]
    assert shop.inventory.levels()["mug"] == 100_000


def test_a_return_for_more_than_was_paid_is_undone(each_database: str | Store, shop: Shop) -> None:
    async def take() -> str:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request(refund_cents=101))
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager)

    assert run(take()) == "failed"
    assert shop.payments.balance_cents() == 100
    assert shop.reconcile_returns({"r1": "failed"}) == []


def test_what_is_wanted_instead_is_an_order_of_its_own(each_database: str | Store, shop: Shop) -> None:
    async def take() -> tuple[str, str]:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request(instead=order("o2", total_cents=70)))
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager), await replaced(manager)

    assert run(take()) == ("completed", "completed")
    assert shop.reconcile({"o1": "completed", "o2": "completed"}) == []
    assert shop.reconcile_returns({"r1": "completed"}) == []
    assert shop.payments.balance_cents() == 100 + 70 - 60


def test_a_return_is_undone_when_what_is_wanted_instead_cannot_be_had(each_database: str | Store, shop: Shop) -> None:
    """Invariant 15: the child has undone what it did, and the parent undoes what it did before."""

    async def take() -> tuple[str, str]:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request(instead=order("o2").model_copy(update={"destination": "Atlantis"})))
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager), await replaced(manager)

    assert run(take()) == ("failed", "failed")
    assert shop.reconcile({"o1": "completed", "o2": "failed"}) == []
    assert shop.reconcile_returns({"r1": "failed"}) == []


def test_what_was_sent_instead_is_undone_when_the_money_cannot_be_paid_back(
    each_database: str | Store, shop: Shop
) -> None:
    """Invariant 28: a child that has completed is compensated as a whole."""

    async def take() -> tuple[str, str]:
        async with shop_at_work(each_database, shop) as manager:
            shop.fulfil("o1", cents=100)
            await manager.publish(request(refund_cents=101, instead=order("o2", total_cents=70)))
            await manager.publish(ParcelArrived(return_id="r1"))
            return await ended(manager), await replaced(manager)

    assert run(take()) == ("failed", "failed")
    assert shop.reconcile({"o1": "completed", "o2": "failed"}) == []
    assert shop.reconcile_returns({"r1": "failed"}) == []
    assert shop.payments.balance_cents() == 100
