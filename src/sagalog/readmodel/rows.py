"""The rows of the tables, and the messages that a decision sends, as pure functions of states; it writes nothing."""

import operator
from collections.abc import Mapping, Sequence
from itertools import chain, compress, repeat

from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.saga.actions.steps import open_sides
from sagalog.saga.attributes import number_of, text_of
from sagalog.saga.choreography.decide import awaited_of
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.events import Direction, RequestSent, SagaEvent
from sagalog.saga.progress import undo_front
from sagalog.saga.react import (
    AwaitEnd,
    CallOff,
    Effect,
    RunAction,
    RunCompensation,
    Wait,
    WatchDeadline,
    react,
)
from sagalog.saga.state import CommandState, SagaState, StepState
from sagalog.saga.transitions import FORWARD, OPEN
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


# The longest text for what a saga waits for, because a step with many elements can wait for a hundred at once.
MOST_TEXTS = 5


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
        step, attempt, waiting_for, waiting_until, due = _waiting(definition, state, effects)
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


def _waiting(
    definition: Definition, state: SagaState, effects: list[Effect]
) -> tuple[str | None, int, str | None, int | None, int | None]:
    """Return the current step, its attempt, what the saga waits for, until when, and when to look at it again."""
    if type(definition) is ChoreographyDefinition:
        awaited = ", ".join(f"event {name}" for name in awaited_of(definition.contract, state))
        return None, 0, awaited, state.deadline, state.deadline
    watched = len(effects) == 2 and type(effects[1]) is WatchDeadline
    if (watched or len(effects) == 1) and type(only := effects[0]) is RunAction and not only.at:
        # The fast path: nearly always there is one action, and perhaps the deadline.
        declared = definition.steps[only.step]
        until = None if declared.timeout is None else state.updated + declared.timeout
        if watched and state.deadline is not None:
            until = _earliest(until, state.deadline)
        text = declared.waiting_text if declared.fan is None else _text(only, 0)
        return only.step, only.attempt, text, until, state.started
    first: RunAction | RunCompensation | AwaitEnd | CallOff | Wait | None = None
    texts: list[str] = []
    until = due = None
    for effect in effects:
        if type(effect) is WatchDeadline:
            until = _earliest(until, effect.at)
            due = _earliest(due, effect.at)
            continue
        assert not isinstance(effect, WatchDeadline)
        if first is None:
            first = effect
        if isinstance(effect, Wait):
            texts.append(_awaited(definition, state, effect))
            if effect.until is not None:
                until = _earliest(until, effect.until)
                due = _earliest(due, effect.until)
            continue
        at = 0 if isinstance(effect, AwaitEnd) else effect.at
        if at:
            until = _earliest(until, at)
            due = _earliest(due, at)
        else:
            # Due since the start: a constant, so that PostgreSQL can update the row without touching an index.
            due = state.started
            timeout = _timeout(definition, effect)
            until = until if timeout is None else _earliest(until, state.updated + timeout)
        texts.append(_text(effect, at))
    if first is None:
        return None, 0, _paused(state), until, due
    if len(texts) > MOST_TEXTS:
        texts = [*texts[:MOST_TEXTS], f"and {len(texts) - MOST_TEXTS} more"]
    text = ", ".join(texts) if state.paused is None else f"{_paused(state)} ({', '.join(texts)})"
    return first.step, first.attempt, text, until, due


def _paused(state: SagaState) -> str | None:
    return None if state.paused is None else f"unpause: paused by {state.paused}"


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
    was_paused = (row.waiting_for or "").startswith(f"{_paused(state)}")
    if state.paused is None or was_paused:
        return row.current_step, row.attempt, row.waiting_for
    texts = [] if row.waiting_for is None else row.waiting_for.split(", ")
    still = [text for text in texts if not text.startswith(_BEGINNINGS)]
    if not still or state.kind == "choreography":
        return None, 0, _paused(state)
    waited = f"{_paused(state)} ({', '.join(still)})"
    if still[0] == texts[0]:
        return row.current_step, row.attempt, waited
    name, side = next((one.step, side.waiting) for one, side in open_sides(state) if side.waiting is not None)
    return name, side.attempt, waited


def _earliest(one: int | None, other: int) -> int:
    return other if one is None or other < one else one


def _text(effect: Effect, at: int) -> str:
    match effect:
        case RunAction(step):
            return f"retry of {step}" if at else f"step {step}"
        case RunCompensation(step):
            return f"retry of compensation of {step}" if at else f"compensation of {step}"
        case AwaitEnd(step) | CallOff(step):
            return f"end of {step}"
        case _:
            return "deadline"


