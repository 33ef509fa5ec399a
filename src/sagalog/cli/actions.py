"""The actions that a saga has on record, done or refused, for people and for machines."""

from collections.abc import Iterable
from typing import Any, Final

from sagalog.cli.event_texts import summary
from sagalog.cli.quantities import moment
from sagalog.saga import events as e

# More than these are hardly looked at, and the history has all.
LONGEST: Final = 10

Recorded = e.Action | e.SagaResumed


def actions_of(events: Iterable[e.SagaEvent]) -> list[tuple[int, Recorded]]:
    """Return each action with its place in the history, without what follows from one."""
    found: list[tuple[int, Recorded]] = []
    taken: set[str | None] = set()
    for version, event in enumerate(events, 1):
        if isinstance(event, e.Action) or (isinstance(event, e.SagaResumed) and event.action_id not in taken):
            found.append((version, event))
        if isinstance(event, e.ActionTaken):
            taken.add(event.action_id)
    return found


def action_lines(events: Iterable[e.SagaEvent]) -> list[str]:
    """Return the last of them as lines, the newest last."""
    found = actions_of(events)
    earlier = len(found) - LONGEST
    lines = [f"{earlier} earlier, see the history"] if earlier > 0 else []
    return lines + [f"{moment(action.time)}  {_text(action)}" for _, action in found[-LONGEST:]]


def action_records(events: Iterable[e.SagaEvent]) -> list[dict[str, Any]]:
    """Return all of them, with the columns of `saga_actions` that say something of an action."""
    return [
        {
            "version": version,
            "time": action.time,
            "verb": "resume" if isinstance(action, e.SagaResumed) else action.verb,
            "step": None if isinstance(action, e.SagaResumed) else action.step,
            "actor": action.actor,
            "reason": action.reason,
            "refused": action.why if isinstance(action, e.ActionRefused) else None,
            "action_id": action.action_id,
        }
        for version, action in actions_of(events)
    ]


def _text(action: Recorded) -> str:
    told = summary(action)
    return f"resume, {told}" if isinstance(action, e.SagaResumed) else told
