"""Every event of every saga is a record of `sagalog.transitions`, however its saga was begun."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from lab.lab import Lab, in_lab
from sagas.fulfilling import FULFILMENT, OrderCreated, participants
from sagas.message_shop import OrderPlaced, Shop, end_of, placed

from sagalog import Saga
from sagalog.codec import CODEC
from sagalog.errors import StoreError
from sagalog.saga.transitions import OPEN
from sagalog.store import Query, Route, RouteOutcome, Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore


def logged(records: Sequence[logging.LogRecord]) -> dict[str, list[str]]:
    """Return the transitions that were logged, by saga."""
    found = defaultdict[str, list[str]](list)
    for record in records:
        if record.name == "sagalog.transitions":
            found[record.__dict__["saga_id"]].append(record.__dict__["transition"])
    return dict(found)


def recorded(store: Store) -> dict[str, list[str]]:
    """Return the events of every saga, by saga."""
    return {
        row.saga_id: [
            type(one).__name__
            for one in CODEC.decode_all((event.topic, event.state) for event in store.read(row.saga_id))
        ]
        for row in store.find(Query(limit=1000))
    }


def test_sagas_and_choreographies_that_messages_began_are_told_of_from_their_first_event(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(lab: Lab) -> None:
        logging.disable(logging.NOTSET)
        shop = await Shop().begin(lab)
        followed = await lab.begin(participants=participants(), choreographies=[FULFILMENT])
        for key in ("o1", "moon"):
            await placed(shop, key)
        await followed.do(followed.manager.publish(OrderCreated(order_id="c1")))
        assert [await end_of(lab, shop, key) for key in ("o1", "moon")] == ["completed", "failed"]
        rows = lab.stores[0].find
        await lab.until(
            lambda: {row.saga_key for row in rows(Query(limit=9)) if row.status not in OPEN} >= {"o1", "c1"}
        )
        assert len(recorded(lab.stores[0])) == 3
        # What is durable is logged a moment later.
        await lab.until(lambda: logged(caplog.records) == recorded(lab.stores[0]), 10)

    with caplog.at_level(logging.INFO, logger="sagalog.transitions"):
        in_lab(each_database, story)


class Refusing(MemoryStore):
    """Begins no saga by a message for as long as it `refuses`."""

    refuses = True

    def route(self, route: Route) -> RouteOutcome:
        if route.starts and self.refuses:
            raise StoreError("for a while")
        return super().route(route)


def test_a_start_that_was_routed_again_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Messages of one lane that were set aside: the first goes again by itself, and those behind it together."""
    store = Refusing()

    async def story(lab: Lab) -> None:
        logging.disable(logging.NOTSET)
        shop = await Shop().begin(lab)
        for key in ("o1", "o2", "o3"):
            event = OrderPlaced(order_id=key, cents=500)
            await shop.do(shop.manager.publish(event, correlation_id="one lane"))
        while len(await shop.do(shop.manager.unmatched(UnmatchedQuery(statuses=("redelivering",))))) < 3:
            await lab.sleep(1)
        assert logged(caplog.records) == {}
        store.refuses = False
        assert [await end_of(lab, shop, key) for key in ("o1", "o2", "o3")] == ["completed"] * 3
        await lab.until(lambda: logged(caplog.records) == recorded(store), 10)

    with caplog.at_level(logging.INFO, logger="sagalog.transitions"):
        in_lab(store, story)


def wrong_ones(carrier: str) -> Any:
    return {"carrier": [carrier]}


def test_a_mistake_in_attributes_is_a_warning_of_the_event_that_lacks_them(
    each_database: str | Store, caplog: pytest.LogCaptureFixture
) -> None:
    saga = Saga("orders", input=str)

    @saga.step(compensation=None, attributes=wrong_ones)
    def ship(order: str) -> str:
        return "ups"

    async def story(lab: Lab) -> None:
        logging.disable(logging.NOTSET)
        process = await lab.begin([saga])
        assert (await process.execute(saga, "o-1", "o-1")).status == "completed"

    with caplog.at_level(logging.WARNING, logger="sagalog.transitions"):
        in_lab(each_database, story)
    [record] = [one for one in caplog.records if one.name == "sagalog.transitions"]
    assert (record.levelname, record.__dict__["transition"]) == ("WARNING", "StepSucceeded")
    assert record.getMessage() == (
        "orders o-1 StepSucceeded ship, without attributes, and it goes on: InvalidInput: in attributes=: attribute "
        "carrier: expected a text, a number, True, False, a date, an enum of these, or None, found one of type list"
    )
