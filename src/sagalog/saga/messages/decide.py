"""How a saga records messages and timers: the one event for each of them, or None if it is no news. Pure.

The rules are at the head of `decide`, which asks these functions and adds what follows.
"""

from typing import Any, cast

import msgspec
from msgspec import Raw

from sagalog.errors import InvalidInput
from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.attempts import Attempt, failure, last_attempt, next_attempt_at
from sagalog.saga.definition import Definition, Exchange, StepDefinition
from sagalog.saga.progress import begun, deadline_counts
from sagalog.saga.state import (
    UNTOUCHED,
    ActionStatus,
    CommandState,
    SagaState,
    Side,
    StepState,
    is_done,
    is_open,
    is_to_undo,
)
from sagalog.saga.transitions import ENDED, FORWARD, OPEN


def request_made(definition: Definition, state: SagaState, input: i.RequestMade, now: int) -> e.SagaEvent | None:
    """Return the event that sends a command; None if it was sent already or is no longer wanted."""
    forwards = input.direction == "action"
    declared = definition.step(input.step).side(input.direction)
    here = begun(definition, state, input.step) if forwards else state.steps.get(input.step, UNTOUCHED)
    side = here.side(input.direction)
    if not is_open(side) or side.waiting is not None or state.status not in (FORWARD if forwards else OPEN):
        return None
    if input.round != side.round or input.attempt <= side.attempts or declared is None or declared.timeout is None:
        return None
    until = now + declared.timeout
    if forwards and state.deadline is not None and deadline_counts(definition, state):
        until = min(until, state.deadline)
    return e.RequestSent(
        time=now,
        step=input.step,
        direction=input.direction,
        attempt=input.attempt,
        command_id=input.command_id,
        name=input.name,
        data=input.data,
        until=until,
    )


def never_sent(state: SagaState, here: Side[ActionStatus]) -> bool:
    """Tell whether a request can have had no effect yet: nothing was sent, or only commands that were refused."""
    return here.command is None or state.commands[here.command].round != here.round


def timer_fired(definition: Definition, state: SagaState, input: i.TimerFired, now: int) -> e.SagaEvent | None:
    """Return the event for a step whose time is over; None if what it waited for came first."""
    step = definition.step(input.step)
    side = state.steps.get(input.step, UNTOUCHED).side(input.direction)
    waiting = side.waiting
    if waiting is None or waiting.until is None or now < waiting.until or state.status not in OPEN:
        return None
    if waiting.attempt != input.attempt:
        return None
    if step.kind == "sleep":
        return e.StepSucceeded(time=now, step=input.step, attempt=waiting.attempt, began=waiting.since, result=e.EMPTY)
    attempt = last_attempt(input.direction, input.step, side, now)
    # A person may have moved the time to one before it began to wait.
    seconds = max(0, waiting.until - waiting.since) / 1e6
    if step.wait is not None:
        # Nobody was asked for anything, so there is nothing to undo: it counts as refused.
        error = e.error_from("timeout", "WaitTimeout", f"no {step.wait.name} came within {seconds:g} s")
        return failure(attempt, error, now, outcome="refused")
    text = f"step {input.step}: no reply within {seconds:g} s"
    if input.direction == "compensation":
        text = f"no reply to the compensation of {input.step} within {seconds:g} s"
    error = e.error_from("timeout", "ReplyTimeout", text)
    retry_at = next_attempt_at(definition, state, attempt, error, input, now)
    return failure(attempt, error, now, retry_at=retry_at)


def received(definition: Definition, state: SagaState, message: Envelope, now: int) -> e.SagaEvent:
    """Return the event that records a message; there always is one, because the message is new."""
    answer: e.Answer | None = None
    command_id = _command_of(definition, state, message)
    if command_id is not None:
        command = state.commands[command_id]
        exchange = _exchange(definition, command)
        answer = None if exchange is None else exchange.answer_of(message.name)
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
        if here.action.waiting is not None and state.status not in ENDED:
            attempt = last_attempt("action", name, here.action, now)
            return _came(definition.step(name), attempt, message.id, message.data, now)
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
    """Tell whether a later step, or one that waits again after a resume, takes an event of that name."""
    if state.rolling_back or state.status in ENDED:
        return False
    steps = [state.steps.get(step, UNTOUCHED) for step in awaited]
    stuck = state.status == "stuck"
    coming = sum(is_open(one.action) or (stuck and one.action.status == "refused") for one in steps)
    return coming > sum(one.name == name for one in state.kept)


