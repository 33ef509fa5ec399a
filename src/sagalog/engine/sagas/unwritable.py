"""The fault that is recorded in place of an outcome that the database refuses. Pure.

A success is kept, and recorded later beside the fault.

A failure is not kept. The fault counts for the same attempt, and a second failure of it is no news (rule 1 of
`decide`). When a person resumes the saga, the step gets a fresh budget whatever it failed of (rule 11). Recorded after
that, the old failure would use up that budget and end the step again.
"""

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
from sagalog.saga.state import UNTOUCHED, SagaState, StepState, is_done, is_to_undo


def fault_of(problem: BaseException) -> ErrorInfo:
    """Return the fault for an error of the database or the engine, in a text that every database takes."""
    return error_from("fault", type_of(problem), ascii(text_of(problem))[1:-1])


def instead_of(input: Input, here: StepState, problem: BaseException) -> Input | None:
    """Return the input to record in place of an outcome that could not be written; None if there is none.

    A fault says that the step may have had its effect, and that its result is unknown. If the step, which is `here`,
    was at fault already, it is the fault of a further attempt, since a repeated one would be no news.
    """
    error = fault_of(problem)
    match input:
        case ActionSucceeded() | ActionFailed():
            return ActionFailed(input.step, max(input.attempt, here.action.attempts + 1), input.began, error)
        case UndoSucceeded() | UndoFailed():
            attempt = max(input.attempt, here.undo.attempts + 1)
            return UndoFailed(input.step, input.epoch, attempt, input.began, error)
        case RequestMade(direction="action"):
            return ActionFailed(input.step, input.attempt, None, error)
        case RequestMade():
            return UndoFailed(input.step, here.epoch, input.attempt, None, error)
        case _:
            return None


def is_success(input: Input) -> bool:
    """Tell whether an input says that something was done, which must not be done again."""
    return isinstance(input, ActionSucceeded | UndoSucceeded)


def is_news(state: SagaState, input: Input) -> bool:
    """Tell whether a success that could not be written still matters to its saga."""
    here = state.steps.get(getattr(input, "step", ""), UNTOUCHED)
    if isinstance(input, ActionSucceeded):
        # A step that was undone had been done before, so this success must not cause a second compensation.
        return not is_done(here) and here.undo.status != "compensated"
    if isinstance(input, UndoSucceeded):
        return is_to_undo(here) and here.epoch == input.epoch
    return False


def outcome_of(effect: RunAction | RunCompensation | CallOff, problem: BaseException) -> Input | None:
    """Return the outcome of an attempt that failed in the engine itself; None if nothing may be concluded."""
    error = fault_of(problem)
    if isinstance(effect, RunAction):
        return ActionFailed(effect.step, effect.attempt, None, error)
    if isinstance(effect, RunCompensation):
        return UndoFailed(effect.step, effect.epoch, effect.attempt, None, error)
    return None
