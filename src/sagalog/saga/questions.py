"""What a saga asks the user's own functions when it reaches a step: is it wanted, and for which elements. Pure."""

from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.failure import let_interrupts_through, named
from sagalog.saga.for_each.decide import fan_out
from sagalog.saga.state import SagaState


def ask(definition: Definition, state: SagaState, step: StepDefinition, now: int) -> e.SagaEvent | None:
    """Ask the user's functions what becomes of a step that is reached: skipped, or made for which elements."""
    if step.name in state.steps or step.name in state.fans:
        return None
    if step.when is not None:
        try:
            # What it returns may be an object that cannot be asked whether it is true.
            wanted = bool(plain_answer(step.when(definition.read_input(state.input)), "it"))
        except BaseException as problem:
            let_interrupts_through(problem)
            # The condition is the user's code: a mistake in it must not stop anything but its own saga.
            kind, text = named(problem, definition.redact)
            error = e.error_from("fault", kind, f"in when=: {text}", step.name)
            reason = f"the condition of step {step.name} raised {kind}"
            return e.SagaStuck(time=now, reason=reason, error=error)
        if not wanted:
            return e.StepSkipped(time=now, step=step.name)
    if step.fan is not None:
        return fan_out(definition, step, step.fan, state.input, now)
    return None
