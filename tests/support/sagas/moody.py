"""A transport that fails at messages it does not like, and what it is given; no test."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, structs

from sagalog import Event
from sagalog.messages import Envelope
from sagalog.testing.broker import MemoryBroker, MemoryTransport

ORDERED = {("event", "Ordered")}


class Ordered(Event):
    order: str


class Panic(BaseException):
    """What a native extension raises: no `Exception`."""


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Moody(MemoryTransport):
    """A transport of somebody's own: it sends one after the other, and raises at messages that it does not like."""

    def __init__(self, broker: MemoryBroker, problem: BaseException | None) -> None:
        super().__init__(broker, "shop", ORDERED, set())
        self.problem = problem

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        outcomes: list[str | None] = []
        for envelope in envelopes:
            if self.problem is not None and envelope.id.startswith("bad"):
                # Raised anew: a traceback that grows with each message takes minutes to write for hundreds of them.
                raise self.problem.with_traceback(None)
            outcomes += await super().send([envelope])
        return outcomes


def ordered(name: str, **changed: Any) -> Envelope:
    """Return a message as it stands in the log."""
    sent = Envelope(
        id=name, kind="event", name="Ordered", source="s", correlation_id=name, time=1, data=Raw(b'{"order":"1"}')
    )
    return structs.replace(sent, **changed)
