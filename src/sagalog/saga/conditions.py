"""The condition of a step (`when=`), asked when the saga reaches it. Pure."""

from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.failure import let_interrupts_through, named
from sagalog.saga.state import SagaState


def skipped(definition: Definition, state: SagaState, step: StepDefinition, now: int) -> e.SagaEvent | None:
    """Return the event that skips the step, if its condition is false; that of a stuck saga, if asking it raises.

    The condition is the user's code: a mistake in it must stop only its own saga.
    """
    if step.when is None:
        return None
    try:
        # The truth of the returned object is asked here, because that may raise, too.
        wanted = bool(plain_answer(step.when(definition.read_input(state.input)), "it"))
    except BaseException as problem:
        let_interrupts_through(problem)
        kind, text = named(problem, definition.redact)
        error = e.error_from("fault", kind, f"in when=: {text}", step.name)
        return e.SagaStuck(time=now, reason=f"the condition of step {step.name} raised {kind}", error=error)
    return None if wanted else e.StepSkipped(time=now, step=step.name)
