"""One saga for people and for machines: its status, its steps, its commands, and its error on one line."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from rich.text import Text

from sagalog.cli.actions import action_lines, action_records
from sagalog.cli.lookup import history
from sagalog.cli.output import emit, record, write, write_fields, write_json
from sagalog.cli.quantities import duration, moment, since
from sagalog.cli.table import Column, plain, status_text
from sagalog.saga.attributes import text_of
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.store import AttributeRow, CommandRow, StatusRow, StepRow, Store


def error_of(row: StatusRow) -> str:
    """Return a saga's error on one line; for a stuck saga this is the reason, which includes the error."""
    if row.error_type is None:
        return ""
    return row.error_text or "" if row.status == "stuck" else f"{row.error_type}: {row.error_text}"


def attribute_record(rows: Iterable[AttributeRow]) -> dict[str, dict[str, str | float]]:
    """Return the attributes of a saga as a field of its record."""
    found = {row.name: row.value if row.number is None else row.number for row in rows}
    return {"attributes": found}


class StepLine(NamedTuple):
    """A step's row, and the start time of its saga."""

    step: StepRow
    start: int


def _name(line: StepLine) -> Text:
    if line.step.undoes is None:
        return Text(plain(line.step.step))
    return Text.assemble(("undo ", "dim"), plain(line.step.undoes))


def _took(line: StepLine) -> str:
    step = line.step
    if step.started_at is None or step.ended_at is None:
        return ""
    return duration(step.ended_at - step.started_at)


def _error(line: StepLine) -> str:
    return "" if line.step.error_type is None else f"{line.step.error_type}: {line.step.error_text}"


def _began(line: StepLine) -> str:
    return "" if line.step.started_at is None else since(line.step.started_at - line.start)


COLUMNS: tuple[Column[StepLine], ...] = (
    Column("STEP", _name),
    Column("STATUS", lambda line: status_text(line.step.status)),
    Column("ATTEMPTS", lambda line: line.step.attempts or "", right=True),
    Column("BEGAN", _began, right=True),
    Column("TOOK", _took, right=True),
    Column("LAST ERROR", _error, narrows="wrap"),
)


def _answered(command: CommandRow) -> str:
    return "" if command.answered_at is None else duration(command.answered_at - command.issued_at)


COMMAND_COLUMNS: tuple[Column[CommandRow], ...] = (
    Column("COMMAND", lambda command: command.name),
    Column("STEP", lambda command: f"{'undo ' if command.direction == 'compensation' else ''}{command.step}"),
    Column("STATUS", lambda command: status_text(command.status)),
    Column("SENT", lambda command: command.sendings, right=True),
    Column("ANSWERED AFTER", _answered, right=True),
    Column("ID", lambda command: command.command_id, style="dim", narrows="wrap"),
)


May = Callable[[SagaState], Sequence[str]]
"""Returns the commands with which people may act on a saga."""


def present(output: str, store: Store, row: StatusRow, may: May = lambda _: ()) -> None:
    """Write a saga and its steps in the given format; `may` is asked for people only."""
    steps = in_order(store.steps(row.saga_id))
    events = history(store, row.saga_id)
    state = fold(events)
    commands = store.commands_of(row.saga_id)
    if output == "json":
        described = {
            **record(row),
            **attribute_record(store.attributes([row.saga_id]).get(row.saga_id, ())),
            **_more(state),
            "acted": action_records(events),
            "steps": [_step_record(step) for step in steps],
            "commands": [record(command) for command in commands],
        }
        write_json(described)
        return
    if output == "table":
        _header(row, state, events, may)
        write()
    emit(output, [StepLine(step, row.started_at) for step in steps], COLUMNS, lambda line: _step_record(line.step))
    if output == "table" and commands:
        write()
        emit(output, commands, COMMAND_COLUMNS, record)


def in_order(steps: list[StepRow]) -> list[StepRow]:
    """Return actions in the order in which they ran, then compensations in theirs: the last step first."""
    actions = [step for step in steps if step.direction == "action"]
    undone = [step for step in steps if step.direction != "action"]
    return actions + sorted(undone, key=lambda step: (step.started_at is None, step.started_at or 0, -step.ordinal))


def _step_record(step: StepRow) -> dict[str, Any]:
    found = record(step)
    found["result"] = None if step.result is None else json.loads(step.result)
    return found


def _more(state: SagaState) -> dict[str, Any]:
    """Return what only the log holds: the input, and for a stuck saga the details that a person needs."""
    return {
        "input": msgspec.json.decode(state.input),
        "reason": state.reason,
        "paused_by": state.paused,
        "pending": list(state.pending),
        "actions": list(state.actions),
        "refused_starts": state.refused_starts,
        "received": list(state.received),
        "kept": [
            {"message_id": kept.message, "name": kept.name, "data": msgspec.json.decode(kept.data)}
            for kept in state.kept
        ],
    }


