"""Where the parameters of a handler come from, and the mistakes in them: each gives one clear error that names it."""

# mypy: disable-error-code="empty-body"

from kernel.declared import Inventory, Order, Payment, Reservation, always, mistakes, new_saga, only, waived

from sagalog import StepContext


def test_a_parameter_that_nothing_provides() -> None:
    saga = new_saga()

    @waived(saga)
    def reserve(order: Order, amount: int) -> Reservation: ...

    only(saga, "step reserve", "parameter amount", "nothing provides int")


def test_a_parameter_without_a_type() -> None:
    saga = new_saga()

    @waived(saga)
    def reserve(order) -> Reservation: ...  # type: ignore[no-untyped-def]

    only(saga, "step reserve", "parameter order has no type", "annotate it")


def test_parameters_that_cannot_be_given_by_name() -> None:
    saga = new_saga()

    @waived(saga)
    def reserve(order: Order, /, *rest: str) -> Reservation: ...

    assert [text.split("cannot")[0] for text in mistakes(saga)] == [
        "step reserve: parameter order ",
        "step reserve: parameter rest ",
    ]


def test_a_result_that_comes_only_later() -> None:
    saga = new_saga()

    @waived(saga)
    def ship(payment: Payment) -> None: ...

    @waived(saga)
    def pay(order: Order) -> Payment: ...

    only(saga, "step ship", "payment", "does not come before this one")


def test_the_result_of_a_step_that_runs_side_by_side() -> None:
    saga = new_saga()
    with saga.parallel():

        @waived(saga)
        def pay(order: Order) -> Payment: ...

        @waived(saga)
        def ship(payment: Payment) -> None: ...

    only(saga, "step ship", "does not come before this one")


def test_an_ambiguous_type() -> None:
    saga = new_saga()

    @waived(saga)
    def pay(order: Order) -> Payment: ...

    @waived(saga)
    def tip(order: Order) -> Payment: ...

    @waived(saga)
    def ship(payment: Payment) -> None: ...

    only(saga, "step ship", "Payment is ambiguous: pay, tip", "name the parameter after the step")


def test_a_result_that_may_be_missing() -> None:
    saga = new_saga()

    @waived(saga, when=always)
    def pay(order: Order) -> Payment: ...

    @waived(saga)
    def ship(payment: Payment) -> None: ...

    only(saga, "step ship", "the result of pay may be missing", "payment: Payment | None")


def test_parameters_are_bound_by_type_and_by_name_where_types_are_not_enough() -> None:
    saga = new_saga()

    @saga.step
    def pay(order: Order, inventory: Inventory, ctx: StepContext) -> Payment: ...

    @pay.compensate
    def refund(payment: Payment | None, order: Order, ctx: StepContext) -> None: ...

    @waived(saga)
    def tip(order: Order) -> Payment: ...

    @waived(saga, when=always)
    def wrap(pay: Payment, tip: Payment) -> Reservation: ...

    @waived(saga)
    def ship(reservation: Reservation | None, comment: str = "none") -> None: ...

    definition = saga.definition
    bound = {name: [(p.name, p.source, p.key) for p in step.parameters] for name, step in definition.steps.items()}
    assert bound == {
        "pay": [("order", "input", None), ("inventory", "service", Inventory), ("ctx", "context", None)],
        "tip": [("order", "input", None)],
        "wrap": [("pay", "result", "pay"), ("tip", "result", "tip")],
        "ship": [("reservation", "result", "wrap")],
    }
    undo = definition.steps["pay"].compensation
    assert undo is not None
    assert undo.takes_none
    assert [(p.name, p.source) for p in undo.parameters] == [("order", "input"), ("ctx", "context")]
