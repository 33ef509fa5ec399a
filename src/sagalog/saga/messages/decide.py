"""What a saga makes of messages and timers: the one event that records each of them, or none if it is no news. Pure.

The rules are at the head of `decide`, which asks these functions and adds what follows.
"""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import Raw

from sagalog.errors import InvalidInput
from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.definition import Definition, Exchange, StepDefinition
from sagalog.saga.progress import begun, deadline_counts, is_open, next_attempt_at, next_undoing_at
from sagalog.saga.state import UNTOUCHED, CommandState, SagaState, StepState
from sagalog.saga.transitions import ENDED, OPEN


def request_made(definition: Definition, state: SagaState, told: i.RequestMade, now: int) -> e.SagaEvent | None:
    """Return the event that sends a command, unless it was sent already or is not wanted any more."""
    step = definition.step(told.step)
    if told.direction == "action":
        before = begun(definition, state, told.step)
        wanted = is_open(before) and before.waiting is None and state.status in ("started", "pending")
        known, attempts, timeout = before.round, before.attempts, step.timeout
    else:
        before = state.steps.get(told.step, UNTOUCHED)
        wanted = before.undo in ("pending", "retrying") and before.undo_waiting is None and state.status in OPEN
        known, attempts = before.undo_round, before.undo_attempts
        timeout = None if step.compensation is None else step.compensation.timeout
    if not wanted or told.round != known or told.attempt <= attempts or timeout is None:
        return None
    until = now + timeout
    if told.direction == "action" and state.deadline is not None and deadline_counts(definition, state):
        until = min(until, state.deadline)
    return e.RequestSent(
        time=now,
        step=told.step,
        direction=told.direction,
        attempt=told.attempt,
        command_id=told.command_id,
        name=told.name,
        data=told.data,
        until=until,
    )


def timer_fired(definition: Definition, state: SagaState, told: i.TimerFired, now: int) -> e.SagaEvent | None:
    """Return what it means that a step's time is over; nothing if what it waited for came first."""
    step = definition.step(told.step)
    here = state.steps.get(told.step, UNTOUCHED)
    waiting = here.waiting if told.direction == "action" else here.undo_waiting
    if waiting is None or waiting.until is None or now < waiting.until or state.status not in OPEN:
        return None
    if waiting.attempt != told.attempt:
        return None
    seconds = (waiting.until - waiting.since) / 1e6
    if told.direction == "compensation":
        assert step.compensation is not None
        error = e.error_from(
            "timeout", "ReplyTimeout", f"no reply to the compensation of {told.step} within {seconds:g} s"
        )
        return e.CompensationFailed(
            time=now,
            step=told.step,
            attempt=waiting.attempt,
            began=waiting.since,
            error=error,
            retry_at=next_undoing_at(
                here, step.compensation, waiting.attempt, waiting.since, error, told.jitter, now, told.last
            ),
        )
    if step.kind == "sleep":
        return e.StepSucceeded(time=now, step=told.step, attempt=waiting.attempt, began=waiting.since, result=e.EMPTY)
    if step.wait is not None:
        # Nothing was asked of anybody, so there is nothing to undo: it counts as refused.
        error = e.error_from("timeout", "WaitTimeout", f"no {step.wait.name} came within {seconds:g} s")
        outcome: e.FailedOutcome = "refused"
        retry_at = None
    else:
        error = e.error_from("timeout", "ReplyTimeout", f"step {told.step}: no reply within {seconds:g} s")
        outcome = "unknown"
        retry_at = next_attempt_at(
            definition, state, told.step, waiting.attempt, waiting.since, error, told.jitter, now, told.last
        )
    return e.StepFailed(
        time=now,
        step=told.step,
        attempt=waiting.attempt,
        began=waiting.since,
        outcome=outcome,
        error=error,
        retry_at=retry_at,
    )


def received(definition: Definition, state: SagaState, message: Envelope, now: int) -> e.SagaEvent:
    """Return the event that records a message, which is never none: it has not been recorded before."""
    answer: e.Answer | None = None
    command_id = _command_of(definition, state, message)
    if command_id is not None:
        command = state.commands[command_id]
        exchange = _exchange(definition, command)
        answer = None if exchange is None else exchange.judge(message.name)
        news = _reply(definition, state, command_id, message, answer, now)
        if news is not None:
            return news
    elif message.name in definition.starts:
        return e.StartRefused(
            time=now,
            correlation_id=message.correlation_id,
            causation_id=message.causation_id,
            message=message.id,
        )
    awaited = definition.waits.get(message.name, ())
    for name in awaited:
        here = state.steps.get(name, UNTOUCHED)
        if here.waiting is not None and state.status not in ENDED:
            return _came(definition.step(name), name, here, message.id, message.data, now)
    return e.EventReceived(
        time=now,
        message=message.id,
        name=message.name,
        data=message.data,
        causation_id=message.causation_id,
        kept=_is_kept(state, message.name, awaited),
        answer=answer,
    )


def _is_kept(state: SagaState, name: str, awaited: tuple[str, ...]) -> bool:
    """Tell whether a step that is still to come, or will wait again after a resume, takes an event of that name."""
    if state.rolling_back or state.status in ENDED:
        return False
    steps = [state.steps.get(step, UNTOUCHED) for step in awaited]
    coming = sum(is_open(step) or (step.action == "refused" and state.status == "stuck") for step in steps)
    return coming > sum(one.name == name for one in state.kept)


