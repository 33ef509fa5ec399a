"""A small saga whose every step is told what to do: for stories about one thing at a time."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sagalog import Retry, Saga, StepContext

QUICK = Retry(attempts=3, delay=0.5, factor=1.0, jitter=0.0)


class Parcel(Struct, frozen=True):
    parcel_id: str = "p"
    wrapped: bool = False


class Picked(Struct, frozen=True):
    what: str


class Paid(Struct, frozen=True):
    cents: int


class Sent(Struct, frozen=True):
    to: str


class Desk:
    """A diary of every call, which does what a test says: `does["pay"] = lambda ctx: ...`, awaited if it waits."""

    def __init__(self) -> None:
        self.diary: list[tuple[str, str, int]] = []
        self.contexts: list[StepContext] = []
        self.seen: dict[str, list[Any]] = {}
        self.does: dict[str, Callable[[StepContext], Any]] = {}

    async def act(self, name: str, ctx: StepContext, *seen: Any) -> None:
        self.diary.append((name, ctx.idempotency_key, ctx.attempt))
        self.contexts.append(ctx)
        self.seen.setdefault(name, []).append(seen)
        if name in self.does:
            waits = self.does[name](ctx)
            if waits is not None:
                await waits

    def calls(self) -> list[str]:
        """Return the names of what was called, in order."""
        return [name for name, _, _ in self.diary]


def _key(parcel: Parcel) -> str:
    return parcel.parcel_id


def parcel_saga(patience: float = 5, **options: Any) -> Saga[Parcel]:
    """Declare pick, pay and send, with unpick, refund and call_back; each attempt has `patience` seconds."""
    declared: dict[str, Any] = {"timeout": 3600.0, "key": _key}
    saga = Saga("parcel", input=Parcel, **(declared | options))

    @saga.step(retry=QUICK, timeout=patience)
    async def pick(parcel: Parcel, desk: Desk, ctx: StepContext) -> Picked:
        await desk.act("pick", ctx, parcel)
        return Picked("a mug")

    @pick.compensate(retry=QUICK, timeout=patience)
    async def unpick(picked: Picked | None, parcel: Parcel, desk: Desk, ctx: StepContext) -> None:
        await desk.act("unpick", ctx, picked, parcel)

    @saga.step(retry=QUICK, timeout=patience)
    async def pay(parcel: Parcel, desk: Desk, ctx: StepContext) -> Paid:
        await desk.act("pay", ctx, parcel)
        return Paid(5)

    @pay.compensate(retry=QUICK, timeout=patience)
    async def refund(paid: Paid | None, desk: Desk, ctx: StepContext) -> None:
        await desk.act("refund", ctx, paid)

    @saga.step(retry=QUICK, timeout=patience)
    async def send(parcel: Parcel, paid: Paid, desk: Desk, ctx: StepContext) -> Sent:
        await desk.act("send", ctx, paid)
        return Sent("Ada")

    @send.compensate(retry=QUICK, timeout=patience)
    async def call_back(sent: Sent | None, desk: Desk, ctx: StepContext) -> None:
        await desk.act("call_back", ctx, sent)

    return saga


def raising(problem: BaseException, times: int = 1_000) -> Callable[[StepContext], None]:
    """Raise in the first `times` calls."""
    left = [times]

    def act(_: StepContext) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise problem

    return act
