"""Invariant 36: no row that the store does not take, of a message refused by a broker or sent, holds up a transport."""

import pytest
from lab.lab import Lab, in_lab

from sagalog import Event
from sagalog.errors import StoreError, StoreUnavailable, WriteRefused
from sagalog.store import Route, RouteOutcome, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.broker import MemoryBroker


class Ordered(Event):
    order: str


def sent(broker: MemoryBroker) -> list[str]:
    """Return the ids of all that was ever sent."""
    return [incoming.attributes["id"] for _, incoming in broker.kept]


@pytest.mark.parametrize("kind", [StoreError, StoreUnavailable, WriteRefused])
def test_a_message_that_can_be_neither_sent_nor_parked_holds_up_no_other(kind: type[StoreError]) -> None:
    """An error of one row is not the store's; in the end the message is parked by its digest."""
    store = MemoryStore()
    whole = store.route

    def troubled(route: Route) -> RouteOutcome:
        if any(row.message_id == "large" for row in route.parked):
            raise kind("nothing of this one")
        return whole(route)

    store.route = troubled  # type: ignore[method-assign]

    async def story(lab: Lab) -> None:
        broker = MemoryBroker(largest=1000)
        transport = broker.transport("shop", sends=[Ordered])
        process = await lab.begin(transports=[transport])
        for order, message_id in (("x" * 2000, "large"), ("2", "small")):
            await process.do(process.manager.publish(Ordered(order=order), id=message_id))
        (row,) = await process.parked()
        assert row.message_id.startswith("raw-")
        await process.do(process.manager.publish(Ordered(order="3"), id="later"))
        await lab.until(lambda: sent(broker) == ["small", "later"])

    in_lab(store, story)


def test_a_message_sent_once_more_is_sent_once_more_only_once_while_that_cannot_be_written() -> None:
    """And it holds up no other that is to be sent once more."""
    store = MemoryStore()
    whole = store.route
    in_trouble = set[str]()

    def troubled(route: Route) -> RouteOutcome:
        if in_trouble.intersection(route.redelivered):
            raise StoreUnavailable("a lock on its row")
        return whole(route)

    store.route = troubled  # type: ignore[method-assign]

    async def story(lab: Lab) -> None:
        broker = MemoryBroker(largest=1000)
        process = await lab.begin(transports=[broker.transport("shop", sends=[Ordered])])
        for message_id in ("first", "second"):
            await process.do(process.manager.publish(Ordered(order="x" * 2000), id=message_id))
        rows = {row.message_id: row.unmatched_id for row in await process.parked(2)}
        broker.largest = 10_000
        in_trouble.add(rows["first"])
        for message_id in ("first", "second"):
            await process.do(process.manager.redeliver(rows[message_id], actor="ada", reason="it is larger now"))
        settled = UnmatchedQuery(statuses=["redelivered"])
        await lab.until(lambda: len(store.unmatched(settled)) == 1)
        await lab.sleep(60)
        in_trouble.clear()
        await lab.until(lambda: len(store.unmatched(settled)) == 2)
        # In the order in which they were parked, which may be either.
        assert sent(broker) == sorted(rows, key=rows.__getitem__)

    in_lab(store, story)
