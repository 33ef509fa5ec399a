"""A step that is made once for each element: its elements are asked for and recorded once. Pure.

Each element gives a part: a step of its own, named `ship_line[0]`, with its own attempts, result and compensation.
Parts are decided on like any other step.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, cast

from msgspec import Raw

from sagalog.errors import PayloadTooLarge
from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition, FanOutDefinition, StepDefinition
from sagalog.saga.failure import let_interrupts_through, named
from sagalog.saga.payload.payload_type import MAX_PAYLOAD

MAX_ELEMENTS = 10_000
# Iterables that are no list of elements; the order of a set differs from process to process.
_NO_LISTS = (str, bytes, set, frozenset, Mapping)


def elements_of(step: StepDefinition, fan: FanOutDefinition, given: Any) -> tuple[Raw, ...]:
    """Ask the user's function for the elements, once, and return each as JSON.

    Raises what the function raises, `TypeError` if its result is no list of elements, and `PayloadTooLarge`.
    """
    found: Any = plain_answer(fan.elements(given), "it")
    if isinstance(found, _NO_LISTS) or not hasattr(found, "__iter__"):
        raise TypeError(
            f"expected a list of elements in an order of its own, found {type(cast(object, found)).__name__}"
        )
    # One more than the limit is read, so that an endless generator ends here.
    taken: list[Any] = list(islice(found, MAX_ELEMENTS + 1))
    if len(taken) > MAX_ELEMENTS:
        raise PayloadTooLarge(
            f"more than {MAX_ELEMENTS:,} elements; let each be a list of several, or a saga of its own"
        )
    written = tuple(fan.element.write(one, f"element {n} of step {step.name}") for n, one in enumerate(taken))
    if (size := sum(map(len, map(bytes, written)))) > MAX_PAYLOAD:
        raise PayloadTooLarge(f"the elements are {size:,} bytes of JSON, the cap is {MAX_PAYLOAD:,}")
    return written


def fan_out(
    definition: Definition, step: StepDefinition, fan: FanOutDefinition, input: Raw, now: int
) -> e.StepFannedOut | e.SagaStuck:
    """Return the event that records the elements, or that the saga is stuck because they cannot be found."""
    try:
        elements = elements_of(step, fan, definition.read_input(input))
    except BaseException as problem:
        let_interrupts_through(problem)
        # The function is the user's code: a mistake in it must stop only its own saga.
        kind, text = named(problem, definition.redact)
        error = e.error_from("fault", kind, f"in for_each=: {text}", step.name)
        reason = f"the elements of step {step.name} could not be found: {kind}: {text}"
        return e.SagaStuck(time=now, reason=reason, error=error)
    return e.StepFannedOut(time=now, step=step.name, elements=elements, at_once=fan.at_once)
