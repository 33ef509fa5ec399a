"""How messages and waiting change the state of a saga: the part of `evolve` that plain steps never need. Pure."""

from msgspec.structs import replace

from sagalog.errors import DivergentHistory
from sagalog.saga import events as e
from sagalog.saga.state import UNTOUCHED, CommandState, CommandStatus, Kept, SagaState, StepState, Waiting
from sagalog.saga.transitions import Status


def with_step(state: SagaState, event: e.SagaEvent, step: str, after: StepState, status: Status) -> SagaState:
    """Return the state after an event that changes one step."""
    steps = state.steps.copy()
    steps[step] = after
    return replace(state, status=status, version=state.version + 1, updated=event.time, steps=steps)


def misplaced(state: SagaState, event: e.SagaEvent, why: str) -> DivergentHistory:
    """Return the error for an event that cannot follow this state."""
    name = type(event).__name__
    return DivergentHistory(
        f"expected an event that can follow version {state.version}, found {name}: {why}; "
        "the history is malformed and is left as it is"
    )


def taken(state: SagaState, message: str, moves: bool = True) -> SagaState:
    """Return the state once a message was taken; if it `moves` the saga, it is the cause of what follows."""
    return replace(
        state,
        # What was kept is known already.
        received=state.received if message in state.received else (*state.received, message),
        kept=tuple(one for one in state.kept if one.message != message) if moves and state.kept else state.kept,
        last_message=message if moves else state.last_message,
    )


def answered(state: SagaState, command_id: str | None, status: CommandStatus, time: int) -> SagaState:
    """Return the state once it is known what became of a command; a later answer replaces that there was none."""
    command = None if command_id is None else state.commands.get(command_id)
    if command_id is None or command is None:
        return state
    commands = state.commands.copy()
    commands[command_id] = replace(
        command,
        status=status,
        answered=None if status == "unanswered" else time,
        data=command.data if status == "unanswered" else None,
    )
    return replace(state, commands=commands)


def step_waiting(state: SagaState, event: e.StepWaiting, status: Status) -> SagaState:
    """Return the state in which a step waits."""
    before = state.steps.get(event.step, UNTOUCHED)
    if before.action != "open" or before.waiting is not None:
        raise misplaced(state, event, f"step {event.step} is {before.action} already")
    after = replace(before, waiting=Waiting(event.time, event.until, before.attempts + 1))
    return with_step(state, event, event.step, after, status)


def request_sent(state: SagaState, event: e.RequestSent, status: Status) -> SagaState:
    """Return the state in which a command is on its way."""
    before = state.steps.get(event.step, UNTOUCHED)
    waiting = Waiting(event.time, event.until, event.attempt)
    if event.direction == "action":
        if before.action not in ("open", "retrying") or before.waiting is not None:
            raise misplaced(state, event, f"step {event.step} is {before.action} already")
        after = replace(before, action="open", retry_at=None, waiting=waiting, command=event.command_id)
    else:
        if before.undo not in ("pending", "retrying") or before.undo_waiting is not None:
            raise misplaced(state, event, f"step {event.step} is not to be undone")
        after = replace(before, undo="pending", undo_retry_at=None, undo_waiting=waiting, undo_command=event.command_id)
    known = state.commands.get(event.command_id)
    if known is None:
        number = before.round if event.direction == "action" else before.undo_round
        cause = state.last_message or state.causation_id
        sent = CommandState(event.name, event.step, event.direction, number, event.time, cause, event.data)
    else:
        sent = replace(known, status="sent", sendings=known.sendings + 1, answered=None, data=event.data)
    commands = state.commands.copy()
    commands[event.command_id] = sent
    return replace(with_step(state, event, event.step, after, status), commands=commands)


def event_received(state: SagaState, event: e.EventReceived, status: Status) -> SagaState:
    """Return the state after a message that moved nothing."""
    if event.message in state.received:
        raise misplaced(state, event, f"message {event.message} was received before")
    kept = (*state.kept, Kept(event.message, event.name, event.data)) if event.kept else state.kept
    state = replace(state, status=status, version=state.version + 1, updated=event.time, kept=kept)
    if event.answer is not None:
        state = answered(state, event.causation_id, event.answer, event.time)
    return taken(state, event.message, moves=False)
