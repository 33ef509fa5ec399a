"""Attributes from the input and from later results, on every store: written, found, rebuilt, and never in the way."""

from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from msgspec import Struct

from sagalog import ChildResult, Choreography, Event, Saga
from sagalog.codec import CODEC
from sagalog.errors import InvalidInput, SagaNotFound
from sagalog.readmodel.rebuild import rebuild
from sagalog.readmodel.verification import differences
from sagalog.saga.attributes import Attributes
from sagalog.store import Store


class Order(Struct, frozen=True):
    order_id: str
    customer: Any = "c-1"


class Shipment(Struct, frozen=True):
    carrier: str


class Placed(Event):
    order_id: str
    customer: Any


class Arrived(Event):
    order_id: str
    city: str


def of_order(order: Order) -> Attributes:
    return {"customer": order.customer, "country": "DE"}


def misspelt(thing: Any) -> Attributes:
    return {"customer": thing.custmer}


def nothing(_: object) -> Any:
    return None


def orders(found: Any = of_order, **options: Any) -> Saga[Order]:
    saga = Saga("orders", input=Order, key=lambda order: order.order_id, attributes=found)

    def ship(order: Order) -> Shipment:
        return Shipment("ups")

    step: Any = saga.step
    step(compensation=None, **options)(ship)

    saga.wait_for(Arrived, key=lambda event: event.order_id, attributes=lambda event: {"city": event.city})
    saga.started_by(Placed, input=lambda event: Order(event.order_id, event.customer))
    return saga


def wrong_ones(given: object) -> Any:
    return {"carrier": [given]}


def of_result(shipment: Shipment) -> dict[str, str | None]:
    return {"carrier": shipment.carrier, "country": None}


async def held(process: Process, key: str) -> dict[str, Any]:
    """Return the attributes of a saga as its rows have them."""
    row = await process.do(process.manager.status(key))
    rows = await process.do(process.manager.attributes(row.saga_id))
    return {one.name: one.value if one.number is None else one.number for one in rows}


async def completed(process: Process, key: str) -> None:
    row = await process.do(process.manager.status(key))
    await process.do(process.manager.publish(Arrived(order_id=key, city="Ulm")))
    assert (await process.result(row.saga_id)).status == "completed"


def test_a_start_a_result_and_an_event_bring_attributes(each_database: str | Store) -> None:
    """Invariant 45: the log alone gives the same rows, even to code that does not know how they were found."""

    async def story(lab: Lab) -> None:
        saga = orders(attributes=of_result)
        process = await lab.begin([saga])
        await process.start(saga, Order("o-1"), "o-1")
        await completed(process, "o-1")
        assert await held(process, "o-1") == {"customer": "c-1", "carrier": "ups", "city": "Ulm"}
        find = process.manager.find
        found = await process.do(find(attributes=[("carrier", "=", "ups"), ("city", ">", "U")]))
        assert [row.saga_key for row in found] == ["o-1"]
        assert await process.do(find(attributes=[("country", "=", "DE")])) == []
        await process.stop()
        [row] = found
        store = lab.stores[0]
        store.open()
        rows = store.attributes([row.saga_id])
        store.rewrite([row], [])
        assert store.attributes([row.saga_id]) == {}
        events = history(store, row.saga_id)
        found_wrong = differences(None, row, [], [], events, ()) or []
        assert [text for text in found_wrong if "attributes" in text] == [
            f"saga_attributes of {name}: expected a row, found none" for name in ("customer", "carrier", "city")
        ]
        forgetful = orders(found=None).definition
        assert rebuild(store, {forgetful.digest: forgetful}).sagas == 1
        assert store.attributes([row.saga_id]) == rows
        store.close()

    in_lab(each_database, story)


