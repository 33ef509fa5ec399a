"""The rows of the tables, and the messages that a decision sends, as pure functions of states; it writes nothing."""

from collections.abc import Sequence

from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.readmodel.waiting import paused_by, waiting_of
from sagalog.saga.actions.steps import open_sides
from sagalog.saga.attributes import number_of, text_of
from sagalog.saga.definition import Definition
from sagalog.saga.events import RequestSent, SagaEvent
from sagalog.saga.growing import Entries, changes, place
from sagalog.saga.react import Effect, react
from sagalog.saga.state import CommandState, SagaState, StepState
from sagalog.saga.transitions import FORWARD, OPEN
from sagalog.saga.undo_front import undo_front
from sagalog.store import AttributeRow, CommandRow, StatusRow, StepRow

_ACTION_STATUS = {
    "open": "failed",
    "retrying": "retrying",
    "succeeded": "succeeded",
    "refused": "refused",
    "unknown": "failed",
    "skipped": "skipped",
    "dropped": "dropped",
}


def status_row(
    definition: Definition | None,
    saga_id: str,
    state: SagaState,
    effects: list[Effect] | None = None,
    owner: str | None = None,
) -> StatusRow:
    """Return the status row of a saga; `effects` is the answer of `react`, if the caller has it already.

    Without a definition the row does not say what an open saga waits for.
    """
    step = waiting_for = waiting_until = due = None
    attempt = 0
    if state.status in OPEN and definition is not None:
        if effects is None:
            effects = react(definition, state)
        step, attempt, waiting_for, waiting_until, due = waiting_of(definition, state, effects)
    elif state.status == "stuck":
        waiting_for = "a person"
        step = state.error.step if state.error is not None else None
    error = state.error
    return StatusRow(
        saga_id,
        state.saga,
        state.definition_version,
        state.digest,
        state.key,
        state.run,
        state.status,
        step,
        waiting_for,
        waiting_until,
        attempt,
        None if error is None else error.type,
        None if error is None else (state.reason or error.message),
        state.correlation_id,
        state.causation_id,
        state.started,
        state.updated,
        state.ended,
        state.deadline,
        due,
        state.version,
        0,
        owner if state.status in OPEN else None,
    )


# How the texts of what is to be begun begin.
_BEGINNINGS = ("step ", "retry of ", "compensation of ")


def unloaded_status_row(row: StatusRow, state: SagaState) -> StatusRow:
    """Return the status row after an action that was decided without the saga's definition; `row` is the one before.

    What it waits for stays as it was, but for the pause and the moved times.
    """
    after = status_row(None, row.saga_id, state)
    if state.status not in OPEN:
        return after
    times = [side.retry_at for _, side in open_sides(state) if side.waiting is None and state.paused is None]
    times += [None if side.waiting is None else side.waiting.until for _, side in open_sides(state)]
    times += [state.deadline] if state.status in FORWARD else []
    earliest = min((one for one in times if one is not None), default=None)
    # Something is to be begun at once, unless the saga is paused now.
    at_once = row.due_at == row.started_at and state.paused is None
    step, attempt, text = _of_unloaded(row, state)
    return replace(
        after,
        current_step=step,
        attempt=attempt,
        waiting_for=text,
        waiting_until=earliest,
        due_at=row.due_at if at_once else earliest,
    )


def _of_unloaded(row: StatusRow, state: SagaState) -> tuple[str | None, int, str | None]:
    """Return the current step, its attempt, and what is waited for; while it is paused, nothing that is to be begun."""
    was_paused = (row.waiting_for or "").startswith(f"{paused_by(state)}")
    if state.paused is None or was_paused:
        return row.current_step, row.attempt, row.waiting_for
    texts = [] if row.waiting_for is None else row.waiting_for.split(", ")
    still = [text for text in texts if not text.startswith(_BEGINNINGS)]
    if not still or state.kind == "choreography":
        return None, 0, paused_by(state)
    waited = f"{paused_by(state)} ({', '.join(still)})"
    if still[0] == texts[0]:
        return row.current_step, row.attempt, waited
    name, side = next((one.step, side.waiting) for one, side in open_sides(state) if side.waiting is not None)
    return name, side.attempt, waited


