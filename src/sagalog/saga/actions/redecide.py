"""The actions that led to recorded events, rebuilt from what the log recorded of them. Pure."""

from msgspec.structs import asdict, fields

from sagalog.saga import events as e
from sagalog.saga.inputs import Act

_FIELDS = tuple(field.name for field in fields(Act))


def act_of(event: e.SagaEvent) -> Act | None:
    """Return the action that an event records; None for an event that was not led to by one.

    A choreography goes on by itself, so it is never resumed by the first event of a decision.
    """
    if isinstance(event, e.SagaResumed):
        return Act(action_id=event.action_id or "", verb="resume", actor=event.actor, reason=event.reason)
    if not isinstance(event, e.Action):
        return None
    found = asdict(event)
    return Act(**{name: found[name] for name in _FIELDS})
