"""The messages that led to recorded events, rebuilt from what the log recorded of them. Pure."""

from msgspec import Raw
from msgspec.json import encode
from msgspec.structs import replace

from sagalog.messages import CommandDone, Envelope, name_of
from sagalog.saga import events as e
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.inputs import as_it_came
from sagalog.saga.state import StepState


def message_of(definition: Definition, event: e.SagaEvent, here: StepState) -> Envelope | None:
    """Return the message that led to the event, as far as the event recorded it; None if it was no message.

    The other contents of a refusal, and when and where a message was sent, decide nothing. An awaited event gets a
    cause that is no command of this saga.
    """
    command_id = here.action.command or ""
    match event:
        case e.EventReceived():
            return as_it_came(event.message, event.name, event.data, event.causation_id)
        case e.StepSucceeded(message=str(id)):
            return _envelope(id, _success_name(definition.step(event.step)), command_id, event.result)
        case e.StepFailed(message=str(id)) if event.error.kind == "fault":
            # The data that could not be read is not recorded; empty data cannot be read as an event either.
            return _envelope(id, _success_name(definition.step(event.step)), command_id, e.EMPTY)
        case e.StepFailed(message=str(id)):
            return _refused(id, command_id, event.error)
        case e.StepCompensated(message=str(id)):
            name = _success_name(definition.step(event.step), "compensation")
            return _envelope(id, name, here.undo.command, Raw(b"{}"))
        case e.CompensationFailed(message=str(id)):
            return _refused(id, here.undo.command, event.error)
        case e.StartRefused(message=str(id)):
            name = next(iter(definition.starts), None)
            envelope = _envelope(id, name, event.causation_id, Raw(b"{}"))
            return replace(envelope, correlation_id=event.correlation_id)
        case _:
            return None


def _success_name(step: StepDefinition, direction: e.Direction = "action") -> str | None:
    if step.wait is not None:
        return step.wait.name
    declared = step.side(direction)
    return None if declared is None or declared.exchange is None else declared.exchange.success_name


def _refused(id: str, command_id: str | None, error: e.ErrorInfo) -> Envelope:
    return _envelope(id, error.type, command_id, Raw(encode({"reason": error.message})))


def _envelope(id: str, name: str | None, causation_id: str | None, data: Raw) -> Envelope:
    return as_it_came(id, name or name_of(CommandDone), data, causation_id)
