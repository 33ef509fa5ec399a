"""Each mistake in a participant gives one clear error that names it, and all mistakes are told together."""

# mypy: disable-error-code="empty-body, untyped-decorator"

from typing import Any

import pytest
from sagas.paying import Bank, OrderCreated, PaymentProcessed, ProcessPayment, RefundPayment, mistakes, only, payments

from sagalog import Event, Participant, StepContext
from sagalog.errors import DefinitionError
from sagalog.saga.messages.participants import check_together


def test_a_participant_that_handles_nothing() -> None:
    only(payments(), "it handles nothing")


def test_a_name_that_cannot_be_stored() -> None:
    one = Participant("pay\0ments")

    @one.on(name="x" * 201)
    def react(event: OrderCreated) -> None: ...

    first, second = mistakes(one)
    assert "its name" in first
    assert "U+0000" in first
    assert "give name=" in second


def test_a_first_parameter_that_is_no_message() -> None:
    one = payments()

    @one.handles  # type: ignore[type-var]
    def process(bank: Bank) -> None: ...  # pyright: ignore[reportArgumentType]

    only(one, "handler process", "first parameter bank must be a message, found Bank", "subclass Command")


def test_a_first_parameter_that_is_missing_or_has_no_type() -> None:
    one = payments()
    any_one: Any = one

    @any_one.on
    def nothing() -> None: ...

    @any_one.on
    def untyped(event) -> None: ...  # type: ignore[no-untyped-def]

    @any_one.on
    def by_name(*, event: OrderCreated) -> None: ...

    assert [text.split(":")[0] for text in mistakes(one)] == ["handler nothing", "handler untyped", "handler by_name"]
    assert "must be the event that it takes" in mistakes(one)[0]
    assert "has no type" in mistakes(one)[1]


def test_a_command_where_an_event_is_meant_and_the_other_way_round() -> None:
    one = payments()
    any_one: Any = one

    @any_one.on
    def react(command: ProcessPayment) -> None: ...

    @any_one.handles
    def process(event: OrderCreated) -> None: ...

    first, second = mistakes(one)
    assert "on takes events, and ProcessPayment is none; declare it with handles" in first
    assert "handles takes commands, and OrderCreated is none; declare it with on" in second


def test_a_type_that_the_first_parameter_does_not_take() -> None:
    one = payments()
    any_one: Any = one

    @any_one.handles(ProcessPayment)
    def process(command: RefundPayment) -> None: ...

    only(one, "declared for ProcessPayment", "does not take that")


def test_a_type_that_says_nothing() -> None:
    one = payments()

    @one.on
    def everything(event: Event) -> None: ...

    only(one, "Event says no type")


def test_parameters_that_nothing_provides() -> None:
    one = payments()

    @one.handles
    def process(
        command: ProcessPayment, amount: int, other: RefundPayment, ctx: StepContext, *rest: Bank, spare: int = 3
    ) -> None: ...

    amount, other, ctx, rest = mistakes(one)
    assert "parameter amount: nothing provides int" in amount
    assert "parameter other: only the first parameter is a message" in other
    assert "take MessageContext" in ctx
    assert "parameter rest cannot be given by name" in rest


def test_an_answer_that_is_no_event() -> None:
    one = payments()
    any_one: Any = one

    @any_one.handles
    def process(command: ProcessPayment) -> str: ...

    @any_one.on
    def react(event: OrderCreated) -> list[PaymentProcessed | RefundPayment]: ...

    @any_one.on
    def vague(event: OrderCreated) -> Event: ...

    @any_one.on
    def silent(event: OrderCreated): ...  # type: ignore[no-untyped-def]

    string, command, vague_text, silent_text = mistakes(one)
    assert "handler process: it returns str" in string
    assert "handler react: it returns RefundPayment" in command
    assert "it returns Event; say which events" in vague_text
    assert "does not say what it returns" in silent_text


def test_a_message_that_cannot_be_stored() -> None:
    class Odd(Event):
        bank: Bank

    one = payments()

    @one.on
    def react(event: Odd) -> None: ...

    only(one, "Odd cannot be stored as JSON")


def test_annotations_that_cannot_be_resolved() -> None:
    one = payments()
    any_one: Any = one

    @any_one.on
    def react(event: "Missing") -> None: ...  # type: ignore[name-defined]  # pyright: ignore[reportUndefinedVariable]  # noqa: F821

    only(one, "the annotations cannot be resolved", "Missing")


def test_a_command_with_two_handlers() -> None:
    one = payments()

    @one.handles
    def process(command: ProcessPayment) -> None: ...

    @one.handles
    def again(command: ProcessPayment) -> None: ...

    only(one, "command ProcessPayment has two handlers, process and again")


def test_two_handlers_of_one_event_and_one_name() -> None:
    one = payments()

    @one.on
    def react(event: OrderCreated) -> None: ...

    @one.on(name="react")
    def also(event: OrderCreated) -> None: ...

    only(one, "two handlers of OrderCreated are called react", "name=")


def test_two_types_of_one_name() -> None:
    class Other(Event):
        NAME = "OrderCreated"

    one = payments()

    @one.on
    def react(event: OrderCreated) -> None: ...

    @one.on
    def also(event: Other) -> None: ...

    only(one, "two types of messages travel under the name OrderCreated")


def test_a_handler_declared_too_late() -> None:
    one = payments()

    @one.on
    def react(event: OrderCreated) -> None: ...

    assert one.definition is one.definition
    with pytest.raises(DefinitionError, match="handler late would never be called"):

        @one.on
        def late(event: OrderCreated) -> None: ...


def test_a_timeout_that_is_none() -> None:
    with pytest.raises(DefinitionError, match="participant payments: expected a timeout over 0 seconds"):
        payments(timeout=0)
    with pytest.raises(DefinitionError, match="handler react: expected a timeout"):

        @payments().on(timeout=-1)
        def react(event: OrderCreated) -> None: ...


def test_participants_that_cannot_work_side_by_side() -> None:
    one, other, third = payments(), payments(), Participant("bank")
    for participant in (one, third):

        @participant.handles
        def process(command: ProcessPayment) -> None: ...

    for participant in (one, other, third):

        @participant.on
        def react(event: OrderCreated) -> None: ...

    check_together([one.definition])
    with pytest.raises(DefinitionError) as caught:
        check_together([one.definition, other.definition, third.definition])
    assert str(caught.value).splitlines()[1:] == [
        "  - two participants are called payments; give one of them another name",
        "  - payments and bank both handle ProcessPayment; a command has one",
    ]
