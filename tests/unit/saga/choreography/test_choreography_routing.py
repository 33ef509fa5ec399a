"""Which choreographed process an event is for: by correlation id and key, by key alone, or a new one."""

from msgspec import Raw
from msgspec.structs import replace
from sagas.fulfilling import FULFILMENT, fulfilment, message

from sagalog.saga.choreography.route import ChoreographyRouting, KnownProcesses
from sagalog.saga.messages.route import Begin, Deliver, KnownSaga, Park

ROUTING = ChoreographyRouting([FULFILMENT.definition])


def known(*found: tuple[str, str, str, int, str]) -> KnownProcesses:
    """Return what is known of processes given by correlation id, key, saga id, run and status."""
    processes = KnownProcesses()
    for correlation_id, key, saga_id, run, status in found:
        processes.add(correlation_id, key, KnownSaga(saga_id, ROUTING.name, status, run))
    return processes


def answer(name: str, correlation_id: str, processes: KnownProcesses, order: str = "o-1") -> object:
    (asked,) = ROUTING.ask([replace(message(name, order=order), correlation_id=correlation_id)])
    return ROUTING.answer(asked, processes)


def test_only_events_of_the_contract_are_asked_about() -> None:
    created = message("OrderCreated")
    others = [replace(created, name="CustomerTold"), replace(created, kind="command")]
    assert ROUTING.ask(others) == []
    assert ROUTING.names == frozenset(FULFILMENT.definition.contract.events)


def test_the_first_event_begins_a_process_whichever_it_is() -> None:
    """Invariant 4."""
    for name in ("OrderCreated", "PaymentRefunded"):
        begun = answer(name, "c-1", known())
        assert isinstance(begun, Begin)
        assert (begun.start.key, begun.start.run, begun.start.correlation_id) == ("o-1", 1, "c-1")


def test_an_event_is_for_the_process_with_its_correlation_id_and_key() -> None:
    """Invariant 4: although a newer one has the key, and another one the correlation id."""
    processes = known(
        ("c-1", "o-1", "first", 1, "failed"),
        ("c-2", "o-1", "second", 2, "pending"),
        ("c-1", "o-2", "third", 1, "pending"),
    )
    assert answer("PaymentRefunded", "c-1", processes) == Deliver("first")
    assert answer("OrderCreated", "c-1", processes) == Deliver("first")
    assert answer("PaymentRefunded", "c-2", processes) == Deliver("second")
    assert answer("PaymentRefunded", "c-1", processes, "o-2") == Deliver("third")
    assert isinstance(answer("PaymentRefunded", "c-1", processes, "o-3"), Begin)


def test_an_event_with_an_unknown_correlation_id_is_for_the_newest_process_with_its_key() -> None:
    for order in ((1, 2), (2, 1)):
        runs = {1: ("c-1", "o-1", "first", 1, "pending"), 2: ("c-2", "o-1", "second", 2, "completed")}
        assert answer("RefundRequested", "by hand", known(*(runs[run] for run in order))) == Deliver("second")


def test_a_start_with_an_unknown_correlation_id_is_another_run() -> None:
    """Invariants 1 and 2."""
    for status in ("pending", "completed"):
        begun = answer("OrderCreated", "c-2", known(("c-1", "o-1", "first", 1, status)))
        assert isinstance(begun, Begin)
        assert begun.start.run == 2


def test_what_cannot_be_read_is_parked_with_the_reason() -> None:
    """Invariants 4 and 8."""
    created = message("OrderCreated")
    for data, why in (
        (b'{"order_id": 7}', "$.order_id: expected str, found int"),
        (b'{"order_id": ""}', "the key order_id of event OrderCreated: expected 1 to 500 bytes"),
        (b'{"order_id"', "truncated"),
        (b"[]", "$: expected object, found array"),
    ):
        (asked,) = ROUTING.ask([replace(created, data=Raw(data))])
        parked = ROUTING.answer(asked, known())
        assert isinstance(parked, Park)
        assert "the key of choreography order-fulfilment could not be found in OrderCreated" in parked.reason
        assert why in parked.reason


def test_a_key_that_an_older_version_took_is_that_of_its_process_and_of_no_new_one() -> None:
    old = "o\u200b-1"
    assert answer("PaymentRefunded", "c-2", known(("c-1", old, "first", 1, "pending")), old) == Deliver("first")
    assert isinstance(answer("OrderCreated", "c-2", known(("c-1", old, "first", 1, "pending")), old), Begin)
    parked = answer("OrderCreated", "c-1", known(), old)
    assert isinstance(parked, Park)
    assert "could not be found in OrderCreated: the key order_id of event OrderCreated: " in parked.reason
    assert "U+200B" in parked.reason


def test_the_newest_version_begins_and_older_ones_are_followed() -> None:
    """Invariant 41."""
    newer = fulfilment(version=2, stuck_with=(), from_outside={}, participants=(), observed=True)
    routing = ChoreographyRouting([newer.definition, FULFILMENT.definition])
    assert "RefundFailed" in routing.names
    (asked,) = routing.ask([message("OrderCreated")])
    begun = routing.answer(asked, known())
    assert isinstance(begun, Begin)
    assert begun.definition is newer.definition
