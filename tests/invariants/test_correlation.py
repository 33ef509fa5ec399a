"""Invariants 4, 7 and 8: whose a message is, what is refused at the door, and what is parked; on every store."""

import pytest
from lab.lab import Lab, in_lab
from msgspec import Raw
from msgspec.structs import replace
from sagas.message_shop import (
    OrderPlaced,
    Packed,
    PaymentTaken,
    Shipped,
    Shop,
    end_of,
    message,
    parked,
    placed,
    row_of,
    types_of,
)

from sagalog import Event
from sagalog.errors import InvalidAction, InvalidIdentifier, InvalidInput, PayloadTooLarge, SagalogError
from sagalog.messages import name_of
from sagalog.store import Store, UnmatchedQuery


class Strange(Event):
    order_id: str


@pytest.mark.parametrize(
    ("event", "fields", "reason"),
    [
        (Packed(order_id="nobody"), {}, "no saga fulfil has the key 'nobody', which Packed is for"),
        (Shipped(order_id="o1"), {"causation_id": "never"}, "Shipped answers never, and nobody knows of a command"),
        (Shipped(order_id="o1"), {}, "Shipped does not say what caused it, and no open saga has its correlation id"),
        (OrderPlaced(order_id="", cents=1), {}, "saga fulfil could not be started by OrderPlaced: InvalidIdentifier"),
        (Strange(order_id="o1"), {}, "nobody knows events called Strange"),
    ],
)
def test_a_message_that_is_for_no_saga_is_parked_with_the_reason(
    each_database: str | Store, event: Event, fields: dict[str, str], reason: str
) -> None:
    """Invariant 4."""

    async def story(lab: Lab) -> None:
        process = await Shop(waits=True).begin(lab)
        assert await process.do(process.manager.handle(message(event, **fields)))
        (row,) = await parked(lab, process)
        assert reason in row.reason
        assert (row.message_id, row.name, row.source) == ("m-1", name_of(type(event)), "elsewhere")
        # Others go on.
        await placed(process, "o2")
        await lab.until(lambda: lab.stores[0].latest_run("fulfil", "o2") is not None)

    in_lab(each_database, story)


def test_a_reply_that_says_no_cause_is_for_the_only_open_saga_of_its_correlation(each_database: str | Store) -> None:
    """Invariant 4."""

    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await lab.begin([shop.saga])
        message_id = await placed(process, "o1")
        store = lab.stores[0]
        await lab.until(lambda: len(store.read_messages(0, 10)) == 2)
        paid = message(PaymentTaken(order_id="o1", payment="p"), "m-1", correlation_id=message_id)
        sent = message(Shipped(order_id="o1"), "m-2", correlation_id=message_id)
        await process.do(process.manager.handle(paid))
        await lab.until(lambda: len(store.read_messages(0, 10)) == 4)
        await process.do(process.manager.handle(sent))
        assert await end_of(lab, process, "o1") == "completed"

    in_lab(each_database, story)


def test_a_parked_message_is_routed_again_when_a_person_says_so(each_database: str | Store) -> None:
    """Invariants 4 and 7: it is delivered once, and parked again with the new reason if nobody can take it still."""

    async def story(lab: Lab) -> None:
        shop = Shop(waits=True)
        process = await shop.begin(lab)
        manager = process.manager
        await process.do(manager.handle(message(Packed(order_id="o1"))))
        (row,) = await parked(lab, process)
        await process.do(manager.redeliver(row.unmatched_id, actor="ada", reason="try again"))
        await parked(lab, process)
        await placed(process, "o1")
        store = lab.stores[0]
        await lab.until(lambda: store.latest_run("fulfil", "o1") is not None)
        await process.do(manager.redeliver(row.unmatched_id, actor="ada", reason="it is there now"))
        assert await end_of(lab, process, "o1") == "completed"
        (row,) = await process.do(manager.unmatched(UnmatchedQuery(statuses=["redelivered"])))
        assert (row.actor, row.settled_reason) == ("ada", "it is there now")
        with pytest.raises(InvalidAction, match="expected a parked message"):
            await process.do(manager.discard(row.unmatched_id, actor="ada", reason="no"))
        assert types_of(store, row_of(store, "o1").saga_id).count("StepSucceeded") == 3

    in_lab(each_database, story)


UNUSABLE: list[tuple[dict[str, object], type[SagalogError]]] = [
    ({"id": ""}, InvalidIdentifier),
    ({"id": None}, InvalidIdentifier),
    ({"id": 7}, InvalidIdentifier),
    ({"id": "x" * 501}, InvalidIdentifier),
    ({"id": "a\x00b"}, InvalidIdentifier),
    ({"name": ""}, InvalidIdentifier),
    ({"correlation_id": None}, InvalidIdentifier),
    ({"causation_id": "\ud800"}, InvalidIdentifier),
    ({"kind": "note"}, InvalidInput),
    ({"kind": 3}, InvalidInput),
    ({"time": "now"}, InvalidInput),
    ({"time": -1}, InvalidInput),
    ({"time": 10**30}, InvalidInput),
    ({"data": b"{}"}, InvalidInput),
    ({"data": Raw(b"{")}, InvalidInput),
    ({"data": Raw(b"")}, InvalidInput),
    ({"data": Raw(b'{"order_id": 1}')}, InvalidInput),
    ({"data": Raw(b'{"order_id": "a\\u0000"}')}, InvalidInput),
    ({"data": Raw(b'{"order_id": "\xff"}')}, InvalidInput),
    ({"data": Raw(b"[" * 100_000 + b"]" * 100_000)}, InvalidInput),
    ({"data": Raw(b'"' + b"x" * 2_000_000 + b'"')}, PayloadTooLarge),
]


@pytest.mark.parametrize("number", range(len(UNUSABLE)))
def test_a_message_without_a_usable_identity_or_content_is_refused_at_the_door(
    each_database: str | Store, number: int
) -> None:
    """Invariant 8: refused with an error that says why; nothing of it is in the log, and the worker lives."""
    spoiled, expected = UNUSABLE[number]

    async def story(lab: Lab) -> None:
        process = await Shop(waits=True).begin(lab)
        with pytest.raises(expected) as caught:
            await process.do(process.manager.handle(replace(message(Packed(order_id="o1")), **spoiled)))
        assert len(str(caught.value)) < 1000
        assert lab.stores[0].read_messages(0, 10) == []
        assert await process.do(process.manager.unmatched()) == []
        await placed(process, "o1")
        await lab.until(lambda: lab.stores[0].latest_run("fulfil", "o1") is not None)

    in_lab(each_database, story)