def history(store: Store, saga_id: str) -> list[Any]:
    return CODEC.decode_all((event.topic, event.state) for event in store.read(saga_id))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (misspelt, "attributes= of saga orders raised AttributeError"),
        (
            wrong_ones,
            "attributes= of saga orders: attribute carrier: expected a text",
        ),
        (nothing, "attributes= of saga orders: expected attributes such as"),
    ],
)
def test_a_start_whose_attributes_are_wrong_is_refused_and_nothing_is_written(
    each_database: str | Store, found: Any, said: str
) -> None:
    async def story(lab: Lab) -> None:
        saga = orders(found)
        process = await lab.begin([saga])
        with pytest.raises(InvalidInput, match=said):
            await process.start(saga, Order("o-1"), "o-1")
        assert await process.do(process.manager.counts()) == {}
        assert lab.stores[0].read_log(0, 10) == []

    in_lab(each_database, story)


def test_an_event_that_starts_a_saga_is_parked_if_its_attributes_are_wrong(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process = await lab.begin([orders()])
        await process.do(process.manager.publish(Placed(order_id="o-1", customer=["c"])))
        [parked] = await process.parked()
        assert "saga orders could not be started by Placed: InvalidInput: attribute customer" in parked.reason
        await process.do(process.manager.publish(Placed(order_id="o-2", customer="c-2")))
        while not await process.do(process.manager.find(key="o-2")):
            await lab.sleep(0.5)
        assert (await held(process, "o-2"))["customer"] == "c-2"

    in_lab(each_database, story)


def test_a_later_mistake_is_recorded_and_the_saga_goes_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        saga = orders(attributes=misspelt)
        process = await lab.begin([saga])
        await process.start(saga, Order("o-1"), "o-1")
        await completed(process, "o-1")
        assert await held(process, "o-1") == {"customer": "c-1", "country": "DE", "city": "Ulm"}
        state = await process.do(process.manager.state((await process.do(process.manager.status("o-1"))).saga_id))
        assert state.attributes_error is not None
        assert (state.attributes_error.type, state.attributes_error.step) == ("AttributeError", "ship")

    in_lab(each_database, story)


def test_a_child_brings_its_own_and_a_mistake_stops_no_parent(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        child: Saga[Shipment] = Saga("parcels", input=Shipment, attributes=lambda given: {"carrier": given.carrier})
        child.sleep(1)
        wrong: Saga[Shipment] = Saga("letters", input=Shipment, attributes=wrong_ones)
        wrong.sleep(1)
        parent: Saga[Order] = Saga("orders", input=Order, key=lambda order: order.order_id)

        def by(result: ChildResult) -> dict[str, str]:
            return {"parcel": result.saga_id}

        parent.child(child, input=lambda order: Shipment("ups"), compensation=None, attributes=by)
        parent.child(wrong, input=lambda order: Shipment("dhl"), compensation=None)
        process = await lab.begin([parent, child, wrong])
        result = await process.execute(parent, Order("o-1"), "o-1")
        assert result.status == "completed"
        [parcel] = await process.do(process.manager.find(saga_name="parcels"))
        [letter] = await process.do(process.manager.find(saga_name="letters"))
        assert await held(process, parcel.saga_id) == {"carrier": "ups"}
        assert await held(process, letter.saga_id) == {}
        assert await held(process, "o-1") == {"parcel": parcel.saga_id}
        mistake = (await process.do(process.manager.state(letter.saga_id))).attributes_error
        assert mistake is not None
        assert "attribute carrier: expected a text" in mistake.message

    in_lab(each_database, story)


def test_a_followed_process_is_found_by_what_its_events_brought(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shipping = Choreography("shipping", key="order_id", starts_with=Placed, completes_with=Arrived, observed=True)
        shipping.attributes_from(Placed, lambda event: {"customer": event.customer})
        shipping.attributes_from(Arrived, lambda event: {"city": event.city})
        process = await lab.begin(choreographies=[shipping])
        await process.do(process.manager.publish(Placed(order_id="o-1", customer="c-9")))
        await process.do(process.manager.publish(Arrived(order_id="o-1", city="Ulm")))
        while not await process.do(process.manager.find(statuses=["completed"])):
            await lab.sleep(0.5)
        assert await held(process, "o-1") == {"customer": "c-9", "city": "Ulm"}

    in_lab(each_database, story)


def test_the_attributes_of_no_saga_are_an_error(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        process = await lab.begin([orders()])
        with pytest.raises(SagaNotFound):
            await process.do(process.manager.attributes("no such saga"))

    in_lab(each_database, story)
