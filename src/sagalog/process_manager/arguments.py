"""Type checks of the arguments of a process manager's methods, made before anything is done."""

from typing import Any, cast

from sagalog.errors import InvalidAction, InvalidIdentifier, InvalidInput, InvalidQuery, UnknownSaga
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.durations import Duration, seconds_of
from sagalog.saga.options import shown

SagaNamed = str | Saga[Any] | Choreography


def check_named(given: object) -> str:
    """Return the id or key of a saga; raises `InvalidIdentifier` unless it is text."""
    if not isinstance(given, str):
        raise InvalidIdentifier(f"expected the id or key of a saga, found {shown(given)}; a run has it as run.id")
    return given


def check_start(saga: object, value: object) -> None:
    """Raise `UnknownSaga` unless `saga` is a `Saga` (not its name), and `InvalidInput` if `value` is a class."""
    if not isinstance(saga, Saga):
        known = "; a name is not enough, give the saga itself" if isinstance(saga, str) else ""
        raise UnknownSaga(f"expected a Saga to start, found {shown(saga)}{known}")
    if isinstance(value, type):
        raise InvalidInput(
            f"the input of saga {saga.name}: expected an instance, found the class {value.__name__} itself"
        )


def name_of_saga(saga: SagaNamed | None) -> str | None:
    """Return the name of a saga given by name or itself, or None; raises `InvalidQuery` for anything else."""
    if isinstance(saga, Saga | Choreography):
        return saga.name
    if saga is not None and not isinstance(cast(object, saga), str):
        raise InvalidQuery(f"expected the name of a saga, or the saga itself, found {shown(saga)}")
    return saga


def check_step(given: object) -> str | None:
    """Return the name of a step, or None; raises `InvalidAction` for anything else."""
    if given is not None and not isinstance(given, str):
        raise InvalidAction(f"step: expected the name of a step, found {shown(given)}")
    return given


def check_flag(what: str, given: object) -> bool:
    """Return a value that says yes or no; raises `InvalidAction` for anything else, however true it may be."""
    if not isinstance(given, bool):
        raise InvalidAction(f"{what}: expected True or False, found {shown(given)}")
    return given


def patience(timeout: Duration | None) -> float | None:
    """Return a timeout in seconds, or None; raises `InvalidQuery` unless it is a duration of 0 or more."""
    if timeout is None:
        return None
    seconds = seconds_of(timeout)
    if seconds < 0:
        raise InvalidQuery(
            f"timeout: expected seconds or a timedelta, from 0 on, or None to wait for ever, found {shown(timeout)}"
        )
    return seconds