def step_rows(definition: Definition | None, saga_id: str, before: SagaState | None, after: SagaState) -> list[StepRow]:
    """Return the rows of the steps that changed between two states of a saga (all of them if there is no `before`)."""
    known: Entries[StepState] = {} if before is None else before.steps
    news = changes(known, after.steps)
    followed = after.kind == "choreography"
    rows: list[StepRow] = []
    if not (after.rolling_back or followed):
        # The fast path: nearly every saga only goes forward, and nothing of it is undone.
        for ordinal, name, step in news:
            if _is_begun(step):
                rows.append(_action_row(saga_id, name, ordinal, step))
        return rows
    running = _running(definition, after)
    was_running = running if before is None else _running(definition, before)
    was_rolling_back = before is not None and before.rolling_back
    for ordinal, name, step in news:
        # Of a step that is undone mostly one of its two rows has changed.
        old = known.get(name)
        if (followed or _is_begun(step)) and (
            old is None or old.action is not step.action or old.result is not step.result
        ):
            rows.append(_action_row(saga_id, name, ordinal, step))
        is_running = name in running
        if step.undo.status != "none" and (
            old is None or old.undo is not step.undo or not was_rolling_back or is_running != (name in was_running)
        ):
            rows.append(_undo_row(saga_id, name, ordinal, step, is_running))
    if running != was_running:
        # Which of the pending compensations is running depends on the other steps.
        for name in sorted({*running} ^ {*was_running}):
            step = after.steps[name]
            if step is known.get(name) and step.undo.status == "pending":
                rows.append(_undo_row(saga_id, name, place(after.steps, name), step, name in running))
    return rows


def _is_begun(step: StepState) -> bool:
    action = step.action
    return action.attempts > 0 or action.status != "open" or action.waiting is not None


def _running(definition: Definition | None, state: SagaState) -> tuple[str, ...]:
    """Return the steps whose compensations can run now; none if nobody runs it, or only a definition could tell."""
    if definition is None or state.kind == "choreography":
        return ()
    if not state.rolling_back or state.status != "compensating" or state.paused is not None:
        return ()
    return undo_front(definition, state).ready


def _action_row(saga_id: str, name: str, ordinal: int, step: StepState) -> StepRow:
    """Return the row of a step's action."""
    side, waiting = step.action, step.action.waiting
    error = side.error
    return StepRow(
        saga_id,
        name,
        "action",
        ordinal,
        _ACTION_STATUS[side.status] if waiting is None else "waiting",
        side.attempts if waiting is None else waiting.attempt,
        side.began if waiting is None else waiting.since,
        side.ended if waiting is None else None,
        None if error is None else error.type,
        None if error is None else error.message,
        None,
        None if step.result is None else bytes(step.result).decode(),
    )


def _undo_row(saga_id: str, name: str, ordinal: int, step: StepState, running: bool) -> StepRow:
    """Return the row of a step's compensation; `running`: it can run now."""
    side, error = step.undo, step.undo.error
    return StepRow(
        saga_id,
        name,
        "compensation",
        ordinal,
        "running" if running and side.status == "pending" else side.status,
        side.attempts,
        side.began,
        side.ended,
        None if error is None else error.type,
        None if error is None else error.message,
        name,
        None,
    )


def command_rows(
    definition: Definition | None, saga_id: str, before: SagaState | None, after: SagaState
) -> list[CommandRow]:
    """Return the rows of the commands that changed between two states of a saga (all if there is no `before`)."""
    known: Entries[CommandState] = {} if before is None else before.commands
    if known is after.commands:
        return []
    return [_row(saga_id, command_id, command, after) for _, command_id, command in changes(known, after.commands)]


def _row(saga_id: str, command_id: str, command: CommandState, state: SagaState) -> CommandRow:
    return CommandRow(
        command_id,
        command.name,
        saga_id,
        command.step,
        command.direction,
        command.status,
        command.sendings,
        state.correlation_id,
        command.cause or saga_id,
        command.issued,
        command.answered,
    )


def attribute_rows(
    saga_id: str, before: SagaState | None, after: SagaState
) -> tuple[list[AttributeRow], tuple[str, ...]]:
    """Return the rows of the attributes that changed between two states of a saga, and the names of removed ones."""
    known = {} if before is None else before.attributes
    if known is after.attributes or not (known or after.attributes):
        return [], ()
    rows = [
        AttributeRow(saga_id, name, text_of(data), number_of(data))
        for name, data in after.attributes.items()
        if data is not None and (name not in known or not _is_same(known[name], data))
    ]
    return rows, tuple(name for name in known if name not in after.attributes)


def _is_same(one: object, other: object) -> bool:
    """Tell whether two values of an attribute are one: 1 equals True, and is another."""
    return type(one) is type(other) and one == other


def sent_messages(saga_id: str, after: SagaState, events: Sequence[SagaEvent]) -> list[tuple[int, Envelope]]:
    """Return the commands among the events of a decision, each as (index of the event, envelope).

    A command is caused by the message that moved the saga last, else by what caused the saga, else by the saga itself.
    """
    return [
        (
            number,
            Envelope(
                id=event.command_id,
                kind="command",
                name=event.name,
                source=f"saga:{after.saga}",
                correlation_id=after.correlation_id,
                causation_id=after.commands[event.command_id].cause or saga_id,
                time=event.time,
                data=event.data,
                saga_id=saga_id,
                step=event.step,
            ),
        )
        for number, event in enumerate(events)
        if type(event) is RequestSent
    ]
