"""One turn of the cycle as one value: all that a decision writes, made of the states before and after it. Pure."""

from collections.abc import Sequence

from sagalog.codec import encode_json
from sagalog.messages import Envelope
from sagalog.readmodel.notes import notes_of
from sagalog.readmodel.rows import command_rows, sent_messages, status_row, step_rows
from sagalog.saga.definition import Definition
from sagalog.saga.events import SagaEvent
from sagalog.saga.react import Effect
from sagalog.saga.state import SagaState
from sagalog.store import Append, CommandRow


def append_of(
    definition: Definition,
    saga_id: str,
    before: SagaState | None,
    after: SagaState,
    events: list[SagaEvent],
    effects: list[Effect],
    holder: str | None,
    owner: str | None,
    taken: tuple[str, ...] = (),
) -> Append:
    """Return all that one decision writes: events, rows, the messages among the events; `taken` are those it took."""
    messages: Sequence[tuple[int, Envelope]] = ()
    commands: Sequence[CommandRow] = ()
    if after.commands:
        messages = sent_messages(saga_id, after, events)
        commands = command_rows(definition, saga_id, before, after)
    notes = notes_of(saga_id, after, events) if after.parent is not None or definition.has_children else ()
    return Append(
        saga_id,
        0 if before is None else before.version,
        [(event.TOPIC, encode_json(event)) for event in events],
        status_row(definition, saga_id, after, effects, owner),
        step_rows(definition, saga_id, before, after) if after.steps else (),
        holder,
        messages,
        commands,
        taken,
        notes,
    )
