"""What the engine writes of steps: a row that is as it was is not written again."""

from collections.abc import Sequence

from msgspec import Struct
from sagas.greeting import run

from sagalog import Refused, Saga
from sagalog.process_manager import ProcessManager
from sagalog.store import Append, AppendOutcome
from sagalog.stores.memory.store import MemoryStore


class Order(Struct, frozen=True):
    id: str


class Recording(MemoryStore):
    """A store that remembers which rows of steps each append had."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str, str]]] = []

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        self.rows += [[(row.step, row.direction, row.status) for row in one.steps] for one in appends]
        return super().append(appends)


def undone() -> Saga[Order]:
    saga = Saga("undone", input=Order, key=lambda order: order.id)

    @saga.step
    async def reserve(order: Order) -> None:
        pass

    @reserve.compensate
    async def release(reserved: None) -> None:
        pass

    @saga.step
    async def pay(order: Order) -> None:
        pass

    @pay.compensate
    async def refund(paid: None) -> None:
        pass

    @saga.step(compensation=None)
    async def ship(order: Order) -> None:
        raise Refused("nothing to ship")

    return saga


def test_of_a_saga_that_is_undone_each_write_has_the_rows_that_change() -> None:
    store, saga = Recording(), undone()

    async def story() -> str:
        async with ProcessManager(store, sagas=[saga]) as manager:
            return (await manager.execute(saga, Order("o-1"))).status

    assert run(story()) == "failed"
    assert store.rows == [
        [],
        [("reserve", "action", "succeeded")],
        [("pay", "action", "succeeded")],
        [
            ("reserve", "compensation", "pending"),
            ("pay", "compensation", "running"),
            ("ship", "action", "refused"),
        ],
        [("pay", "compensation", "compensated"), ("reserve", "compensation", "running")],
        [("reserve", "compensation", "compensated")],
    ]
