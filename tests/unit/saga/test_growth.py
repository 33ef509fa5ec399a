"""What an outcome costs does not depend on how long its saga is: counted in operations and bytes, never in time."""

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from kernel.long_sagas import LedSaga, for_each, in_a_row, that_waits
from msgspec.structs import replace

from sagalog import Saga
from sagalog.saga import inputs as i
from sagalog.saga.decide import advance

SHORT, LONG = 100, 1_000
# So many outcomes are counted together: now and then one has more to do, when what was recent becomes old.
TURNS = 40
# How many times as much they may cost in a saga that is many times as long: nothing may be done for each step.
ALLOWED = 1.5


def operations(led: LedSaga, next_input: Callable[[], i.Input]) -> int:
    """Return how many operations of Python some outcomes cost: deciding on them, and all rows. A copy in C is one."""
    number = 0

    def count(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal number
        frame.f_trace_opcodes = True
        number += event == "opcode"
        return count

    for _ in range(TURNS):
        told = next_input()
        before = sys.gettrace()
        sys.settrace(count)
        try:
            led.tell(told)
        finally:
            sys.settrace(before)
    return number


def copied(led: LedSaga, next_input: Callable[[], i.Input]) -> int:
    """Return how many bytes an outcome needs while it is decided on; the least of some, of which one may need more."""
    least = sys.maxsize
    tracemalloc.start()
    try:
        for _ in range(2 * TURNS):
            told = next_input()
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            led.tell(told)
            least = min(least, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return least


def one_by_one(number: int) -> Saga[Any]:
    return for_each(number)


def side_by_side(number: int) -> Saga[Any]:
    return for_each(number, at_once=3)


def by_requests(number: int) -> Saga[Any]:
    return for_each(number, requests=True)


def halfway(make: Callable[[int], Saga[Any]], number: int, undone: bool) -> LedSaga:
    """Return a saga that is half of the way there, or half of the way back."""
    led = LedSaga(make(number), undone=undone)
    turns = number * (2 if make is by_requests else 1)
    led.lead(turns + 1 + turns // 2 if undone else turns // 2)
    assert led.state is not None
    assert (led.state.rolling_back, len(led.state.steps) > number // 3) == (undone, True)
    return led


def sent(number: int) -> LedSaga:
    """Return a saga that waits, and to which so many messages came."""
    led = LedSaga(that_waits())
    for _ in range(number):
        led.tell(led.another_message())
    return led


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("make", [in_a_row, one_by_one, side_by_side, by_requests])
def test_an_outcome_costs_the_same_however_many_steps_there_are(make: Callable[[int], Saga[Any]], undone: bool) -> None:
    sagas = [halfway(make, number, undone) for number in (SHORT, LONG)]
    short, long = (operations(led, led.next_input) for led in sagas)
    assert long < short * ALLOWED


@pytest.mark.parametrize(
    ("make", "undone"),
    # The numbers of the elements that are still to be undone are copied, eight bytes each.
    [(in_a_row, False), (in_a_row, True), (one_by_one, False), (side_by_side, False), (by_requests, False)],
)
def test_an_outcome_copies_no_more_however_many_steps_there_are(make: Callable[[int], Saga[Any]], undone: bool) -> None:
    sagas = [halfway(make, number, undone) for number in (2 * SHORT, LONG)]
    short, long = (copied(led, led.next_input) for led in sagas)
    assert long < short * ALLOWED


def test_a_message_costs_the_same_however_many_came_before() -> None:
    sagas = [sent(number) for number in (SHORT, LONG)]
    short, long = (operations(led, led.another_message) for led in sagas)
    assert long < short * ALLOWED
    sagas = [sent(number) for number in (2 * SHORT, LONG)]
    short, long = (copied(led, led.another_message) for led in sagas)
    assert long < short * ALLOWED


def test_a_new_message_is_not_compared_with_each_that_came() -> None:
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str(self) == other

    led = sent(LONG)
    told = led.another_message()
    advance(led.definition, led.state, i.Receive(replace(told.message, id=Counted(told.message.id))), led.now)
    assert compared < 10