def _command_of(definition: Definition, state: SagaState, message: Envelope) -> str | None:
    """Return the id of the command that a message answers; None if it answers none.

    A message that names no cause answers the only command that it can be an answer to, if there is exactly one.
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
    declared = definition.step(command.step).side(command.direction)
    return None if declared is None else declared.exchange


def _reply(
    definition: Definition, state: SagaState, command_id: str, message: Envelope, answer: e.Answer | None, now: int
) -> e.SagaEvent | None:
    """Return the event for a reply; None if its command was answered or given up and the reply is no success."""
    command = state.commands[command_id]
    here = state.steps.get(command.step, UNTOUCHED)
    side = here.side(command.direction)
    if answer is None or command_id != side.command:
        return None
    attempt = last_attempt(command.direction, command.step, side, now)
    if answer == "refused":
        if not is_open(side) or state.status in ENDED:
            return None
        return failure(attempt, refusal(message), now, message=message.id)
    if command.direction == "action":
        return _action_done(definition.step(command.step), here, attempt, message, now)
    if not is_to_undo(here):
        return None
    began = now if attempt.began is None else attempt.began
    return e.StepCompensated(time=now, step=command.step, attempt=attempt.number, began=began, message=message.id)


def _action_done(
    step: StepDefinition, here: StepState, attempt: Attempt, message: Envelope, now: int
) -> e.SagaEvent | None:
    """Return the success that a reply reports; None if it is known, or comes late and cannot be read."""
    if is_done(here):
        return None
    if is_open(here.action):
        return _came(step, attempt, message.id, message.data, now)
    try:
        step.result.take(message.data)
    except InvalidInput:
        return None
    return _succeeded(attempt, message.id, message.data, now, late=True)


def _came(step: StepDefinition, attempt: Attempt, message: str, data: Raw, now: int) -> e.SagaEvent:
    """Return the success of a step whose message came, or its failure if the message cannot be read."""
    try:
        step.result.take(data)
    except InvalidInput:
        # The reader's own text is left out: the error must follow from what is recorded.
        text = f"message {message} cannot be read as {step.result.name}"
        return failure(attempt, e.error_from("fault", "InvalidInput", text), now, message=message)
    return _succeeded(attempt, message, data, now)


def _succeeded(attempt: Attempt, message: str, data: Raw, now: int, late: bool = False) -> e.StepSucceeded:
    began = now if attempt.began is None else attempt.began
    return e.StepSucceeded(
        time=now, step=attempt.step, attempt=attempt.number, began=began, result=data, late=late, message=message
    )


def refusal(message: Envelope) -> e.ErrorInfo:
    """Return the error for a refusing message: its name, and its `reason` if it has one."""
    return e.error_from("refused", message.name, reason_of(message.data))


def reason_of(data: Raw) -> str:
    """Return the `reason` field of a message; its whole data if it has none."""
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return "it cannot be read"
    reason = cast("dict[str, Any]", found).get("reason") if isinstance(found, dict) else None
    return reason if isinstance(reason, str) else msgspec.json.encode(found).decode()


def waits_begin(state: SagaState, stage: tuple[StepDefinition, ...], now: int) -> e.SagaEvent | None:
    """Return the event with which a step of this stage begins to wait, or takes a kept event; None if none does."""
    for step in stage:
        here = state.steps.get(step.name, UNTOUCHED).action
        if step.kind not in ("wait", "sleep") or not is_open(here):
            continue
        if here.waiting is None:
            until = None if step.timeout is None else now + step.timeout
            return e.StepWaiting(time=now, step=step.name, until=until)
        for one in state.kept:
            if step.wait is not None and one.name == step.wait.name:
                return _came(step, last_attempt("action", step.name, here, now), one.message, one.data, now)
    return None
