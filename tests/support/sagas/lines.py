"""A saga over the lines of an order, for stories and simulations about steps that are made for each element."""

from collections.abc import Mapping

from msgspec import Struct
from sagas.trip import ASK, UNDO

from sagalog import Saga, StepContext
from sagalog.testing.recording_service import RecordingService
from sagalog.testing.simulation.world import World


class Line(Struct, frozen=True):
    sku: str


class Order(Struct, frozen=True, kw_only=True):
    """An order; `scripts` tells by step, such as `reserve[1]` (and `reserve[1] undo`), what happens there."""

    order_id: str
    lines: tuple[Line, ...] = ()
    labels: int = 0
    scripts: dict[str, str] = {}


class Reserved(Struct, frozen=True):
    what: str


class Packed(Struct, frozen=True):
    count: int


class Warehouse:
    """Every service of an order: one participant behind a network."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.participant = RecordingService()
        self.mended = False
        self.packed: list[list[str]] = []

    async def ask(self, order: Order, context: StepContext) -> None:
        """Send a request over the network."""
        await self.world.call(context, self.participant.play(context, self.script(order, context)))

    def ask_here(self, order: Order, context: StepContext) -> None:
        """Ask from a plain function."""
        self.participant.play(context, self.script(order, context))()

    def script(self, order: Order, context: StepContext) -> str:
        if self.mended:
            return "ok"
        undoing = context.idempotency_key != f"{context.saga_id}:{context.step}"
        return order.scripts.get(f"{context.step} undo" if undoing else context.step, "ok")


lines_saga = Saga("order-lines", input=Order, timeout=20.0, key=lambda order: order.order_id)


@lines_saga.step(for_each=lambda order: order.lines, retry=ASK, timeout=2)
def reserve(line: Line, order: Order, warehouse: Warehouse, ctx: StepContext) -> Reserved:
    """One after the other, as a plain function."""
    warehouse.ask_here(order, ctx)
    return Reserved(line.sku)


@reserve.compensate(retry=UNDO, timeout=2)
def release(reserved: Reserved | None, line: Line, order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
    assert reserved is None or reserved.what == line.sku
    warehouse.ask_here(order, ctx)


with lines_saga.parallel():

    @lines_saga.step(for_each=lambda order: order.lines, at_once=2, retry=ASK, timeout=2)
    async def pack(line: Line, order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
        """Side by side, two at a time."""
        await warehouse.ask(order, ctx)

    @lines_saga.step(retry=ASK, timeout=2)
    async def charge(order: Order, reserved: list[Reserved], warehouse: Warehouse, ctx: StepContext) -> Packed:
        warehouse.packed.append([one.what for one in reserved])
        await warehouse.ask(order, ctx)
        return Packed(len(reserved))


@lines_saga.step(pivot=True, retry=ASK, timeout=2)
async def close(order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
    await warehouse.ask(order, ctx)


@lines_saga.step(
    for_each=lambda order: range(order.labels),
    at_once=True,
    retry=UNDO,
    timeout=2,
    when=lambda order: order.labels > 0,
)
async def print_label(number: int, order: Order, packed: Packed, warehouse: Warehouse, ctx: StepContext) -> int:
    await warehouse.ask(order, ctx)
    return number * packed.count


@pack.compensate(retry=UNDO, timeout=2)
async def unpack(_: None, line: Line, order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
    await warehouse.ask(order, ctx)


@charge.compensate(retry=UNDO, timeout=2)
async def refund(packed: Packed | None, order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
    await warehouse.ask(order, ctx)


@close.compensate(retry=UNDO, timeout=2)
async def reopen(_: None, order: Order, warehouse: Warehouse, ctx: StepContext) -> None:
    await warehouse.ask(order, ctx)


def line_services(world: World) -> Mapping[type, object]:
    return {Warehouse: Warehouse(world)}
