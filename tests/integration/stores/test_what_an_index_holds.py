"""The widest row of every index on PostgreSQL, by what the doors let through, and such rows really written.

A row of a btree holds 2,704 bytes. What is wider is refused by the server at each attempt, so that one message would
stop all routing and one saga all writing.
"""

import random
from typing import Any

import pytest
from lab.lab import Lab, in_lab
from msgspec import Raw, Struct

from sagalog import Choreography, Event, Participant, Saga
from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.messages import Envelope
from sagalog.saga.attributes import LONGEST_TEXT
from sagalog.saga.identifiers import LONGEST_ID, LONGEST_NAME
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.postgres.store import PostgresStore

MOST = 2_704
# Eight bytes before the columns; a text has four of its own and begins at a multiple of four, a number at one of eight.
HEADER, TEXT, NUMBER = 8, 8, 16
UUID = 36
# "participant:", "choreography:", "transport:" and what else may stand before a name.
CONSUMER = LONGEST_NAME + 20
# A step's part, and the word and number that an effect's id ends with.
STEP = LONGEST_NAME + 20
EFFECT = UUID + STEP + 30

LARGEST: dict[str, int] = {
    "saga_events.originator_id": len("message:") + LONGEST_ID,
    "saga_status.saga_id": UUID,
    "saga_status.saga_name": LONGEST_NAME,
    "saga_status.saga_key": max(LONGEST_ID, EFFECT),
    "saga_status.definition": 64,
    "saga_inbox.definition": 64,
    "saga_status.correlation_id": LONGEST_ID,
    "saga_status.owner": UUID,
    "saga_attributes.saga_id": UUID,
    "saga_attributes.name": 64,
    "saga_attributes.value": LONGEST_TEXT,
    # The digits of the number that has most, 5e-324, and of its parts four to two bytes.
    "saga_attributes.number": 400,
    "saga_steps.saga_id": UUID,
    "saga_steps.step": STEP,
    "saga_steps.direction": 12,
    "saga_workers.worker_id": UUID,
    "saga_messages.message_id": LONGEST_ID,
    "saga_messages.correlation_id": LONGEST_ID,
    "saga_commands.command_id": LONGEST_ID,
    "saga_commands.saga_id": UUID,
    "saga_inbox.recipient": CONSUMER,
    "saga_inbox.message_id": LONGEST_ID,
    "saga_inbox.lane": LONGEST_ID,
    "saga_consumers.consumer": CONSUMER,
    "saga_contract.name": CONSUMER,
    "saga_projections.projection": LONGEST_NAME,
    "saga_projection_events.projection": LONGEST_NAME,
    "saga_projection_events.lane": LONGEST_ID,
    "saga_jobs.job_id": UUID,
    "saga_jobs.status": 12,
    "saga_jobs.owner": UUID,
    "saga_job_items.job_id": UUID,
    "saga_job_items.saga_id": UUID,
    "saga_job_items.status": 12,
    "saga_unmatched.unmatched_id": UUID,
    "saga_unmatched.consumer": CONSUMER,
    "saga_unmatched.message_id": CONSUMER + 20 + LONGEST_ID,
    "saga_unmatched.status": 12,
    "saga_unmatched.name": LONGEST_NAME,
    "saga_unmatched.correlation_id": LONGEST_ID,
    "tracking.application_name": CONSUMER,
    "saga_tracking.application_name": CONSUMER,
}

INDEXES = """
SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text, a.attname::text, a.atttypid::regtype::text
FROM pg_index AS i
JOIN pg_class AS t ON t.oid = i.indrelid
CROSS JOIN unnest(i.indkey) AS k (number)
LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
WHERE t.relnamespace = current_schema()::regnamespace
"""

generator = random.Random(20261128)


