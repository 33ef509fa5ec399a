"""What a saga asks the user's own function when it reaches a step: is it wanted? Pure."""

from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.failure import let_interrupts_through, named
from sagalog.saga.state import SagaState


def skipped(definition: Definition, state: SagaState, step: StepDefinition, now: int) -> e.SagaEvent | None:
    """Ask the step's condition, if it has one; return the event that skips the step, or the end of the way.

    The condition is the user's code: a mistake in it must not stop anything but its own saga.
    """
    if step.when is None:
        return None
    try:
        # What it returns may be an object that cannot be asked whether it is true.
        wanted = bool(plain_answer(step.when(definition.read_input(state.input)), "it"))
    except BaseException as problem:
        let_interrupts_through(problem)
        kind, text = named(problem, definition.redact)
        error = e.error_from("fault", kind, f"in when=: {text}", step.name)
        return e.SagaStuck(time=now, reason=f"the condition of step {step.name} raised {kind}", error=error)
    return None if wanted else e.StepSkipped(time=now, step=step.name)