def _command_of(definition: Definition, state: SagaState, message: Envelope) -> str | None:
    """Return the id of the command that a message answers.

    One that does not say what caused it answers the only command that it can be an answer to, if there is just one.
    """
    if message.causation_id is not None:
        return message.causation_id if message.causation_id in state.commands else None
    found = [
        command_id
        for command_id, command in state.commands.items()
        if command.status in ("sent", "unanswered")
        and (exchange := _exchange(definition, command)) is not None
        and (message.name == exchange.success_name or message.name in exchange.refusals)
    ]
    return found[0] if len(found) == 1 else None


def _exchange(definition: Definition, command: CommandState) -> Exchange | None:
    step = definition.step(command.step)
    if command.direction == "action":
        return step.exchange
    return None if step.compensation is None else step.compensation.exchange


def _reply(
    definition: Definition, state: SagaState, command_id: str, message: Envelope, answer: e.Answer | None, now: int
) -> e.SagaEvent | None:
    """Return what a reply means; nothing if its command was answered or given up, which only a success can change."""
    command = state.commands[command_id]
    step = definition.step(command.step)
    here = state.steps.get(command.step, UNTOUCHED)
    if command.direction == "compensation":
        if answer is None or command_id != here.undo_command:
            return None
        return _undo_reply(here, command.step, message, answer, now)
    if answer is None or command_id != here.command:
        return None
    attempt, began = _attempt(here, now)
    if answer == "refused":
        if not is_open(here) or state.status in ENDED:
            return None
        return e.StepFailed(
            time=now,
            step=command.step,
            attempt=attempt,
            began=began,
            outcome="refused",
            error=refusal(message),
            message=message.id,
        )
    if here.action in ("succeeded", "skipped"):
        return None
    if is_open(here):
        return _came(step, command.step, here, message.id, message.data, now)
    try:
        step.result.take(message.data)
    except InvalidInput:
        return None
    return e.StepSucceeded(
        time=now, step=command.step, attempt=attempt, began=began, result=message.data, late=True, message=message.id
    )


def _undo_reply(here: StepState, step: str, message: Envelope, answer: e.Answer, now: int) -> e.SagaEvent | None:
    waiting = here.undo_waiting
    attempt = max(1, here.undo_attempts) if waiting is None else waiting.attempt
    began = waiting.since if waiting is not None else here.undo_began or now
    if answer == "succeeded":
        if here.undo not in ("pending", "retrying", "failed"):
            return None
        return e.StepCompensated(time=now, step=step, attempt=attempt, began=began, message=message.id)
    if here.undo not in ("pending", "retrying"):
        return None
    return e.CompensationFailed(
        time=now, step=step, attempt=attempt, began=began, error=refusal(message), message=message.id
    )


def _attempt(here: StepState, now: int) -> tuple[int, int]:
    """Return the number of the attempt that a message ends, and when that began."""
    if here.waiting is not None:
        return here.waiting.attempt, here.waiting.since
    return max(1, here.attempts), here.began or now


def _came(step: StepDefinition, name: str, here: StepState, message: str, data: Raw, now: int) -> e.SagaEvent:
    """Return the success of a step whose message came, or its failure if nobody can read that."""
    attempt, began = _attempt(here, now)
    try:
        step.result.take(data)
    except InvalidInput:
        # What it says instead is not told: the text has to follow from what is recorded.
        text = f"message {message} cannot be read as {step.result.name}"
        return e.StepFailed(
            time=now,
            step=name,
            attempt=attempt,
            began=began,
            outcome="unknown",
            error=e.error_from("fault", "InvalidInput", text),
            message=message,
        )
    return e.StepSucceeded(time=now, step=name, attempt=attempt, began=began, result=data, message=message)


def refusal(message: Envelope) -> e.ErrorInfo:
    """Return the error that a refusing message stands for: its name, and its `reason` if it has one."""
    return e.error_from("refused", message.name, reason_of(message.data))


def reason_of(data: Raw) -> str:
    """Return the `reason` that a message gives; all it says if it gives none."""
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return "it cannot be read"
    reason = cast("dict[str, Any]", found).get("reason") if isinstance(found, dict) else None
    return reason if isinstance(reason, str) else msgspec.json.encode(found).decode()


def waits_begin(state: SagaState, stage: tuple[StepDefinition, ...], now: int) -> e.SagaEvent | None:
    """Return the event with which a step of this stage begins to wait, or takes what came before; none if none does."""
    for step, here in _waiting_kinds(state, stage):
        if here.waiting is None:
            until = None if step.timeout is None else now + step.timeout
            return e.StepWaiting(time=now, step=step.name, until=until)
        for one in state.kept:
            if step.wait is not None and one.name == step.wait.name:
                return _came(step, step.name, here, one.message, one.data, now)
    return None


def _waiting_kinds(state: SagaState, stage: tuple[StepDefinition, ...]) -> Iterator[tuple[StepDefinition, StepState]]:
    for step in stage:
        here = state.steps.get(step.name, UNTOUCHED)
        if step.kind in ("wait", "sleep") and is_open(here):
            yield step, here
