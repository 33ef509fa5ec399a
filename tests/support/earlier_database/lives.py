"""Processes that run the earlier app in virtual time, by a clock that only the story moves; each can be killed.

Nothing that is recorded rests on when something is looked at: time stands still while anything happens, chance is
always the same, and ids are counted. So what is written is the same, byte for byte, whenever and wherever it is.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from earlier_database.app import choreographies, participants, sagas
from earlier_database.yard import Outside, Yard
from msgspec import Raw
from msgspec.json import encode

from sagalog import Event
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.testing import FakeClock
from sagalog.testing.simulation.virtual_loop import VirtualLoop

Result = TypeVar("Result")

# A lease that outlasts the story is renewed by nobody's clock but ours.
SETTINGS = Settings(lease=86_400, poll=1, longest_wait=5, grace=5, source="earlier")
BEGAN = datetime(2025, 3, 1, 12, tzinfo=UTC)
QUIET_SECONDS = 10


class HandClock(FakeClock):
    """Time that the story moves, the same chance each time, and ids that are counted."""

    def __init__(self) -> None:
        super().__init__(BEGAN)
        self._drawn = 0

    def chance(self) -> float:
        return 0.75

    def token(self) -> int:
        self._drawn += 1
        return self._drawn


class InOrder(random.Random):
    """Chance that leaves the callbacks of a loop in their order."""

    def shuffle(self, x: Any) -> None:
        """Leave them as they are."""


class OneThread:
    """Makes every call in the one thread there is; once the process was killed, none at all."""

    def __init__(self) -> None:
        self.killed = False

    async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
        await asyncio.sleep(0)
        if self.killed:
            raise RuntimeError("the process was killed")
        return call(*arguments)

    def let_write(self) -> None:
        """Do nothing: there are no threads."""

    async def renew(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await self.write(call, *arguments)

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await self.write(call, *arguments)

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a plain handler at once."""

        async def run() -> Result:
            return call()

        return asyncio.ensure_future(run())

    def close(self) -> None:
        """Do nothing: no thread was started."""


class Lives:
    """The processes that run one after the other on one database, and what is outside of them."""

    def __init__(self, database: str) -> None:
        self.clock = HandClock()
        self.yard = Yard()
        self.outside = Outside()
        self._blocking = OneThread()
        self._database: str | Store = database
        self.manager = self._process()

    def _process(self) -> ProcessManager:
        manager = ProcessManager(
            self._database,
            sagas=sagas,
            participants=participants,
            choreographies=choreographies,
            transports=[self.outside],
            services={Yard: self.yard},
            settings=SETTINGS,
            clock=self.clock,
            blocking=self._blocking,
        )
        # Hints come from threads, which know no virtual time.
        manager.store.watch = lambda hint: lambda: None  # type: ignore[method-assign]
        return manager

    async def begin(self) -> None:
        """Open the database."""
        await self.manager.__aenter__()

    async def restart(self) -> None:
        """Shut the process down gracefully, and begin another one."""
        await self.manager.__aexit__(None, None, None)
        self._database = self.manager.store
        self.manager = self._process()
        await self.begin()

    async def settle(self, seconds: float = 0) -> None:
        """Let so much time pass at once, and then all happen that can happen by then."""
        self.clock.advance(seconds)
        await asyncio.sleep(QUIET_SECONDS)

    async def start(self, saga: Any, input: Any) -> str:
        """Start a saga and let it go as far as it can; return its id."""
        run = await self.manager.start(saga, input)
        await self.settle()
        return run.id

    async def publish(self, event: Event, id: str) -> None:
        """Publish an event and let it do what it does."""
        await self.manager.publish(event, id=id)
        await self.settle()

    async def answer(self, command: str, order_id: str, event: Event, id: str) -> None:
        """Let the service outside answer the command that it was sent for an order."""
        wanted = encode(order_id)
        [sent] = [one for one in self.outside.sent if one.name == command and wanted in bytes(one.data)]
        await self.manager.handle(answer_to(sent.id, sent.correlation_id, event, id, self.clock.now()))
        await self.settle()

    def kill(self) -> None:
        """End the process at once; the database stays as it is."""
        self._blocking.killed = True


def answer_to(command_id: str, correlation_id: str, event: Event, id: str, time: int) -> Envelope:
    """Return what the service outside says to a command."""
    return Envelope(
        id=id,
        kind="event",
        name=type(event).__name__,
        source="outside",
        correlation_id=correlation_id,
        causation_id=command_id,
        time=time,
        data=Raw(encode(event)),
    )


@contextmanager
def lived(database: str, story: Callable[[Lives], Awaitable[None]]) -> Generator[Store]:
    """Give the store of a database, as a story leaves it whose last process is killed at its end."""
    loop = VirtualLoop(InOrder())
    lives = Lives(database)
    loudness = logging.root.manager.disable
    logging.disable(logging.CRITICAL)

    async def whole() -> None:
        await lives.begin()
        await story(lives)
        lives.kill()

    telling: Coroutine[Any, Any, None] = whole()
    try:
        loop.run_until_complete(loop.create_task(telling))
        yield lives.manager.store
    finally:
        logging.disable(loudness)
        lives.kill()
        lives.manager.store.close()
        loop.abandon()
