"""A log record for every transition of a saga, with saga id, step, attempt and correlation id as fields."""

import logging

from sagalog.engine.cycle import Decided
from sagalog.saga.events import (
    Action,
    ActionRefused,
    CompensationFailed,
    CompensationStarted,
    ErrorInfo,
    SagaAbandoned,
    SagaEvent,
    SagaFailed,
    SagaStuck,
    StepFailed,
)

logger = logging.getLogger("sagalog.transitions")

_LEVELS: dict[type[SagaEvent], int] = {
    StepFailed: logging.WARNING,
    CompensationStarted: logging.WARNING,
    CompensationFailed: logging.ERROR,
    SagaFailed: logging.WARNING,
    SagaStuck: logging.ERROR,
    ActionRefused: logging.WARNING,
    SagaAbandoned: logging.ERROR,
}


def log_transitions(decision: Decided) -> None:
    """Write one record for each event of a decision that has become durable; the fields are in `record.__dict__`."""
    quiet = not logger.isEnabledFor(logging.INFO)
    saga_id, state = decision.saga_id, decision.after
    for event in decision.events:
        without: ErrorInfo | None = getattr(event, "attributes_error", None)
        if quiet and without is None and type(event) not in _LEVELS:
            continue
        level = _LEVELS.get(type(event), logging.INFO if without is None else logging.WARNING)
        if not logger.isEnabledFor(level):
            continue
        name = type(event).__name__
        step = getattr(event, "step", None)
        error = getattr(event, "error", None) or getattr(event, "cause", None)
        fields = {
            "saga_id": saga_id,
            "saga_name": state.saga,
            "saga_key": state.key,
            "saga_status": state.status,
            "transition": name,
            "step": step,
            "attempt": getattr(event, "attempt", None),
            "correlation_id": state.correlation_id,
            "causation_id": state.causation_id,
            "error_type": None if error is None else error.type,
        }
        about = f" {step}" if step else ""
        if isinstance(event, Action):
            about = f"{about} {event.verb} by {event.actor} ({event.reason})"
        why = f": {error.type}: {error.message}" if error is not None else ""
        if isinstance(event, ActionRefused):
            why = f": {event.why}"
        if without is not None:
            why = f", without attributes, and it goes on: {without.type}: {without.message}"
        logger.log(level, "%s %s %s%s%s", state.saga, state.key, name, about, why, extra=fields)
