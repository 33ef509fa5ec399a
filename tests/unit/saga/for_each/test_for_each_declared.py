"""Where the elements of a step with `for_each=` come from, and what is declared wrongly."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest
from kernel.declared import only
from kernel.stories import Plan, did, saga_of, start
from msgspec import Raw, Struct

from sagalog import Saga, StepContext
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.for_each.decide import MAX_ELEMENTS
from sagalog.saga.redecide import first_divergence
from sagalog.testing.kernel import given


def letters(elements: int, at_once: bool | int = False) -> Saga[Any]:
    """A step, elements, another step."""
    return saga_of([Plan("a")], [Plan("b", elements=elements, at_once=at_once)], [Plan("c")])


class Order(Struct, frozen=True):
    lines: tuple[str, ...] = ("mug", "pen")


def asking(find: Callable[[Order], Any]) -> Saga[Order]:
    """A saga that makes a step for each of what `find` finds."""
    saga = Saga("ask", input=Order)

    @saga.step(for_each=find, compensation=None)
    def ship(line: str, ctx: StepContext) -> None: ...

    return saga


def first_decision(saga: Saga[Order]) -> list[e.SagaEvent]:
    data = saga.definition.input.write(Order(), "the input")
    return given(saga).when(i.Start("key", data, 1, "key")).decided()


def test_whatever_is_iterated_over_in_an_order_gives_the_elements() -> None:
    makers: list[Callable[[Iterable[str]], Any]] = [tuple, list, iter]
    for make in makers:

        def find(order: Order, make: Callable[[Iterable[str]], Any] = make) -> Any:
            return make(order.lines)

        found = first_decision(asking(find))[1]
        assert isinstance(found, e.StepFannedOut)
        assert found.elements == (Raw(b'"mug"'), Raw(b'"pen"'))


def fail() -> Iterable[str]:
    raise LookupError("no lines today")


@pytest.mark.parametrize(
    ("find", "kind", "text"),
    [
        (fail, "LookupError", "no lines today"),
        (lambda: None, "TypeError", "expected a list of elements"),
        (lambda: "mug", "TypeError", "expected a list of elements"),
        (lambda: {"mug", "pen"}, "TypeError", "expected a list of elements"),
        (lambda: [1, 2], "TypeError", "element 0 of step ship"),
        (lambda: (str(n) for n in count()), "PayloadTooLarge", f"more than {MAX_ELEMENTS:,} elements"),
        (lambda: ["x" * 1_000] * 300, "PayloadTooLarge", "the cap is 262,144"),
        (lambda: ["\x00"], "InvalidInput", "NUL"),
    ],
)
def test_elements_that_cannot_be_had_make_the_saga_stuck_and_say_why(
    find: Callable[[], Any], kind: str, text: str
) -> None:
    """Invariant 12."""
    started, stuck = first_decision(asking(lambda order: find()))
    assert isinstance(started, e.SagaStarted)
    assert isinstance(stuck, e.SagaStuck)
    assert (stuck.error.kind, stuck.error.type, stuck.error.step) == ("fault", kind, "ship")
    assert text in stuck.reason


def test_as_many_as_may_be_are_taken() -> None:
    found = first_decision(asking(lambda order: ["x"] * MAX_ELEMENTS))[1]
    assert isinstance(found, e.StepFannedOut)
    assert len(found.elements) == MAX_ELEMENTS


def test_how_many_at_once_may_be_tuned_and_other_elements_today_are_a_divergence() -> None:
    """Invariants 39 and 40."""
    events = start(letters(3)).when(did("a")).then(e.StepSucceeded, e.StepFannedOut).events
    assert first_divergence(letters(3, at_once=True).definition, events) is None
    divergence = first_divergence(letters(2).definition, events)
    assert divergence is not None
    assert divergence.version == 3


def test_the_digest_says_whether_there_are_elements_and_not_how_many_at_once() -> None:
    """Invariant 41."""
    plain = saga_of([Plan("a")], [Plan("b")], [Plan("c")])
    digests = {letters(3).definition.digest, letters(3, at_once=True).definition.digest, plain.definition.digest}
    assert letters(3).definition.digest == letters(3, at_once=5).definition.digest
    assert len(digests) == 2


# ---------------------------------------------------------------------------------------------- declared wrongly


def _lines(order: Order) -> tuple[str, ...]:
    return order.lines


def declared(**options: Any) -> tuple[Saga[Order], Callable[[Callable[..., Any]], Any]]:
    """Begin a saga whose first step is made for each line, and has nothing to undo."""
    saga = Saga("mistaken", input=Order)
    step: Any = saga.step
    return saga, step(**({"for_each": _lines, "compensation": None} | options))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"for_each": ["mug"]}, "for_each= takes a function of the input, found ['mug']"),
        ({"for_each": None, "at_once": True}, "at_once= says nothing without for_each="),
        ({"at_once": 0}, "at_once= is True, False, or 1 to 1,000, found 0"),
        ({"at_once": 1_001}, "at_once= is True, False, or 1 to 1,000, found 1001"),
        ({"pivot": True}, "it is the pivot and has for_each="),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_saga_is_built(options: dict[str, Any], text: str) -> None:
    """Invariant 14."""
    saga, step = declared(**options)

    @step
    def ship(line: str) -> None: ...

    only(saga, text)


def test_a_handler_takes_the_element_first_and_with_a_type() -> None:
    saga, step = declared()

    @step
    def nothing() -> None: ...

    only(saga, "its first parameter must be the element")
    saga, step = declared()

    @step
    def untyped(line) -> None: ...  # type: ignore[no-untyped-def]

    only(saga, "its first parameter must be the element")


def test_a_step_may_not_have_the_name_of_a_part() -> None:
    saga, step = declared(name="ship")

    @step
    def ship(line: str) -> None: ...

    @saga.step(name="ship[0]", compensation=None)
    def other(order: Order) -> None: ...

    only(saga, "step ship[0] has the name that a part of step ship has")


def test_a_later_step_takes_the_results_as_a_list_and_not_one_of_them() -> None:
    saga, step = declared()

    @step
    def ship(line: str) -> int:
        return 1

    @saga.step(compensation=None)
    def count_all(numbers: list[int]) -> None: ...

    assert saga.definition.steps["count_all"].parameters[0].key == "ship"

    saga, step = declared()

    @step
    def weigh(line: str) -> float:
        return 1.0

    @saga.step(compensation=None)
    def one(number: float) -> None: ...

    only(saga, "number: nothing provides float")
