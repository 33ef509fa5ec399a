"""How often and how long something is tried again: the policies that make sense, and what the kernel makes of them."""

import itertools
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st
from kernel.stories import Choice, act

from sagalog import Event, Participant, Retry, Saga
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.redecide import first_divergence
from sagalog.testing.kernel import START, Given, given, started

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# The last moment that a date can be shown of.
YEAR_9999 = 253_402_300_799 * SECOND


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": True},
        {"attempts": 2.5},
        {"attempts": "3"},
        {"attempts": 10**9},
        {"delay": 1e300, "max_delay": 1e300},
        {"max_delay": 3e11},
        {"delay": float("nan")},
        {"delay": True},
        {"delay": "1"},
        {"delay": None},
        {"delay": 10**400},
        {"max_delay": float("inf")},
        {"max_delay": -1},
        {"delay": timedelta(days=-1)},
        {"factor": 1e300},
        {"factor": True},
        {"factor": float("nan")},
        {"jitter": float("nan")},
        {"jitter": True},
        {"for_": 0},
        {"for_": -1},
        {"for_": True},
        {"for_": float("inf")},
        {"for_": float("nan")},
        {"for_": 1e12},
        {"for_": timedelta(days=40_000)},
        {"for_": "1h"},
    ],
)
def test_a_policy_that_nobody_can_mean_is_refused_when_it_is_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Retry\(.*found"):
        Retry(**wrong)


def test_a_limit_in_time_takes_the_place_of_the_usual_number() -> None:
    assert Retry().attempts == 3
    assert Retry(for_=60).attempts is None
    assert Retry(attempts=5, for_=60).attempts == 5
    assert Retry(attempts=None).attempts is None
    assert Retry(attempts=None).for_ is None


@generated(
    delay=st.floats(0, 3.1e9),
    longest=st.floats(0, 3.1e9),
    factor=st.floats(1, 1e6),
    attempt=st.integers(1, 10**7),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_pause_is_ever_longer_than_a_date_can_be(
    delay: float, longest: float, factor: float, attempt: int, chance: float
) -> None:
    pause = Retry(delay=delay, max_delay=longest, factor=factor, jitter=1.0).pause(attempt, chance)
    assert pause >= 0
    assert START + pause < YEAR_9999
    assert delay or not pause


def test_times_may_be_given_as_timedeltas() -> None:
    patient = Retry(delay=timedelta(minutes=1), max_delay=timedelta(hours=2), factor=1_000, jitter=0)
    assert [patient.pause(n, 0.5) for n in (1, 2, 3)] == [60 * SECOND, 2 * HOUR, 2 * HOUR]


def letters(retry: Retry | None = None, pivot: bool = True) -> Saga[Choice]:
    """Make a saga of a step before, or without, the pivot, and one that is tried by the policy."""
    saga = Saga("letters", input=Choice, timeout=None)

    @saga.step(pivot=pivot, compensation=None)
    def pay(choice: Choice) -> None: ...

    step: Any = saga.step
    options: dict[str, Any] = {"retry": retry} if retry is not None else {}

    def post(choice: Choice) -> None: ...

    step(compensation=None, **options)(post)
    return saga


def failing(saga: Saga[Choice], step: str, every: int, most: int = 2_000) -> tuple[Given, list[e.StepFailed]]:
    """Let a step fail from now on until it is given up, each attempt `every` microseconds after its time."""
    told = given(saga, started(saga, Choice()))
    if step == "post":
        told = told.when(i.ActionSucceeded("pay", 1, START, e.EMPTY)).then(e.StepSucceeded)
    found: list[e.StepFailed] = []
    at = START
    error = e.error_from("error", "ConnectionError", "the letter shop is closed")
    while len(found) < most:
        ended = at + every
        number = len(found) + 1
        decided = told.when(i.ActionFailed(step, number, at, error), ended).decided()
        told = Given(told.definition, [*told.events, *decided])
        first = decided[0]
        assert isinstance(first, e.StepFailed)
        found.append(first)
        if first.retry_at is None:
            break
        at = first.retry_at
    return told, found


def test_a_step_is_tried_until_its_time_is_over_and_the_last_time_just_then() -> None:
    told, tried = failing(letters(Retry(for_=3_600, delay=50, factor=1)), "post", every=SECOND)
    assert [one.retry_at for one in tried[-2:]] == [START + HOUR, None]
    assert type(told.events[-1]) is e.SagaStuck


def test_time_counts_from_the_beginning_of_the_first_attempt() -> None:
    _, tried = failing(letters(Retry(for_=10, delay=0)), "post", every=10 * SECOND)
    assert len(tried) == 1


def test_whichever_limit_comes_first_ends_it() -> None:
    assert len(failing(letters(Retry(attempts=4, for_=3_600)), "post", every=1)[1]) == 4
    assert len(failing(letters(Retry(attempts=4_000, for_=3_600)), "post", every=1)[1]) < 100


def test_without_limits_it_is_tried_for_ever() -> None:
    _, tried = failing(letters(Retry(attempts=None, max_delay=timedelta(days=30), factor=1e6)), "post", 1, most=250)
    assert tried[-1].retry_at is not None
    assert tried[-1].retry_at > START + 7_000 * DAY


def test_a_step_after_the_pivot_survives_an_outage_of_an_hour_and_then_needs_a_person() -> None:
    """Invariant 26: bounded, then a person."""
    told, tried = failing(letters(), "post", every=SECOND)
    assert tried[-1].time >= START + DAY
    assert len(tried) < 400
    assert max(later.time - before.time for before, later in itertools.pairwise(tried)) < HOUR / 10
    assert type(told.events[-1]) is e.SagaStuck


def test_a_compensation_survives_an_outage_of_an_hour_and_then_needs_a_person() -> None:
    """Invariant 26."""
    saga = Saga("letters", input=Choice, timeout=None)

    @saga.step
    def pay(choice: Choice) -> None: ...

    @pay.compensate
    def refund(_: None) -> None: ...

    error = e.error_from("error", "ConnectionError", "the bank is closed")
    told = given(saga, started(saga, Choice()))
    told = told.when(i.ActionFailed("pay", 3, START, error), START).then(e.StepFailed, e.CompensationStarted)
    at, attempts = START, 0
    while type(told.events[-1]) is not e.SagaStuck:
        attempts += 1
        decided = told.when(i.UndoFailed("pay", 0, attempts, at, error), at + SECOND).decided()
        told = Given(told.definition, [*told.events, *decided])
        failed = decided[0]
        assert isinstance(failed, e.CompensationFailed)
        at = failed.retry_at or at
    assert at >= START + DAY
    assert attempts < 400


def test_a_handler_of_a_participant_survives_an_outage_of_an_hour_and_then_needs_a_person() -> None:
    """Invariant 26."""
    desk = Participant("desk")

    @desk.on
    async def answer(event: Asked) -> None: ...

    assert answer.__name__ == "answer"
    (handler,) = desk.definition.handlers["Asked"]
    tried = [START]
    while (due := handler.retry.next_at(len(tried), START, 0.5, tried[-1] + SECOND)) is not None:
        tried.append(due)
    assert tried[-1] >= START + DAY
    assert len(tried) < 400
    assert max(later - before for before, later in itertools.pairwise(tried)) < HOUR / 10


def test_a_resume_gives_the_whole_time_again() -> None:
    told, tried = failing(letters(Retry(for_=3_600, delay=50, factor=1)), "post", every=SECOND)
    later = START + 3 * DAY
    told = told.when(act("resume"), later).then(e.SagaResumed)
    error = e.error_from("error", "ConnectionError", "closed")
    number = len(tried) + 1
    told = told.when(i.ActionFailed("post", number, later, error), later).then(e.StepFailed)
    again = told.events[-1]
    assert isinstance(again, e.StepFailed)
    assert again.retry_at is not None
    ended = told.when(i.ActionFailed("post", number + 1, later + HOUR, error), later + HOUR)
    ended.then(e.StepFailed, e.SagaStuck)


def test_a_history_says_itself_how_often_was_tried_whatever_the_policy_says_today() -> None:
    few, many = letters(Retry(attempts=2)), letters()
    for saga in (few, many):
        told, _ = failing(saga, "post", every=SECOND)
        for today in (few, many, letters(Retry(for_=1))):
            assert first_divergence(today.definition, told.events) is None


def test_the_reason_of_a_saga_that_is_stuck_after_its_pivot_says_the_cause() -> None:
    told, _ = failing(letters(Retry(attempts=1)), "post", every=1)
    stuck = told.events[-1]
    assert isinstance(stuck, e.SagaStuck)
    assert stuck.reason.startswith("step post did not succeed after the pivot, where nothing is undone any more: ")
    assert stuck.reason.endswith("ConnectionError: the letter shop is closed")


def test_the_reason_of_a_saga_whose_pivot_is_unknown_says_the_cause() -> None:
    told, _ = failing(letters(), "pay", every=1)
    stuck = told.events[-1]
    assert isinstance(stuck, e.SagaStuck)
    assert stuck.reason.startswith("nobody knows whether the pivot pay was done")
    assert stuck.reason.endswith("ConnectionError: the letter shop is closed")


def test_a_history_whose_reason_says_less_is_still_what_it_was() -> None:
    saga = letters(Retry(attempts=1))
    told, _ = failing(saga, "post", every=1)
    *before, stuck = told.events
    assert isinstance(stuck, e.SagaStuck)
    shorter = e.SagaStuck(
        time=stuck.time, reason=stuck.reason.partition(": ")[0], error=stuck.error, pending=(), actions=stuck.actions
    )
    assert first_divergence(saga.definition, [*before, shorter]) is None
    another = e.SagaStuck(time=stuck.time, reason="why not", error=stuck.error, actions=stuck.actions)
    assert first_divergence(saga.definition, [*before, another]) is not None


@pytest.mark.parametrize("policy", [3, "x", Retry])
def test_what_is_no_policy_is_refused_when_it_is_declared(policy: Any) -> None:
    """It made the saga stuck when the step first failed, and said nothing of why."""
    saga = Saga("letters", input=str)

    @saga.step(retry=policy)
    async def write(text: str) -> None: ...

    @write.compensate(retry=policy)
    async def tear(_: None) -> None: ...

    with pytest.raises(DefinitionError) as found:
        _ = saga.definition
    assert "step write: retry= takes a Retry, such as Retry(attempts=3)" in str(found.value)
    assert "compensation of step write: retry= takes a Retry" in str(found.value)
    desk = Participant("desk", retry=policy)

    @desk.on
    async def answer(event: Asked) -> None: ...

    with pytest.raises(DefinitionError, match="handler answer: retry= takes a Retry"):
        _ = desk.definition
    assert (tear.__name__, answer.__name__) == ("tear", "answer")


class Asked(Event):
    number: int


def test_what_cannot_be_asked_to_redact_is_refused_when_it_is_given() -> None:
    with pytest.raises(DefinitionError, match="redact= takes a function of a text"):
        ProcessManager("memory://", redact=cast(Any, "card"))
