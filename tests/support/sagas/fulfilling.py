"""A choreographed fulfilment, as in the reference service: what tests of choreographies declare, tell and look at."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from msgspec import Raw

from sagalog import Event, Participant
from sagalog.codec import encode_json
from sagalog.messages import Envelope
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.decide import advance
from sagalog.saga.events import EMPTY, SagaEvent
from sagalog.saga.inputs import DeadlineReached, Input, Receive, Start
from sagalog.saga.state import SagaState

COMPLETED = ("OrderCreated", "InventoryReserved", "PaymentProcessed", "ShipmentCreated")
REJECTED = ("OrderCreated", "InventoryRejected")
UNPAID = ("OrderCreated", "InventoryReserved", "PaymentFailed", "InventoryReleased")
UNSHIPPED = (
    "OrderCreated",
    "InventoryReserved",
    "PaymentProcessed",
    "ShipmentFailed",
    "PaymentRefunded",
    "InventoryReleased",
)
NOT_REFUNDED = (*UNSHIPPED[:4], "RefundFailed", "RefundRequested", *UNSHIPPED[4:])
OUTCOMES = {"completed": COMPLETED, "rejected": REJECTED, "unpaid": UNPAID, "unshipped": UNSHIPPED}

SECOND = 1_000_000
HOUR = 3_600 * SECOND


class OrderEvent(Event):
    order_id: str
    reason: str | None = None


class OrderCreated(OrderEvent): ...


class InventoryReserved(OrderEvent): ...


class InventoryRejected(OrderEvent): ...


class InventoryReleased(OrderEvent): ...


class PaymentProcessed(OrderEvent): ...


class PaymentFailed(OrderEvent): ...


class PaymentRefunded(OrderEvent): ...


class RefundFailed(OrderEvent): ...


class RefundRequested(OrderEvent): ...


class ShipmentCreated(OrderEvent): ...


class ShipmentFailed(OrderEvent): ...


EVENTS: dict[str, type[OrderEvent]] = {kind.__name__: kind for kind in OrderEvent.__subclasses__()}


def participants() -> list[Participant]:
    """Return the three services of a shop; the beginning of an order's id says how it goes."""
    inventory, payments, shipping = Participant("inventory"), Participant("payments"), Participant("shipping")

    @inventory.on
    def reserve(event: OrderCreated) -> InventoryReserved | InventoryRejected:
        if event.order_id.startswith("rejected"):
            return InventoryRejected(order_id=event.order_id, reason="no stock")
        return InventoryReserved(order_id=event.order_id)

    @inventory.on
    def release(event: PaymentFailed | PaymentRefunded) -> InventoryReleased:
        return InventoryReleased(order_id=event.order_id)

    @payments.on
    def process(event: InventoryReserved) -> PaymentProcessed | PaymentFailed:
        if event.order_id.startswith("unpaid"):
            return PaymentFailed(order_id=event.order_id, reason="declined")
        return PaymentProcessed(order_id=event.order_id)

    @payments.on
    def refund(event: ShipmentFailed | RefundRequested) -> PaymentRefunded | RefundFailed:
        if event.order_id.startswith("closed") and isinstance(event, ShipmentFailed):
            return RefundFailed(order_id=event.order_id, reason="the account is closed")
        return PaymentRefunded(order_id=event.order_id)

    @shipping.on
    def book(event: PaymentProcessed) -> ShipmentCreated | ShipmentFailed:
        if event.order_id.startswith(("unshipped", "closed")):
            return ShipmentFailed(order_id=event.order_id, reason="no van")
        return ShipmentCreated(order_id=event.order_id)

    return [inventory, payments, shipping]


def fulfilment(**changes: Any) -> Choreography:
    """Return the contract of the shop, with some of it declared otherwise."""
    declared: dict[str, Any] = {
        "key": "order_id",
        "starts_with": OrderCreated,
        "completes_with": ShipmentCreated,
        "fails_with": (InventoryRejected, InventoryReleased),
        "compensates": {InventoryReserved: InventoryReleased, PaymentProcessed: PaymentRefunded},
        "stuck_with": RefundFailed,
        "from_outside": {RefundRequested: RefundFailed},
        "timeout": timedelta(hours=1),
    }
    if not changes.get("observed"):
        declared["participants"] = participants()
    return Choreography("order-fulfilment", **{**declared, **changes})


FULFILMENT = fulfilment()


def message(name: str, id: str | None = None, order: str = "o-1", time: int = 0) -> Envelope:
    """Return an event of an order as it comes; each name has one id, unless another is given."""
    event = EVENTS[name](order_id=order, reason=f"why {name}" if name.endswith(("Failed", "Rejected")) else None)
    return Envelope(
        id=id or f"{order}:{name}",
        kind="event",
        name=name,
        source="shop",
        correlation_id=order,
        time=time,
        data=Raw(encode_json(event)),
    )


class Process:
    """One choreographed process as the kernel sees it, and its rows as they are written."""

    def __init__(self, choreography: Choreography | None = None) -> None:
        self.definition = (choreography or FULFILMENT).definition
        self.now = SECOND
        self.state: SagaState | None = None
        self.events: list[SagaEvent] = []
        self._steps: dict[tuple[str, str], Any] = {}
        self.tell(Start("o-1", EMPTY, 1, "o-1"))

    def tell(self, told: Input) -> list[str]:
        """Tell it something and return the names of what it decides."""
        before = self.state
        events, self.state = advance(self.definition, before, told, self.now)
        assert self.state is not None
        self.events += events
        self.now += SECOND
        for row in step_rows(self.definition, "s-1", before, self.state):
            self._steps[row.step, row.direction] = row
        return [type(event).__name__ for event in events]

    def came(self, *names: str) -> "Process":
        """Tell it of events, in this order."""
        for name in names:
            self.tell(Receive(message(name)))
        return self

    def times_out(self) -> list[str]:
        self.now = SECOND + HOUR
        return self.tell(DeadlineReached())

    @property
    def status(self) -> str:
        assert self.state is not None
        return self.state.status

    @property
    def row(self) -> Any:
        assert self.state is not None
        return status_row(self.definition, "s-1", self.state)

    @property
    def steps(self) -> dict[tuple[str, str], str]:
        """Return the status of each step row, as they were written one decision after the other."""
        return {key: row.status for key, row in self._steps.items()}

    def computed_steps(self) -> Iterable[Any]:
        assert self.state is not None
        return step_rows(self.definition, "s-1", None, self.state)

    def written_steps(self) -> Iterable[Any]:
        return self._steps.values()


def what_is_told(process: Process) -> tuple[object, ...]:
    """Return all that the tables say of a process but when it happened, and in which order."""
    row = process.row
    steps = {(one.step, one.direction, one.status, one.result, one.undoes) for one in process.computed_steps()}
    assert process.state is not None
    assert row.status != "failed" or process.state.cause == process.state.error
    return row.status, row.error_type, row.error_text, row.waiting_for, row.saga_key, frozenset(steps)