def _header(row: StatusRow, state: SagaState, events: Sequence[SagaEvent], may: May) -> None:
    now = time.time_ns() // 1_000
    title = Text.assemble((plain(row.saga_name), "bold"), " ", plain(row.saga_key), "  ", status_text(row.status))
    write(title)
    write()
    lines: list[tuple[str, object]] = [
        ("id", row.saga_id),
        ("definition", f"version {row.saga_version} ({row.definition})" + (f", run {row.run}" if row.run > 1 else "")),
        ("started", moment(row.started_at)),
    ]
    if row.ended_at is not None:
        lines.append(("ended", f"{moment(row.ended_at)}, after {duration(row.ended_at - row.started_at)}"))
    else:
        lines.append(("last event", f"{moment(row.updated_at)}, {duration(max(0, now - row.updated_at))} ago"))
        lines.append(("waits for", _waits_for(row, now)))
    if row.deadline_at is not None and row.ended_at is None and row.status != "stuck":
        lines.append(("deadline", f"{moment(row.deadline_at)}{_distance(row.deadline_at, now)}"))
    if row.owner is not None:
        lines.append(("worker", row.owner))
    if row.correlation_id != row.saga_id:
        lines.append(("correlation", row.correlation_id))
    if row.causation_id is not None:
        lines.append(("causation", row.causation_id))
    if state.parent is not None:
        lines.append(("part of", f"saga {state.parent.saga_id}, as its step {state.parent.step}"))
    if state.cause is not None:
        step = f"{state.cause.step}: " if state.cause.step else ""
        lines.append(("cause", f"{step}{state.cause.type}: {state.cause.message}"))
    lines += _below("acted on", action_lines(events))
    lines += _of_people(state, may)
    lines += _attributes(state)
    if state.received:
        lines.append(("messages taken", len(state.received)))
    lines += _events_kept(state)
    if state.refused_starts:
        lines.append(("refused", f"{state.refused_starts} later starts with this key"))
    write_fields(lines)


def _of_people(state: SagaState, may: May) -> list[tuple[str, object]]:
    """Return what a person has to know who may act on the saga, or what one has done."""
    lines: list[tuple[str, object]] = []
    if state.status == "stuck":
        lines.append(("stuck because", state.reason))
        lines.append(("still to undo", ", ".join(state.pending) or "nothing"))
    if state.paused is not None:
        lines.append(("paused by", state.paused))
    if state.status == "abandoned":
        lines.append(("abandoned", "" if state.error is None else state.error.message))
        lines.append(("left as they are", ", ".join(state.pending) or "no effects"))
    if state.forked_from is not None:
        lines.append(("goes on from", f"saga {state.forked_from}"))
    if state.forked_to is not None:
        lines.append(("goes on as", f"saga {state.forked_to}"))
    # What lets a choreography go on is no command, but an event of somebody else.
    others = state.actions if state.kind == "choreography" else ()
    return lines + _below("you may", (*others, *may(state)))


def _below(label: str, texts: Iterable[str]) -> list[tuple[str, object]]:
    """Return lines of which the first has the label."""
    return [("" if number else label, text) for number, text in enumerate(texts)]


def _attributes(state: SagaState) -> list[tuple[str, object]]:
    held = ", ".join(f"{name}={text_of(data)}" for name, data in sorted(state.attributes.items()) if data is not None)
    lines: list[tuple[str, object]] = [("attributes", held)] if held else []
    if (problem := state.attributes_error) is not None:
        where = f"{problem.step}: " if problem.step else ""
        lines.append(("no attributes", f"{where}{problem.type}: {problem.message}"))
    return lines


def _events_kept(state: SagaState) -> list[tuple[str, object]]:
    """Return the received events that are no steps: those kept for a later step, or others of a choreography."""
    if state.kind == "choreography":
        names = ", ".join(kept.name for kept in state.kept)
        return [("also came", names)] if names else []
    what = "which no step came to wait for" if state.ended is not None else "until its step waits for it"
    return [("came early", f"{kept.name} {kept.message}, {what}") for kept in state.kept]


def _waits_for(row: StatusRow, now: int) -> str:
    until = row.waiting_until
    if row.waiting_for is None:
        return "a worker"
    return row.waiting_for if until is None else f"{row.waiting_for}, until {moment(until)}{_distance(until, now)}"


def _distance(at: int, now: int) -> str:
    return f" (in {duration(at - now)})" if at >= now else f" ({duration(now - at)} ago)"
