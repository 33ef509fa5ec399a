"""Participants that react to sagas and write down what they are told, and what the log says that they had to hear."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from reactions.ledger import Call, Ledger

from sagalog import Event, MessageContext, Participant, Retry
from sagalog.engine.telling import tell
from sagalog.messages import name_of
from sagalog.projections import (
    Metadata,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaStarted,
    StepCompensated,
    StepSucceeded,
)
from sagalog.store import Store
from sagalog.store.published import PUBLISHED

UNHEARD, UNANSWERED, WELL = range(3)
SOON = Retry(attempts=None, for_=3600, delay=0.01, factor=1, jitter=0)


class Closed(Event):
    """The clerk has closed the file of an order; this is an entry of the log, in the lane of the order's saga."""

    order_id: str


class Entry(NamedTuple):
    """One entry of the log in public words."""

    event: SagaHappening | Closed
    about: Metadata


# What each of them has to hear, said once more and by other means than their handlers.
WANTED: dict[str, Callable[[Any], bool]] = {
    "clerk": lambda event: isinstance(event, SagaCompleted | SagaFailed),
    "cashier": lambda event: isinstance(event, StepSucceeded | StepCompensated) and event.step == "pay",
    "scribe": lambda event: isinstance(event, SagaStarted | StepSucceeded | StepCompensated | SagaFailed | Closed),
    "newcomer": lambda event: isinstance(event, SagaHappening) and type(event) in (SagaStarted, SagaCompleted),
}


def fields_of(event: Any, about: Metadata) -> str:
    """Return all that a handler is given, as text."""
    given = {"event": msgspec.to_builtins(event), "about": msgspec.to_builtins(about)}
    return f"{type(event).__name__} {json.dumps(given, sort_keys=True)}"


def chance_of(id: str) -> int:
    """Return a number below ten, always the same for an event: what goes wrong when it is first told."""
    return crc32(id.encode()) % 10


def listeners(ledger: Ledger, with_newcomer: bool = False) -> list[Participant]:
    """Return the participants. One call in five fails at first: before it has written, or only after."""

    def hear(name: str, event: Any, about: Metadata, ctx: MessageContext) -> None:
        chance = chance_of(about.id) if ctx.attempt == 1 else WELL
        if chance == UNHEARD:
            raise ConnectionError("the ledger is not to be reached")
        ledger.write(Call(name, about.id, about.position, about.correlation_id, fields_of(event, about)))
        if chance == UNANSWERED:
            raise ConnectionError("the ledger has not answered")

    clerk, cashier = Participant("clerk", retry=SOON), Participant("cashier", retry=SOON)
    scribe, newcomer = Participant("scribe", retry=SOON), Participant("newcomer", retry=SOON)

    @clerk.on(saga="sell")
    async def ended(event: SagaCompleted | SagaFailed, about: Metadata, ctx: MessageContext) -> Closed:
        hear("clerk", event, about, ctx)
        return Closed(order_id=str(about.key))

    @cashier.on(step="pay")
    async def moved(event: StepSucceeded | StepCompensated, about: Metadata, ctx: MessageContext) -> None:
        hear("cashier", event, about, ctx)

    @scribe.on
    async def happened(
        event: SagaStarted | StepSucceeded | StepCompensated | SagaFailed, about: Metadata, ctx: MessageContext
    ) -> None:
        hear("scribe", event, about, ctx)

    @scribe.on
    async def closed(event: Closed, about: Metadata, ctx: MessageContext) -> None:
        hear("scribe", event, about, ctx)

    @newcomer.on
    async def began(event: SagaStarted | SagaCompleted, about: Metadata, ctx: MessageContext) -> None:
        hear("newcomer", event, about, ctx)

    return [clerk, cashier, scribe, *([newcomer] if with_newcomer else [])]


def entries(store: Store) -> Iterator[Entry]:
    """Yield the log in its order."""
    after = 0
    while stored := store.read_log(after, 500):
        messages = dict(store.read_messages(after, 500))
        sagas = store.statuses(sorted({one.saga_id for one in stored if one.topic != PUBLISHED}))
        for one in stored:
            if one.topic != PUBLISHED:
                yield Entry(*tell(one, sagas[one.saga_id]))
                continue
            message = messages[one.position]
            assert message.name == name_of(Closed)
            yield Entry(
                msgspec.json.decode(message.data, type=Closed),
                Metadata(
                    id=message.id,
                    position=one.position,
                    time=message.time,
                    correlation_id=message.correlation_id,
                    causation_id=message.causation_id,
                ),
            )
        after = stored[-1].position
