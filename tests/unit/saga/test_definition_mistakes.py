"""Each mistake in a declaration gives one clear error that names it, and all mistakes of a saga are told together."""

# mypy: disable-error-code="empty-body"

from typing import Any

import pytest
from kernel.declared import Inventory, Order, Payment, Reservation, always, mistakes, new_saga, only, waived

from sagalog import Retry, Saga
from sagalog.errors import DefinitionError


def test_a_compensatable_step_after_the_pivot() -> None:
    """Invariant 14."""
    saga = new_saga()

    @saga.step(pivot=True)
    def pay(order: Order) -> Payment: ...

    @saga.step
    def ship(order: Order) -> None: ...

    @ship.compensate
    def unship(nothing: None) -> None: ...

    only(saga, "step ship comes after the pivot", "has a compensation; remove it")


def test_an_effect_before_the_pivot_that_is_neither_compensated_nor_waived() -> None:
    """Invariant 14."""
    saga = new_saga()

    @saga.step
    def reserve(order: Order) -> Reservation: ...

    @saga.step(pivot=True)
    def pay(order: Order) -> Payment: ...

    only(saga, "step reserve has neither a compensation nor compensation=None", "@reserve.compensate")


def test_a_step_after_the_pivot_needs_no_compensation() -> None:
    saga = new_saga()

    @saga.step(pivot=True)
    def pay(order: Order) -> Payment: ...

    @saga.step
    def ship(order: Order) -> None: ...

    assert list(saga.definition.steps) == ["pay", "ship"]


def test_a_name_twice() -> None:
    saga = new_saga()

    @waived(saga)
    def pay(order: Order) -> Payment: ...

    @waived(saga, name="pay")
    def pay_again(order: Order) -> Reservation: ...

    only(saga, "two steps have the name pay")


def test_an_unreachable_step() -> None:
    """Invariant 14."""
    saga = new_saga()

    @waived(saga, when=False)
    def wrap(order: Order) -> None: ...

    only(saga, "step wrap is never reached", "when= takes a function")


def test_a_step_declared_after_the_saga_was_taken_into_use() -> None:
    """Invariant 14."""
    saga = new_saga()

    @waived(saga)
    def pay(order: Order) -> Payment: ...

    assert saga.definition is not None
    with pytest.raises(DefinitionError, match="step ship is unreachable"):

        @waived(saga)
        def ship(order: Order) -> None: ...


def test_more_than_one_pivot_and_a_pivot_that_may_be_skipped_or_does_not_stand_alone() -> None:
    saga = new_saga()

    @saga.step(pivot=True)
    def pay(order: Order) -> Payment: ...

    with saga.parallel():

        @saga.step(pivot=True, when=always)
        def ship(order: Order) -> None: ...

        @saga.step
        def mail(order: Order) -> None: ...

    text = "\n".join(mistakes(saga))
    assert "more than one step is a pivot" in text
    assert "step ship is the pivot and runs beside others" in text
    assert "step ship is the pivot and has when=" in text


def test_a_compensation_that_takes_another_result() -> None:
    saga = new_saga()

    @saga.step
    def pay(order: Order) -> Payment: ...

    @pay.compensate  # type: ignore[arg-type]
    def refund(reservation: Reservation) -> None: ...

    only(saga, "compensation of step pay", "must be the step's result Payment, found Reservation")


def test_a_compensation_without_parameters() -> None:
    saga = new_saga()

    @saga.step
    def pay(order: Order) -> Payment: ...

    @pay.compensate  # type: ignore[arg-type]
    def refund() -> None: ...

    only(saga, "compensation of step pay", "first parameter must be the step's result")


def test_a_compensation_declared_twice() -> None:
    saga = new_saga()

    @saga.step
    def pay(order: Order) -> Payment: ...

    @pay.compensate
    def refund(payment: Payment | None) -> None: ...

    with pytest.raises(DefinitionError, match="declared twice"):

        @pay.compensate
        def refund_again(payment: Payment | None) -> None: ...


def test_a_result_that_is_not_declared_or_cannot_be_stored() -> None:
    saga = new_saga()

    @waived(saga)
    def pay(order: Order):  # type: ignore[no-untyped-def]
        ...

    @waived(saga)
    def ship(order: Order) -> Inventory: ...

    found = mistakes(saga)
    assert len(found) == 2
    assert "step pay does not say what it returns" in found[0]
    assert "result of step ship" in found[1]
    assert "cannot be stored as JSON" in found[1]


def test_a_saga_without_steps_and_with_wrong_options() -> None:
    saga = Saga("", input=Order, version=0, after_end="sometimes")  # type: ignore[arg-type]
    text = "\n".join(mistakes(saga))
    for part in ("the saga's name", "version must be", "after_end must be", "it has no step"):
        assert part in text


def test_an_empty_or_nested_parallel_group() -> None:
    saga = new_saga()
    with saga.parallel():
        pass
    only(saga, "a parallel group has no step")
    nested = new_saga()
    with (
        pytest.raises(DefinitionError, match=r"parallel\(\) inside parallel\(\)"),
        nested.parallel(),
        nested.parallel(),
    ):
        pass


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e12])
def test_a_timeout_that_is_none(timeout: float) -> None:
    with pytest.raises(DefinitionError, match="expected a timeout"):
        new_saga(timeout=timeout)
    with pytest.raises(DefinitionError, match="expected a timeout"):
        waived(new_saga(), timeout=timeout)(lambda: None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"delay": -1.0},
        {"factor": 0.5},
        {"jitter": 2.0},
        {"delay": float("nan")},
        {"max_delay": float("inf")},
        {"factor": float("inf")},
    ],
)
def test_a_retry_policy_that_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Retry"):
        Retry(**wrong)


def test_every_mistake_is_told_at_once() -> None:
    saga = new_saga()

    @saga.step
    def reserve(order: Order, amount: int) -> Reservation: ...

    @waived(saga, name="reserve")
    def pay(order: Order, payment: Payment) -> Payment: ...

    @waived(saga, when=True)
    def ship(order: Order): ...  # type: ignore[no-untyped-def]

    text = "\n".join(mistakes(saga))
    for part in (
        "two steps have the name reserve",
        "nothing provides int",
        "neither a compensation",
        "step ship does not say what it returns",
        "step ship cannot be decided",
    ):
        assert part in text


def test_the_digest_tells_structures_apart_and_lets_retries_be_tuned() -> None:
    """Invariant 41: what a running saga depends on is pinned."""

    def digest(**options: Any) -> str:
        saga = new_saga(version=options.pop("version", 1))
        waived(saga, name=options.pop("name", "pay"), **options)(lambda: None)
        step = next(iter(saga._declared.stages))[0]
        step.handler.__annotations__ = {"return": None}
        return saga.definition.digest

    same = digest()
    assert digest(retry=Retry(attempts=9)) == digest(timeout=5) == same
    assert len({same, digest(version=2), digest(name="other"), digest(when=always)}) == 4