def widest(size: int) -> str:
    """Return a text of so many bytes, of four-byte characters that no compression makes smaller."""
    text = "".join(chr(generator.randrange(0x20000, 0x2A6D0)) for _ in range(size // 4))
    return text + "x" * (size - len(text.encode()))


def test_the_widest_row_of_every_index_fits(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    store.open()
    try:
        _, rows = store.query(INDEXES)
    finally:
        store.close()
    widths: dict[str, int] = {}
    for index, table, column, kind in rows:
        assert column is not None, f"{index} is of an expression: say here how wide it can be"
        width = LARGEST[f"{table}.{column}"] + TEXT if kind in ("text", "numeric") else NUMBER
        widths[index] = widths.get(index, HEADER) + width
    assert widths["saga_inbox_lane"] > 1_000
    assert {index: width for index, width in widths.items() if width > MOST} == {}


class Asked(Event):
    NAME = "N" * LONGEST_NAME
    order: str


class Done(Event):
    order: str


class Order(Struct, frozen=True):
    text: str


def widest_participant() -> Participant:
    participant = Participant(widest(LONGEST_NAME))

    @participant.on(name=widest(LONGEST_NAME))
    async def answer(asked: Asked) -> Done:
        return Done(order=asked.order)

    return participant


def widest_saga(done: list[str]) -> Saga[Order]:
    saga = Saga(widest(LONGEST_NAME), input=Order)

    async def look(order: Order) -> None:
        done.append(order.text)

    saga.step(compensation=None, name=widest(LONGEST_NAME))(look)
    return saga


def test_the_widest_ids_that_the_doors_let_through_stop_nobody(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        done: list[str] = []
        saga = widest_saga(done)
        process = await lab.begin(sagas=[saga], participants=[widest_participant()])
        manager = process.manager
        key, correlation = widest(LONGEST_ID), widest(LONGEST_ID)
        run = await process.do(
            manager.start(saga, Order("one"), key=key, correlation_id=correlation, causation_id=widest(LONGEST_ID))
        )
        wide = Asked(order="1")
        await process.do(
            manager.publish(
                wide, id=widest(LONGEST_ID), correlation_id=widest(LONGEST_ID), causation_id=widest(LONGEST_ID)
            )
        )
        await process.do(manager.publish(Asked(order="2"), id="after-it"))
        unknown = Envelope(
            id=widest(LONGEST_ID),
            kind="event",
            name="U" * LONGEST_NAME,
            source=widest(LONGEST_NAME),
            correlation_id=widest(LONGEST_ID),
            time=1,
            data=Raw(b"{}"),
        )
        await process.do(manager.handle(unknown))
        await process.do(run.result())
        store = lab.stores[0]
        await lab.until(lambda: len([one for _, one in store.read_messages(0, 10) if one.name == "Done"]) == 2)
        assert done == ["one"]
        (parked,) = store.unmatched(UnmatchedQuery())
        assert parked.message_id == unknown.id
        assert (await process.do(manager.status(key))).saga_id == run.id

    in_lab(each_database, story)


def test_what_is_a_byte_too_wide_is_refused_at_each_door(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        saga = widest_saga([])
        process = await lab.begin(sagas=[saga], participants=[widest_participant()])
        manager = process.manager
        long = "é" * (LONGEST_ID // 2) + "x"
        for given in ({"key": long}, {"key": "k", "correlation_id": long}, {"key": "k", "causation_id": long}):
            with pytest.raises(InvalidIdentifier, match="bytes of UTF-8"):
                await process.do(manager.start(saga, Order("one"), **given))
        for given in ({"id": long}, {"correlation_id": long}, {"causation_id": long}):
            with pytest.raises(InvalidIdentifier, match="bytes of UTF-8"):
                await process.do(manager.publish(Asked(order="1"), **given))
        envelope = Envelope(
            id="1", kind="event", name="Asked", source="s", correlation_id="1", time=1, data=Raw(b'{"order": "1"}')
        )
        changes: list[dict[str, Any]] = [
            *({field: long} for field in ("id", "correlation_id", "causation_id", "saga_id", "step")),
            *({field: long[: LONGEST_NAME // 2 + 1]} for field in ("name", "source")),
        ]
        for change in changes:
            wrong = Envelope(**{**{name: getattr(envelope, name) for name in envelope.__struct_fields__}, **change})
            with pytest.raises(InvalidIdentifier, match="bytes of UTF-8"):
                await process.do(manager.handle(wrong))
        with pytest.raises(InvalidIdentifier, match="bytes of UTF-8"):
            await process.do(manager.park(b"?", source=long, reason="no JSON"))
        assert lab.stores[0].read_messages(0, 10) == []

    in_lab(each_database, story)


def test_a_name_that_is_a_byte_too_wide_is_refused_where_it_is_declared() -> None:
    long = "é" * (LONGEST_NAME // 2) + "x"
    saga = widest_saga([])
    named = Saga(long, input=Order)

    async def look(order: Order) -> None:
        """Do nothing."""

    named.step(compensation=None)(look)
    saga.step(compensation=None, name=long)(look)
    choreography = Choreography(long, key="order", starts_with=Asked, completes_with=Done)
    for declared in (named, saga, choreography, Participant(long)):
        with pytest.raises(DefinitionError, match="bytes of UTF-8"):
            _ = declared.definition
