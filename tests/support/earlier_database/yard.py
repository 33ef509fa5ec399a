"""Every service that the earlier app calls, in one: its inputs say how each call goes. It keeps nothing."""

import asyncio
from collections.abc import Mapping, Sequence

from sagalog import Refused, Retry, StepContext
from sagalog.messages import Envelope
from sagalog.transport import Receiver

TWICE = Retry(attempts=2, delay=10)
# Nothing whose time is over may change how a saga ends, whenever it is opened again: some 98 years.
FAR = 36_000 * 86_400
OUTSIDE = ("TakeMoney", "GiveBack")

Scripts = Mapping[str, str]


class Yard:
    """The services behind all steps and participants; `mended` once whatever failed or hung works."""

    def __init__(self, mended: bool = False) -> None:
        self.mended = mended

    async def does(self, scripts: Scripts, ctx: StepContext) -> None:
        """Do what a step asks for, or undo it, as its script says."""
        undoing = ctx.idempotency_key != ctx.action_key
        await self.goes(f"undo {ctx.step}" if undoing else ctx.step, scripts, ctx.attempt)

    async def goes(self, what: str, scripts: Scripts, attempt: int) -> None:
        """Let something go as its script says; raises `Refused` and `ConnectionError`."""
        script = scripts.get(what, "ok")
        if script == "refused":
            raise Refused(f"{what}: no, “never” 😀 it's refused")
        if script == "fails always" or (script == "fails once" and attempt == 1):
            raise ConnectionError(f"{what}: nobody answers")
        if script == "fails" and not self.mended:
            raise ConnectionError(f"{what}: out of order")
        if script == "hangs" and not self.mended:
            await asyncio.Event().wait()


class Outside:
    """The way to a service in another process, which answers when somebody says so; it keeps what was sent."""

    name = "outside"

    def __init__(self) -> None:
        self.sent: list[Envelope] = []

    def carries(self, envelope: Envelope) -> bool:
        return envelope.kind == "command" and envelope.name in OUTSIDE

    async def open(self, receive: Receiver) -> None:
        """Do nothing: answers come by `ProcessManager.handle`."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        self.sent += envelopes
        return [None] * len(envelopes)

    async def close(self) -> None:
        """Do nothing: nothing was opened."""
