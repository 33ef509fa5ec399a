"""Keys and ids as people give them, on every store: what stands in them is kept, whatever kind of text they are."""

import asyncio
import enum

import pytest
from msgspec import Raw, Struct
from sagas.greeting import QUICK, run

from sagalog import Event, Saga
from sagalog.errors import InvalidIdentifier
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.store import Store, UnmatchedQuery


class Kind(str, enum.Enum):  # noqa: UP042 - of this kind there are many
    GIFT = "gift"
    LOAN = "loan"


class Word(enum.StrEnum):
    CAUSE = "the cause"


class Order(Struct, frozen=True):
    kind: Kind


class Came(Event):
    kind: str


def orders() -> Saga[Order]:
    saga = Saga("orders", input=Order, key=lambda order: order.kind)
    saga.wait_for(Came, key=lambda came: Kind(came.kind))
    return saga


def test_a_word_of_an_enum_is_a_key_and_an_id_like_its_text(each_database: str | Store) -> None:
    async def story() -> None:
        saga = orders()
        async with ProcessManager(each_database, sagas=[saga], settings=QUICK) as manager:
            first = await manager.start(saga, Order(Kind.GIFT), correlation_id=Word.CAUSE, causation_id=Word.CAUSE)
            assert (first.key, type(first.key), first.created) == ("gift", str, True)
            again = await manager.start(saga, Order(Kind.GIFT), key="gift")
            assert (again.id, again.created) == (first.id, False)
            (row,) = await manager.find(key=Kind.GIFT)
            assert (row.saga_key, row.correlation_id, row.causation_id) == ("gift", "the cause", "the cause")
            assert await manager.publish(Came(kind="gift"), id=Word.CAUSE) == "the cause"
            assert (await first.result(timeout=20)).status == "completed"
            with pytest.raises(InvalidIdentifier, match=r"U\+200B"):
                await manager.start(saga, Order(Kind.LOAN), key="loan\u200b")
            late = Envelope(
                id=Kind.LOAN,
                kind="event",
                name="Came",
                source="shop",
                correlation_id=Word.CAUSE,
                time=1_700_000_000_000_000,
                data=Raw(b'{"kind":"loan"}'),
            )
            assert await manager.handle(late)
            while not (parked := await manager.unmatched(UnmatchedQuery())):
                await asyncio.sleep(0.01)
            assert (parked[0].message_id, parked[0].correlation_id) == ("loan", "the cause")

    run(story())
