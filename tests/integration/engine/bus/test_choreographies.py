"""Choreographies followed by a process manager: from the bus to the tables, on every store."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from sagas.fulfilling import (
    EVENTS,
    FULFILMENT,
    HOUR,
    InventoryReleased,
    OrderCreated,
    OrderEvent,
    RefundRequested,
    fulfilment,
    message,
    participants,
)

from sagalog import Saga
from sagalog.codec import CODEC
from sagalog.errors import DefinitionError, InvalidAction
from sagalog.process_manager import ProcessManager
from sagalog.readmodel.rebuild import rebuild
from sagalog.readmodel.verification import differences
from sagalog.saga.transitions import OPEN
from sagalog.store import Query, Store, UnmatchedQuery

NAME = "order-fulfilment"
OBSERVED = fulfilment(observed=True)

COMPLETED = ("OrderCreated", "InventoryReserved", "PaymentProcessed", "ShipmentCreated")
UNSHIPPED = (*COMPLETED[:3], "ShipmentFailed", "PaymentRefunded", "InventoryReleased")


async def shop(lab: Lab, **options: Any) -> Process:
    """Begin a process with the three services that follows what they do."""
    return await lab.begin(participants=participants(), choreographies=[FULFILMENT], **options)


async def order(process: Process, order_id: str, event: type[OrderEvent] = OrderCreated) -> str:
    return await process.do(process.manager.publish(event(order_id=order_id)))


async def come_to_rest(lab: Lab, keys: Sequence[str]) -> dict[str, str]:
    """Wait until every process with these keys is at rest, and return their statuses."""
    store = lab.stores[0]
    found: dict[str, str] = {}

    def at_rest() -> bool:
        rows = store.sagas_by_key(NAME, list(keys))
        found.update({key: row.status for key, row in rows.items()})
        return len(rows) == len(keys) and not any(row.status in OPEN for row in rows.values())

    await lab.until(at_rest)
    return found


def check_rows(store: Store, choreographies: Sequence[Any] = (FULFILMENT,)) -> None:
    """Every row says what the log says, and computing all of them again changes none."""
    definitions = {one.definition.digest: one.definition for one in choreographies}
    rows = store.find(Query(limit=1000))
    steps = {row.saga_id: store.steps(row.saga_id) for row in rows}
    for row in rows:
        events = CODEC.decode_all((event.topic, event.state) for event in store.read(row.saga_id))
        assert differences(definitions[row.definition], row, steps[row.saga_id], [], events) == []
    rebuild(store, definitions)
    assert store.find(Query(limit=1000)) == rows
    assert {row.saga_id: store.steps(row.saga_id) for row in rows} == steps


def test_a_choreographed_order_has_a_status_and_steps_like_any_other(each_database: str | Store) -> None:
    """Invariants 4 and 48."""

    async def story(lab: Lab) -> None:
        process = await shop(lab)
        message_id = await order(process, "o-1")
        assert await come_to_rest(lab, ["o-1"]) == {"o-1": "completed"}
        store = lab.stores[0]
        row = store.latest_run(NAME, "o-1")
        assert row is not None
        assert row.correlation_id == message_id
        steps = [(step.step, step.direction, step.status) for step in store.steps(row.saga_id)]
        assert steps == [(name, "action", "succeeded") for name in COMPLETED[1:]]
        result = await process.result(row.saga_id)
        assert result.status == "completed"
        assert result.data["PaymentProcessed"] == EVENTS["PaymentProcessed"](order_id="o-1")
        assert store.unmatched(UnmatchedQuery()) == []
        check_rows(store)

    in_lab(each_database, story)


def test_every_way_that_it_can_go_ends_as_its_contract_says(each_database: str | Store) -> None:
    """Invariants 4, 15, 25 and 48: twelve orders side by side, and a person who helps with a refund."""

    async def story(lab: Lab) -> None:
        process = await shop(lab)
        kinds = {
            "good": "completed",
            "rejected": "failed",
            "unpaid": "failed",
            "unshipped": "failed",
            "closed": "stuck",
        }
        expected = {f"{kind}-{number}": status for kind, status in kinds.items() for number in range(3)}
        for order_id in expected:
            await order(process, order_id)
        assert await come_to_rest(lab, list(expected)) == expected
        store = lab.stores[0]
        closed = store.latest_run(NAME, "closed-1")
        assert closed is not None
        assert closed.error_text == "RefundFailed came, from which only a person can go on"
        with pytest.raises(InvalidAction, match="nobody runs a choreography"):
            await process.do(process.manager.resume(closed.saga_id, actor="ada", reason="please"))
        check_rows(store)
        # Somebody who knows the order and no correlation id.
        await order(process, "closed-1", RefundRequested)
        await lab.until(lambda: store.status(closed.saga_id).status == "failed")  # type: ignore[union-attr]
        undone = {(step.step, step.status) for step in store.steps(closed.saga_id) if step.undoes is not None}
        assert undone == {("InventoryReserved", "compensated"), ("PaymentProcessed", "compensated")}
        assert len(store.find(Query(key="closed-1"))) == 1
        check_rows(store)

    in_lab(each_database, story)


def test_an_observed_bus_may_shuffle_and_repeat_what_it_carries(each_database: str | Store) -> None:
    """Invariants 4, 7, 15 and 48: each event three times, in any order, while the process is killed again and again."""

    async def story(lab: Lab) -> None:
        orders = {f"o-{number}": COMPLETED if number % 2 else UNSHIPPED for number in range(20)}
        carried = [message(name, order=key) for key, names in orders.items() for name in names] * 3
        Random(11).shuffle(carried)
        process = await lab.begin(choreographies=[OBSERVED])
        for number, envelope in enumerate(carried):
            await process.do(process.manager.handle(envelope))
            if number % 50 == 25:
                process.kill()
                process = await lab.begin(choreographies=[OBSERVED])
        expected = {key: "completed" if names is COMPLETED else "failed" for key, names in orders.items()}
        assert await come_to_rest(lab, list(orders)) == expected
        await lab.sleep(10)
        store = lab.stores[-1]
        rows = store.find(Query(limit=100))
        assert len(rows) == len(orders)
        for row in rows:
            there = {(step.step, step.direction): step.status for step in store.steps(row.saga_id)}
            assert there["PaymentProcessed", "action"] == "succeeded"
            assert (there.get(("PaymentProcessed", "compensation")) == "compensated") == (row.status == "failed")
        check_rows(store, [OBSERVED])

    in_lab(each_database, story)


def test_a_process_that_stops_on_its_way_is_stuck_when_its_time_is_over(each_database: str | Store) -> None:
    """Invariants 15, 33 and 48: although whoever followed it has died meanwhile."""

    async def story(lab: Lab) -> None:
        process = await lab.begin(choreographies=[OBSERVED])
        for name in COMPLETED[:2]:
            await process.do(process.manager.handle(message(name)))
        for name in COMPLETED[:1]:
            await process.do(process.manager.handle(message(name, order="o-2")))
        store = lab.stores[0]
        await lab.until(lambda: len(store.find(Query())) == 2)
        await lab.until(lambda: all(row.owner is None for row in store.find(Query())))
        process.kill()
        await lab.sleep(2 * HOUR / 1e6)
        process = await lab.begin(choreographies=[OBSERVED])
        assert await come_to_rest(lab, ["o-1", "o-2"]) == {"o-1": "stuck", "o-2": "failed"}
        check_rows(lab.stores[-1], [OBSERVED])
        for name in COMPLETED[2:]:
            await process.do(process.manager.handle(message(name)))
        await lab.until(lambda: lab.stores[-1].latest_run(NAME, "o-1").status == "completed")  # type: ignore[union-attr]
        check_rows(lab.stores[-1], [OBSERVED])

    in_lab(each_database, story)


def test_an_event_without_a_usable_key_is_parked(each_database: str | Store) -> None:
    """Invariants 4 and 8."""

    async def story(lab: Lab) -> None:
        process = await lab.begin(choreographies=[OBSERVED])
        await order(process, "")
        store = lab.stores[0]
        await lab.until(lambda: len(store.unmatched(UnmatchedQuery())) == 1)
        (parked,) = store.unmatched(UnmatchedQuery())
        assert parked.consumer == f"choreography:{NAME}"
        assert "the key of choreography order-fulfilment could not be found in OrderCreated" in parked.reason
        assert store.find(Query()) == []

    in_lab(each_database, story)


def test_the_same_key_again_is_another_run_and_another_key_another_process(each_database: str | Store) -> None:
    """Invariants 1 and 2: what is followed is what happens; two orders of one number are two processes, both seen."""

    async def story(lab: Lab) -> None:
        process = await shop(lab)
        await order(process, "o-1")
        await come_to_rest(lab, ["o-1"])
        await order(process, "o-1")
        store = lab.stores[0]
        await lab.until(lambda: [row.status for row in store.find(Query(key="o-1"))] == ["completed"] * 2)
        assert sorted(row.run for row in store.find(Query(key="o-1"))) == [1, 2]
        # What is heard without a correlation id is about the newest, although that has ended.
        await order(process, "o-1", InventoryReleased)
        await lab.until(lambda: [row.status for row in store.find(Query(key="o-1"))] == ["stuck", "completed"])
        created = OrderCreated(order_id="o-2")
        await process.do(process.manager.publish(created, correlation_id="one cause"))
        created = OrderCreated(order_id="o-3")
        await process.do(process.manager.publish(created, correlation_id="one cause"))
        assert await come_to_rest(lab, ["o-2", "o-3"]) == {"o-2": "completed", "o-3": "completed"}

    in_lab(each_database, story)


def test_an_event_may_start_a_saga_and_belong_to_two_choreographies(each_database: str | Store) -> None:
    saga = Saga("greet", input=OrderCreated, key=lambda order: order.order_id)
    saga.started_by(OrderCreated, input=lambda event: event)

    @saga.step(compensation=None)
    def greet(order: OrderCreated) -> None: ...

    async def story(lab: Lab) -> None:
        other = fulfilment(observed=True)
        other.name = "watched"
        process = await lab.begin([saga], participants=participants(), choreographies=[FULFILMENT, other])
        await order(process, "o-1")
        store = lab.stores[0]
        await lab.until(lambda: [row.status for row in store.find(Query(key="o-1"))] == ["completed"] * 3)
        assert {row.saga_name for row in store.find(Query())} == {"greet", NAME, "watched"}

    in_lab(each_database, story)


def test_a_saga_and_a_choreography_cannot_have_one_name() -> None:
    saga = Saga(NAME, input=OrderCreated, key=lambda order: order.order_id, version=2)

    @saga.step(compensation=None)
    def greet(order: OrderCreated) -> None: ...

    with pytest.raises(DefinitionError, match="a saga and a choreography are called order-fulfilment"):
        ProcessManager("memory://", sagas=[saga], choreographies=[OBSERVED])
