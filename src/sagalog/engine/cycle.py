"""The cycle by which every saga goes on: input, decide, append, react. It says what is to be written; others write.

1.  *Input*: something has happened. The saga is started, an attempt has ended, a message has come, a time is over.
2.  *Decide*: `decision_of` asks the kernel which events follow from that in the saga's state. If none does, the input
    was no news, and the turn is over.
3.  *Append*: `append_of` makes one write of the decision: the events, the rows of the tables, the messages. They go
    into one transaction. If somebody else has changed the saga meanwhile, that is refused and the decision is dropped.
    Only what is written has happened, so only then is it logged (`log_transitions`).
4.  *React*: the decision has the effects too: what ought to be going on in the world once the saga is in its new state.
    Whoever owns the saga begins, after the write, what is not going on yet; what comes of that is the next input.

All inputs go through this: those of a saga that is owned (`sagas/decisions`), the start of one (`sagas/beginnings`, and
for messages `bus/route_answers`), and those of one that nobody owns (`sagas/outside_inputs`, `sagas/recording`). They
differ in who writes: the committer, many decisions in one transaction; or the router, together with the messages.

Each function here is about one saga, keeps nothing and waits for nothing. So a list of sagas and inputs can be decided
in one pass, written in one transaction, and reacted to in another pass. Keep it so: only functions of values here, and
no logging and no effect before the write.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from sagalog.codec import CODEC, encode_json
from sagalog.messages import Envelope
from sagalog.readmodel.notes import notes_of
from sagalog.readmodel.rows import (
    attribute_rows,
    command_rows,
    sent_messages,
    status_row,
    step_rows,
    unloaded_status_row,
)
from sagalog.saga.decide import advance
from sagalog.saga.definition import Definition
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.saga.inputs import Input
from sagalog.saga.react import Effect, react
from sagalog.saga.state import SagaState
from sagalog.store import Append, CommandRow, StatusRow, StoredEvent


class Decided(Struct, frozen=True, gc=False):
    """The new events of a saga, and its state before and after them; `before` is None for a saga that begins."""

    saga_id: str
    before: SagaState | None
    after: SagaState
    events: list[SagaEvent]


class Decision(Decided, frozen=True, gc=False):
    """The result of deciding with the saga's definition: there are the effects, too."""

    definition: Definition
    effects: list[Effect]


def state_of(stored: Iterable[StoredEvent]) -> SagaState:
    """Return the state of a saga from all its stored events."""
    return fold(CODEC.decode_all((event.topic, event.state) for event in stored))


def decision_of(
    definition: Definition, saga_id: str, before: SagaState | None, inputs: Sequence[Input], now: int
) -> Decision | None:
    """Return what follows from these inputs, in their order; None if nothing does."""
    events, after = advance(definition, before, inputs[0], now)
    for another in inputs[1:]:
        more, after = advance(definition, after, another, now)
        events = [*events, *more]
    if not events:
        return None
    assert after is not None
    return Decision(saga_id, before, after, events, definition, react(definition, after))


def unloaded_append(row: StatusRow, decision: Decided) -> Append:
    """Return what a decision without a definition writes, of a saga that nobody owns; `row` is its row before.

    The rows of all steps are written, because without the definition it is not known which of them can be undone now.
    """
    saga_id, after, events = decision.saga_id, decision.after, decision.events
    return Append(
        saga_id,
        after.version - len(events),
        [(event.TOPIC, encode_json(event)) for event in events],
        unloaded_status_row(row, after),
        step_rows(None, saga_id, None, after),
        None,
        notes=notes_of(saga_id, after, events),
    )


def append_of(decision: Decision, holder: str | None, owner: str | None, taken: tuple[str, ...] = ()) -> Append:
    """Return everything that a decision writes, in one transaction.

    `holder` is the worker that owns the saga before the write, and `owner` the one that owns it after. `taken` are the
    ids of messages that the write removes from the saga's inbox.
    """
    definition, saga_id, events = decision.definition, decision.saga_id, decision.events
    before, after = decision.before, decision.after
    messages: Sequence[tuple[int, Envelope]] = ()
    commands: Sequence[CommandRow] = ()
    if after.commands:
        messages = sent_messages(saga_id, after, events)
        commands = command_rows(definition, saga_id, before, after)
    attributes, forgotten = attribute_rows(saga_id, before, after)
    notes = notes_of(saga_id, after, events) if after.parent is not None or definition.has_children else ()
    return Append(
        saga_id,
        0 if before is None else before.version,
        [(event.TOPIC, encode_json(event)) for event in events],
        status_row(definition, saga_id, after, decision.effects, owner),
        step_rows(definition, saga_id, before, after) if after.steps else (),
        holder,
        messages,
        commands,
        taken,
        notes,
        attributes,
        forgotten,
    )
