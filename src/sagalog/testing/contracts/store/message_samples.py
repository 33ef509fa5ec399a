"""Sample messages and inbox rows, small and invented, for tests of stores; it knows no store."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.store import Advance, Append, CommandRow, InboxRow, Posting, Route, Store, UnmatchedRow
from sagalog.testing.contracts.store.samples import NOW, following, lease, sample_event

PAYMENTS = "participant:payments"


def event(message_id: str | None = None, data: Any = None, **fields: Any) -> Envelope:
    """Return an event to be published."""
    given: dict[str, Any] = {
        "id": message_id or f"m-{secrets.token_hex(8)}",
        "kind": "event",
        "name": "OrderPlaced",
        "source": "shop",
        "correlation_id": "c-1",
        "time": NOW,
        "data": msgspec.Raw(msgspec.json.encode({"order_id": "o-1"} if data is None else data)),
    }
    return Envelope(**given | fields)


def posted(*envelopes: Envelope) -> Posting:
    """Return the posting that publishes these messages."""
    return Posting(envelopes)


def ids_of(messages: Sequence[tuple[Any, Envelope]]) -> list[str]:
    """Return the ids of messages that come with their positions or rows."""
    return [envelope.id for _, envelope in messages]


def command_of(saga_id: str, step: str = "process_payment", **columns: Any) -> CommandRow:
    """Return the row of a command that a saga has just sent."""
    row = CommandRow(
        command_id=f"{saga_id}:{step}",
        name="ProcessPayment",
        saga_id=saga_id,
        step=step,
        direction="action",
        status="sent",
        sendings=1,
        correlation_id="c-1",
        causation_id="m-1",
        issued_at=NOW,
        answered_at=None,
    )
    return replace(row, **columns)


def requesting(before: Append, *, holder: str | None = None, data: Any = None, **changes: Any) -> Append:
    """Return the next append of a saga, whose second event is the request that carries a command."""
    row = command_of(before.saga_id)
    body = {"amount": 12, "token": secrets.randbits(50)} if data is None else data
    sent = sample_event("RequestSent", step=row.step, data=body)
    fields = {
        "kind": "command",
        "name": row.name,
        "saga_id": row.saga_id,
        "step": row.step,
        "source": "order-fulfilment",
    }
    decided = following(before, sample_event("EventReceived"), sent, holder=holder)
    return replace(decided, messages=[(1, event(row.command_id, body, **fields))], commands=[row], **changes)


def asking_at_once(begun: Append) -> Append:
    """Return the same start with a second event: the request that carries a command."""
    asked = requesting(begun)
    version = begun.status.version + 1
    events = [*begun.events, asked.events[1]]
    return replace(
        begun,
        events=events,
        status=replace(begun.status, version=version),
        messages=asked.messages,
        commands=asked.commands,
    )


def waiting(message: tuple[int, Envelope], recipient: str = PAYMENTS, **columns: Any) -> InboxRow:
    """Return the row that puts a message of the log into an inbox; its lane is the correlation id."""
    position, envelope = message
    row = InboxRow(recipient, envelope.id, envelope.correlation_id, envelope.name, NOW, NOW, position=position)
    return replace(row, **columns)


def for_saga(message: tuple[int, Envelope], saga_id: str) -> InboxRow:
    """Return the row that puts a message into a saga's inbox."""
    return waiting(message, saga_id, lane=saga_id)


def unmatched(place: tuple[int, Envelope], consumer: str = "saga:order-fulfilment", **columns: Any) -> UnmatchedRow:
    """Return the row of an unmatched message."""
    position, envelope = place
    row = UnmatchedRow(
        unmatched_id=f"u-{secrets.token_hex(8)}",
        consumer=consumer,
        message_id=envelope.id,
        kind=envelope.kind,
        name=envelope.name,
        source=envelope.source,
        reason="no saga has the key o-1",
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        position=position,
        message=msgspec.json.encode(envelope).decode(),
        parked_at=NOW,
    )
    return replace(row, **columns)


def reading(store: Store, worker_id: str = "w1", *consumers: str) -> int:
    """Make a worker the owner of consumers, move them to the end of the log, and return that position."""
    store.register(lease(worker_id))
    [row, *_] = store.take_consumers(worker_id, list(consumers) or [PAYMENTS], NOW, True)
    return row.position


def put(store: Store, *rows: InboxRow, worker_id: str = "w1") -> None:
    """Put rows into inboxes, through a route of a consumer made for this."""
    position = reading(store, worker_id, "saga:for-tests")
    outcome = store.route(Route([Advance("saga:for-tests", worker_id, position, position)], inbox=rows))
    assert outcome == "written", outcome


def published(store: Store, *envelopes: Envelope) -> list[tuple[int, Envelope]]:
    """Publish messages and return them with their positions."""
    assert store.post([posted(*envelopes)]) == ["written"]
    found = [store.find_message(envelope.id) for envelope in envelopes]
    return [one for one in found if one is not None]
