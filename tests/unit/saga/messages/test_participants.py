"""What a participant declares, as the data that the bus runs it by."""

# mypy: disable-error-code="empty-body"

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sagas.paying import (
    Bank,
    OrderCancelled,
    OrderCreated,
    PaymentProcessed,
    PaymentRejected,
    ProcessPayment,
    RefundPayment,
    payments,
)

from sagalog import Event, MessageContext, Retry
from sagalog.codec import encode_json
from sagalog.errors import InvalidInput
from sagalog.saga.binding import Parameter
from sagalog.saga.messages.participants import output_id


def test_a_handler_of_commands_is_data() -> None:
    one = payments(retry=Retry(attempts=7), timeout=30)

    @one.handles
    async def process(
        command: ProcessPayment, bank: Bank, ctx: MessageContext, spare: Bank | None
    ) -> PaymentProcessed | PaymentRejected: ...

    (handler,) = one.definition.handlers["ProcessPayment"]
    assert (handler.name, handler.kind, handler.message) == ("process", "command", ProcessPayment)
    assert handler.function is process
    assert handler.is_async
    assert handler.parameters == (
        Parameter("bank", "service", Bank),
        Parameter("ctx", "context"),
        Parameter("spare", "service", Bank, True),
    )
    assert handler.outputs == (PaymentProcessed, PaymentRejected)
    assert not handler.may_be_silent
    assert (handler.retry.attempts, handler.timeout) == (7, 30_000_000)


def test_options_of_a_handler_go_before_those_of_its_participant() -> None:
    one = payments(timeout=None)

    @one.handles(ProcessPayment, name="pay", retry=Retry(attempts=2), timeout=timedelta(minutes=2))
    def process(command: ProcessPayment) -> None: ...

    @one.on(retry=Retry(attempts=3))
    def react(event: OrderCreated) -> None: ...

    (handler,) = one.definition.handlers["ProcessPayment"]
    assert (handler.name, handler.retry.attempts, handler.timeout) == ("pay", 2, 120_000_000)
    (handler,) = one.definition.handlers["OrderCreated"]
    assert (handler.name, handler.retry.attempts, handler.timeout) == ("react", 3, None)


def test_a_handler_stays_the_function_that_it_is() -> None:
    one = payments()

    @one.handles
    def process(command: ProcessPayment) -> PaymentProcessed:
        return PaymentProcessed(order_id=command.order_id)

    assert process(ProcessPayment(order_id="1")) == PaymentProcessed(order_id="1")


def test_one_function_takes_several_types_by_a_union_or_by_a_decorator_for_each() -> None:
    one = payments()

    @one.on
    def either(event: OrderCreated | OrderCancelled) -> None: ...

    @one.handles(ProcessPayment)
    @one.handles(RefundPayment)
    def both(command: ProcessPayment | RefundPayment) -> None: ...

    assert set(one.definition.handlers) == {"OrderCreated", "OrderCancelled", "ProcessPayment", "RefundPayment"}


def test_several_handlers_react_to_one_event_in_the_order_of_their_declaration() -> None:
    one = payments()

    @one.on
    def first(event: OrderCreated) -> None: ...

    @one.on
    def second(event: OrderCreated) -> None: ...

    assert [handler.name for handler in one.definition.handlers["OrderCreated"]] == ["first", "second"]


def test_what_a_handler_may_answer_is_in_its_return_annotation() -> None:
    one = payments()

    @one.on(name="a")
    def a(event: OrderCreated) -> Sequence[PaymentProcessed | PaymentRejected]: ...

    @one.on(name="b")
    def b(event: OrderCreated) -> tuple[PaymentProcessed, PaymentRejected]: ...

    @one.on(name="c")
    def c(event: OrderCreated) -> PaymentProcessed | list[PaymentRejected] | None: ...

    @one.on(name="d")
    def d(event: OrderCreated) -> None: ...

    @one.on(name="e")
    def e(event: OrderCreated) -> tuple[PaymentProcessed, ...]: ...

    both = (PaymentProcessed, PaymentRejected)
    found = [(handler.outputs, handler.may_be_silent) for handler in one.definition.handlers["OrderCreated"]]
    assert found == [(both, True), (both, False), (both, True), ((), True), ((PaymentProcessed,), True)]
    processed, rejected = (PaymentProcessed,), (PaymentRejected,)
    assert [set(handler.ways) for handler in one.definition.handlers["OrderCreated"]] == [
        {(), processed, rejected, both},
        {both},
        {processed, rejected, ()},
        {()},
        {(), processed},
    ]


def test_a_name_of_its_own_is_the_name_that_a_message_travels_under() -> None:
    class Renamed(Event):
        NAME = "shop.order-created"
        order_id: str

    one = payments()

    @one.on
    def react(event: Renamed) -> None: ...

    assert list(one.definition.handlers) == ["shop.order-created"]


# ---------------------------------------------------------------------------------------------- what is handled


def test_a_message_is_read_as_its_type() -> None:
    one = payments()

    @one.handles
    def process(command: ProcessPayment) -> None: ...

    (handler,) = one.definition.handlers["ProcessPayment"]
    assert handler.read(encode_json(ProcessPayment(order_id="1"))) == ProcessPayment(order_id="1")
    with pytest.raises(InvalidInput, match="expected ProcessPayment"):
        handler.read(b'{"order_id": 1}')


def test_answers_are_held_to_what_was_declared() -> None:
    one = payments()

    @one.handles
    def process(command: ProcessPayment) -> Sequence[PaymentProcessed]: ...

    @one.handles
    def refund(command: RefundPayment) -> PaymentRejected: ...

    (process_handler,) = one.definition.handlers["ProcessPayment"]
    (refund_handler,) = one.definition.handlers["RefundPayment"]
    done, rejected = PaymentProcessed(order_id="1"), PaymentRejected(order_id="1")
    assert process_handler.answers([done, done]) == [done, done]
    assert process_handler.answers(()) == []
    assert process_handler.answers(None) == []
    assert refund_handler.answers(rejected) == [rejected]
    for handler, wrong, text in (
        (
            process_handler,
            [done, rejected],
            "expected PaymentProcessed or None, found PaymentProcessed, PaymentRejected",
        ),
        (refund_handler, None, "expected PaymentRejected, found nothing"),
        (refund_handler, [], "expected PaymentRejected, found nothing"),
        (refund_handler, "paid", "expected PaymentRejected, found str"),
        (refund_handler, done, "expected PaymentRejected, found PaymentProcessed"),
    ):
        with pytest.raises(TypeError, match=text):
            handler.answers(wrong)


def test_the_id_of_an_answer_is_a_pure_function_of_what_it_answers() -> None:
    """Invariant 6: handled again, a message leads to the same ids; no two answers share one."""
    ids = {
        output_id(message, participant, handler, number)
        for message in ("m-1", "m-2")
        for participant in ("payments", "inventory")
        for handler in ("process", "refund")
        for number in (0, 1)
    }
    assert len(ids) == 16
    assert all(one.startswith("r-") and len(one) == 34 for one in ids)
    assert output_id("m-1", "payments", "process", 0) == "r-681b09ae6457b25bfa3fd7fd9744b3a6"
    assert MessageContext(
        message_id="m-1", correlation_id="c", causation_id=None, source="s", attempt=3, participant="payments"
    ).idempotency_key == "m-1"  # fmt: skip
