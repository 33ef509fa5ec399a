"""One turn of the cycle as values: inputs go in, a decision comes out, and it is one write."""

from msgspec import Raw, Struct

from sagalog import Saga
from sagalog.engine.cycle import Decision, append_of, decision_of, state_of
from sagalog.saga.inputs import ActionSucceeded, Start
from sagalog.saga.react import RunAction
from sagalog.store import StoredEvent

ID = "0190aaaa-0000-7000-8000-000000000001"


class Order(Struct, frozen=True):
    """What is ordered."""

    id: str


def shop() -> Saga[Order]:
    saga = Saga("shop", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None)
    def pack(order: Order) -> str:
        return order.id

    @saga.step(compensation=None)
    def send(order: Order, pack: str) -> None: ...

    assert pack.name + send.name == "packsend"
    return saga


DEFINITION = shop().definition
START = Start("a", Raw(b'{"id":"a"}'), 1, "correlated")
PACKED = ActionSucceeded("pack", 1, 7, Raw(b'"a"'))


def decided(before: Decision | None, *inputs: Start | ActionSucceeded) -> Decision:
    decision = decision_of(DEFINITION, ID, None if before is None else before.after, inputs, 7)
    assert decision is not None
    return decision


def test_inputs_that_are_told_one_after_the_other_can_be_one_decision() -> None:
    started = decided(None, START)
    packed = decided(started, PACKED)
    both = decided(None, START, PACKED)
    assert both.events == [*started.events, *packed.events]
    assert (both.before, both.after, both.effects) == (None, packed.after, packed.effects)
    assert both.effects[0] == RunAction("send", 1)


def test_what_is_no_news_is_no_decision() -> None:
    packed = decided(None, START, PACKED)
    assert decision_of(DEFINITION, ID, packed.after, (PACKED,), 7) is None


def test_a_decision_is_written_behind_what_was_there_and_can_be_read_again() -> None:
    started = decided(None, START)
    packed = decided(started, PACKED)
    first, second = append_of(started, None, "w-1"), append_of(packed, "w-1", None, ("m-1",))
    assert (first.expected, second.expected) == (0, len(first.events))
    assert (second.holder, second.status.owner, second.taken) == ("w-1", None, ("m-1",))
    events = enumerate((*first.events, *second.events), 1)
    assert state_of(StoredEvent(number, ID, number, *event) for number, event in events) == packed.after
