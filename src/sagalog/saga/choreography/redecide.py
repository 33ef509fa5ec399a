"""The inputs of a choreography that led to recorded events, rebuilt from what the log recorded. Pure."""

from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.choreography.contract import Contract


def input_of(contract: Contract, event: e.SagaEvent) -> i.Input:
    """Return the input that led to an event, which must be the first one of its decision.

    Raises `TypeError` for an event that only ever follows another one.
    """
    match event:
        case e.EventReceived():
            return i.Receive(i.as_it_came(event.message, event.name, event.data, event.causation_id))
        case e.StepSucceeded(message=str(id)):
            return i.Receive(i.as_it_came(id, contract.effect_of(event.step), event.result, time=event.began))
        case e.SagaStuck(error=error) | e.SagaFailed(error=error) if error.kind == "deadline":
            return i.DeadlineReached()
        case _:
            name = type(event).__name__
            raise TypeError(f"{name} only follows another event of the same decision, and none is there")