def _awaited(definition: Definition, state: SagaState, effect: Wait) -> str:
    step = definition.step(effect.step)
    if step.child is not None:
        here = state.steps[effect.step]
        what = f"child {step.child.definition.name} {here.child}"
        if effect.direction == "compensation" or here.undo.waiting is not None:
            what = f"undoing of {what}"
        return f"{what}: stuck" if here.child_is_stuck else what
    if step.kind == "sleep":
        return f"sleep {step.name}"
    if step.wait is not None:
        return f"event {step.wait.name}"
    declared = step.side(effect.direction)
    exchange = None if declared is None else declared.exchange
    to = effect.step if effect.direction == "action" else f"compensation of {effect.step}"
    reply = "" if exchange is None or exchange.success_name is None else f" {exchange.success_name}"
    return f"reply{reply} to {to}"


def _timeout(definition: Definition, effect: RunAction | RunCompensation | AwaitEnd | CallOff) -> int | None:
    declared = definition.step(effect.step).side("compensation" if isinstance(effect, RunCompensation) else "action")
    return None if declared is None else declared.timeout


def step_rows(definition: Definition | None, saga_id: str, before: SagaState | None, after: SagaState) -> list[StepRow]:
    """Return the rows of the steps that changed between two states of a saga (all of them if there is no `before`)."""
    known = before.steps if before is not None else {}
    if after.kind == "choreography":
        return _choreography_rows(saga_id, known, after)
    if not after.rolling_back and len(after.steps) == len(known) + 1:
        # The fast path: nearly always only the last step is new.
        name, step = next(reversed(after.steps.items()))
        if step.action.attempts and all(map(operator.is_, known.values(), after.steps.values())):
            return [_step_row(saga_id, name, len(after.steps), step)]
    rows: list[StepRow] = []
    running = _running(definition, after)
    was_running = running if before is None else _running(definition, before)
    # Found without a Python operation for each unchanged step, because there may be thousands.
    changed = map(operator.is_not, after.steps.values(), chain(known.values(), repeat(None)))
    for ordinal, (name, step) in compress(enumerate(after.steps.items(), 1), changed):
        action = step.action
        if action.status != "open" or action.attempts or action.waiting is not None:
            rows.append(_step_row(saga_id, name, ordinal, step))
        if step.undo.status != "none":
            rows.append(_step_row(saga_id, name, ordinal, step, "compensation", name in running))
    begins_or_ends = set(running).symmetric_difference(was_running)
    if begins_or_ends:
        # Which of the pending compensations is running depends on the other steps.
        names = list(after.steps)
        for name in sorted(begins_or_ends):
            step = after.steps[name]
            if step is known.get(name) and step.undo.status == "pending":
                rows.append(_step_row(saga_id, name, names.index(name) + 1, step, "compensation", name in running))
    return rows


def _running(definition: Definition | None, state: SagaState) -> tuple[str, ...]:
    """Return the steps whose compensations can run now; none if only an unknown definition could tell."""
    if definition is None or not state.rolling_back or state.status != "compensating" or state.paused is not None:
        return ()
    return undo_front(definition, state).ready


def _choreography_rows(saga_id: str, known: Mapping[str, StepState], after: SagaState) -> list[StepRow]:
    """Return the rows of the steps of a choreography, which are known from messages and never run here."""
    rows: list[StepRow] = []
    for ordinal, (name, step) in enumerate(after.steps.items(), 1):
        if known.get(name) is not step:
            rows.append(_step_row(saga_id, name, ordinal, step))
            if step.undo.status != "none":
                rows.append(_step_row(saga_id, name, ordinal, step, "compensation"))
    return rows


def _step_row(
    saga_id: str, name: str, ordinal: int, step: StepState, direction: Direction = "action", running: bool = False
) -> StepRow:
    """Return the row of one direction of a step; `running`: its compensation can run now."""
    forwards = direction == "action"
    side = step.action if forwards else step.undo
    status: str = side.status
    attempts, began, ended, error, waiting = side.attempts, side.began, side.ended, side.error, side.waiting
    if not forwards:
        status = "running" if running and status == "pending" else status
    elif waiting is None:
        status = _ACTION_STATUS[status]
    else:
        status, attempts, began, ended = "waiting", waiting.attempt, waiting.since, None
    return StepRow(
        saga_id,
        name,
        direction,
        ordinal,
        status,
        attempts,
        began,
        ended,
        None if error is None else error.type,
        None if error is None else error.message,
        None if forwards else name,
        bytes(step.result).decode() if forwards and step.result is not None else None,
    )


def command_rows(
    definition: Definition | None, saga_id: str, before: SagaState | None, after: SagaState
) -> list[CommandRow]:
    """Return the rows of the commands that changed between two states of a saga (all if there is no `before`)."""
    known = {} if before is None else before.commands
    return [
        _row(saga_id, command_id, command, after)
        for command_id, command in after.commands.items()
        if known.get(command_id) is not command
    ]


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
    if known is after.attributes:
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
