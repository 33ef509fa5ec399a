"""What is told to a saga instead of something that its database does not take: a fault, which says so. Pure.

A success is known all the same, so it is not forgotten: it is told again later, beside the fault.

A failure is not kept. The fault stands for the same attempt, of which a second failure is no news (rule 1 of `decide`);
and a person who lets the saga go on gives the step that it was stuck for a fresh attempt whatever it failed of, also if
it was refused (rule 11). Told after that, it would take from the fresh budget what that is for, and end the step again.
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
    """Return the fault that an error of the database or the engine is, in a text that every database takes."""
    return error_from("fault", type_of(problem), ascii(text_of(problem))[1:-1])


def instead_of(input: Input, here: StepState, problem: BaseException) -> Input | None:
    """Return what is told instead of an outcome that could not be written; None if there is nothing to be said.

    The step may have had its effect, and others cannot know its result: that is what a fault says of it, too. It is the
    fault of one attempt more if the step, which is `here`, was at fault already: told once more it would be no news.
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
    """Tell whether something is known to be done, and must not be done again."""
    return isinstance(input, ActionSucceeded | UndoSucceeded)


def is_news(state: SagaState, input: Input) -> bool:
    """Tell whether a success that could not be written is still of use to its saga."""
    here = state.steps.get(getattr(input, "step", ""), UNTOUCHED)
    if isinstance(input, ActionSucceeded):
        # What has been undone since was done before that, and must not be undone once more.
        return not is_done(here) and here.undo.status != "compensated"
    if isinstance(input, UndoSucceeded):
        return is_to_undo(here) and here.epoch == input.epoch
    return False


def outcome_of(effect: RunAction | RunCompensation | CallOff, problem: BaseException) -> Input | None:
    """Return the outcome of an attempt that the engine itself could not make; None if nothing may be concluded."""
    error = fault_of(problem)
    if isinstance(effect, RunAction):
        return ActionFailed(effect.step, effect.attempt, None, error)
    if isinstance(effect, RunCompensation):
        return UndoFailed(effect.step, effect.epoch, effect.attempt, None, error)
    return None
