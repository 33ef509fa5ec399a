"""What is told to a saga instead of something that its database does not take: a fault, which says so. Pure."""

from sagalog.saga.events import ErrorInfo, error_from
from sagalog.saga.failure import text_of, type_of
from sagalog.saga.inputs import (
    ActionFailed,
    ActionSucceeded,
    Input,
    RequestMade,
    UndoFailed,
    UndoSucceeded,
)
from sagalog.saga.react import CallOff, RunAction, RunCompensation


def fault_of(problem: BaseException) -> ErrorInfo:
    """Return the fault that an error of the database or the engine is, in a text that every database takes."""
    return error_from("fault", type_of(problem), ascii(text_of(problem))[1:-1])


def instead_of(told: Input, epoch: int, problem: BaseException) -> Input | None:
    """Return what is told instead of an outcome that could not be written; None if there is nothing to be said.

    The step may have had its effect, and nobody can know its result: that is what a fault says of it, too. `epoch` says
    which undoing of the step it is.
    """
    error = fault_of(problem)
    match told:
        case ActionSucceeded() | ActionFailed():
            return ActionFailed(told.step, told.attempt, told.began, error)
        case UndoSucceeded() | UndoFailed():
            return UndoFailed(told.step, told.epoch, told.attempt, told.began, error)
        case RequestMade(direction="action"):
            return ActionFailed(told.step, told.attempt, None, error)
        case RequestMade():
            return UndoFailed(told.step, epoch, told.attempt, None, error)
        case _:
            return None


def outcome_of(effect: RunAction | RunCompensation | CallOff, problem: BaseException) -> Input | None:
    """Return the outcome of an attempt that the engine itself could not make; None if nothing may be concluded."""
    error = fault_of(problem)
    if isinstance(effect, RunAction):
        return ActionFailed(effect.step, effect.attempt, None, error)
    if isinstance(effect, RunCompensation):
        return UndoFailed(effect.step, effect.epoch, effect.attempt, None, error)
    return None
