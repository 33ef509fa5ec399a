"""What is outside of all processes in a simulation: the store, the network, the clock, the trace. It runs no saga."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Container, Generator
from typing import Any, Literal, NoReturn, TypeVar

from msgspec import Struct

from sagalog.errors import StoreUnavailable
from sagalog.saga.context import StepContext
from sagalog.saga.messages.participants import MessageContext
from sagalog.store import Append, AppendOutcome, HeldLease, InboxRow, Lease, StatusRow
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.clock import NOON, microseconds
from sagalog.testing.simulation.faults import Faults, NoFaults, When, Where
from sagalog.testing.simulation.store_troubles import StoreTroubles
from sagalog.testing.simulation.virtual_loop import Incarnation, VirtualLoop, current_incarnation, outside

Result = TypeVar("Result")

# began/ended: an attempt of a handler. written: an append. leased/lost: a worker's lease. fenced: an append of a worker
# that did not own the saga was written nevertheless, which must never happen.
Kind = Literal["began", "ended", "written", "leased", "lost", "fenced"]


class Entry(Struct, frozen=True, gc=False):
    """One line of the trace: what happened, to which saga and step, in which process; `version` after an append."""

    kind: Kind
    at: float
    incarnation: Incarnation | None
    saga_id: str = ""
    step: str = ""
    undoing: bool = False
    version: int = 0


class World:
    """Everything that survives the death of a process."""

    def __init__(self, seed: int, faults: Faults | None = None, *, slowest: float = 0.2) -> None:
        self.seeded = random.Random(seed)
        self.loop = VirtualLoop(self.seeded)
        self.faults: Faults = faults or NoFaults()
        self.slowest = slowest
        self.longest_pause = 10.0
        self.longest_cut = 10.0
        self.trace: list[Entry] = []
        self.store = TracedStore(self)
        self.troubles = StoreTroubles(self.seeded, self.loop.time)
        self.epoch = microseconds(NOON)
        # How wrong the clocks of processes are, in seconds.
        self._ahead: dict[Incarnation, float] = {}
        self.farthest_jump = 3600.0
        # Drawn from by itself, so that all else is as it was in a run of the same seed.
        self._seeded_signs = random.Random(seed)
        self._signs_kept: dict[Incarnation, bool] = {}

    def now(self) -> int:
        """Return the virtual time in microseconds since the epoch, as the clock of the calling process shows it."""
        inside = current_incarnation()
        ahead = 0.0 if inside is None else self._ahead.get(inside, 0.0)
        return self.epoch + round((self.loop.time() + ahead) * 1_000_000)

    def set_clock(self, incarnation: Incarnation, ahead: float) -> None:
        """Set the clock of one process `ahead` seconds ahead of all others; a negative number sets it behind."""
        self._ahead[incarnation] = ahead

    def _jump(self, incarnation: Incarnation) -> None:
        """Set a clock wrong for some seconds; one that is ahead takes over sagas of workers that are alive."""
        self.set_clock(incarnation, self.farthest_jump * self.seeded.uniform(-1.0, 1.0))
        self.loop.call_later(5.0 * self.seeded.random(), self.set_clock, incarnation, 0.0, context=outside())

    def keeps_sign(self, incarnation: Incarnation) -> bool:
        """Tell whether a process that has died is still seen to live: its machine has vanished, and told nobody."""
        if incarnation not in self._signs_kept:
            self._signs_kept[incarnation] = self._seeded_signs.random() < 0.5
        return self._signs_kept[incarnation]

    def chance(self) -> float:
        """Return the next seeded number in [0, 1)."""
        return self.seeded.random()

    def token(self) -> int:
        """Return the next 62 seeded bits."""
        return self.seeded.getrandbits(62)

    def delay(self) -> float:
        """Return how long the next operation takes, in seconds: usually little, sometimes much."""
        drawn = self.seeded.random()
        return drawn * 0.01 if drawn < 0.9 else drawn * self.slowest

    def note(self, kind: Kind, context: StepContext | None = None) -> None:
        """Write a line of the trace."""
        inside = current_incarnation()
        if context is None:
            self.trace.append(Entry(kind, self.loop.time(), inside))
        else:
            undoing = context.idempotency_key != context.action_key
            self.trace.append(Entry(kind, self.loop.time(), inside, context.saga_id, context.step, undoing))

    def passes(self, where: Where, when: When, incarnation: Incarnation | None) -> bool:
        """Pass a point where something may go wrong; return False if its answer is lost.

        A process that is paused here stops at its next `await`. Raises `Killed` in a process that has just died.
        """
        fault = self.faults.at(where, when)
        if fault is None:
            return True
        if fault == "unavailable":
            return False
        self.troubles.begin(fault)
        if incarnation is not None and fault in ("crash", "pause", "jump", "cut"):
            if fault == "cut":
                self.store.cut(incarnation, self.longest_cut * self._seeded_signs.random())
                return True
            if fault == "jump":
                self._jump(incarnation)
                return True
            if fault == "pause":
                incarnation.pause(self.longest_pause * self.seeded.random())
                return True
            incarnation.kill()
            raise Killed
        return True

    async def call(self, context: StepContext | MessageContext, act: Callable[[], Result]) -> Result:
        """Call a service over the network for a handler; a request that was sent survives the process that sent it.

        Raises `ConnectionError` if no answer comes, whether or not it was done, and whatever `act` raises.
        """
        incarnation = current_incarnation()
        traced = context if isinstance(context, StepContext) else None
        if traced is not None:
            self.note("began", traced)
        answer: asyncio.Future[Result] = self.loop.create_future()
        self.loop.call_later(self.delay(), self._deliver, incarnation, act, answer, context=outside())
        try:
            return await answer
        finally:
            if traced is not None and (incarnation is None or incarnation.alive):
                self.note("ended", traced)

    def _deliver(
        self, incarnation: Incarnation | None, act: Callable[[], Result], answer: "asyncio.Future[Result]"
    ) -> None:
        with contextlib.suppress(Killed):
            if not self.passes("effect", "before", incarnation):
                self._answer(answer, None, ConnectionError("the request was lost"))
                return
            result, problem = None, None
            try:
                result = act()
            except Exception as raised:
                problem = raised
            if not self.passes("effect", "after", incarnation):
                problem = ConnectionError("the answer was lost")
            self._answer(answer, result, problem)

    def _answer(self, answer: "asyncio.Future[Any]", result: Any, problem: Exception | None) -> None:
        def arrive() -> None:
            if answer.done():
                return
            if problem is not None:
                answer.set_exception(problem)
            else:
                answer.set_result(result)

        self.loop.call_later(self.delay(), arrive, context=outside())


class Killed(BaseException):
    """Raised when the process dies at this instant; it unwinds a plain function, which cannot be left unfinished."""


class TracedStore(MemoryStore):
    """A memory store that traces what is written and which workers lose their leases."""

    def rows(self) -> list[StatusRow]:
        """Return the status rows of all sagas."""
        return list(self._status.values())

    def untaken(self) -> list[InboxRow]:
        """Return the inbox rows that could be taken: not those behind a parked one."""
        recipients = self._messages.recipients()
        rows = [row for recipient in recipients for row in self._messages.rows_of(recipient)]
        parked = {(row.recipient, row.lane) for row in rows if row.status == "parked"}
        return [row for row in rows if (row.recipient, row.lane) not in parked]

    def last_message(self) -> int:
        """Return the position of the last message in the log; 0 if there is none."""
        return max((position for position, _ in self.read_messages(0, 1_000_000)), default=0)

    def has_untaken_messages(self) -> bool:
        """Tell whether a consumer has not begun or not read to the end, or some inbox row could be taken."""
        read_to = min((row.position for row in self.consumers()), default=0)
        return read_to < self.last_message() or bool(self.untaken())

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._holders: dict[str, Incarnation | None] = {}
        # Until when processes are cut off from what shows that they live.
        self._cut: dict[Incarnation | None, float] = {}
        self._written: asyncio.Future[None] | None = None

    async def written(self) -> None:
        """Wait until something is appended."""
        if self._written is None:
            self._written = self._world.loop.create_future()
        await self._written

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        super().register(lease)
        self._holders[lease.worker_id] = current_incarnation()
        self._world.note("leased")

    def cut(self, incarnation: Incarnation, seconds: float) -> None:
        """Let a process lose its sign of life, and renew no lease for so long, while all else works."""
        self._cut[incarnation] = self._world.loop.time() + seconds
        for worker_id in [worker_id for worker_id, holder in self._holders.items() if holder is incarnation]:
            self.silence(worker_id)

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; raises `StoreUnavailable` in a process that is cut off."""
        if self._cut.get(self._holders.get(worker_id), 0.0) > self._world.loop.time():
            raise StoreUnavailable("the connection that shows life is cut")
        return super().renew(worker_id, until)

    def shows_life(self, worker_id: str) -> bool:
        """Return False if the process of a worker has died, or was cut off, and others can see that."""
        holder = self._holders.get(worker_id)
        is_seen = holder is None or holder.alive or self._world.keeps_sign(holder)
        return is_seen and super().shows_life(worker_id)

    def _free_the_dead(self, now: int, but: Container[str] = ()) -> None:
        with self._tracing_the_lost():
            super()._free_the_dead(now, but)

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease that is not renewed any more."""
        with self._tracing_the_lost():
            super().end_lease(lease)

    @contextlib.contextmanager
    def _tracing_the_lost(self) -> Generator[None]:
        before = set(self._leases)
        yield
        for worker_id in before - set(self._leases):
            entry = Entry("lost", self._world.loop.time(), self._holders[worker_id])
            self._world.trace.append(entry)

    def _append(self, one: Append) -> AppendOutcome:
        before = len(self._log)
        row = self._status.get(one.saga_id)
        outcome = super()._append(one)
        if len(self._log) > before:
            fenced = row is not None and row.owner != one.holder
            kind: Kind = "fenced" if fenced else "written"
            at, inside = self._world.loop.time(), current_incarnation()
            version = self._status[one.saga_id].version
            self._world.trace.append(Entry(kind, at, inside, one.saga_id, version=version))
            self._tell_written()
        return outcome

    def _tell_written(self) -> None:
        waiting, self._written = self._written, None
        if waiting is not None:
            waiting.set_result(None)


class SimulatedBlocking:
    """The port `sagalog.engine.blocking.Blocking` in virtual time, with the faults of a world."""

    def __init__(self, world: World, incarnation: Incarnation) -> None:
        self._world = world
        self._incarnation = incarnation
        self._writer = asyncio.Lock()

    async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a write to the store after those before it; it takes some virtual time."""
        async with self._writer:
            return await self._store(call, arguments, writes=True)

    def let_write(self) -> None:
        """Do nothing: there are no threads."""

    async def renew(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a renewal of the lease, which waits for no write."""
        return await self._store(call, arguments, writes=True)

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run any other call to the store."""
        return await self._store(call, arguments, writes=False)

    async def _store(self, call: Callable[..., Result], arguments: tuple[Any, ...], writes: bool) -> Result:
        world, incarnation = self._world, self._incarnation
        where: Where = "append" if call.__name__ in ("append", "post", "route") else "store"
        if where == "append" or world.chance() < 0.5:
            await asyncio.sleep(world.delay())
        try:
            if not world.passes(where, "before", incarnation):
                raise StoreUnavailable("the store does not answer (nothing was written)")
            if incarnation.paused:
                await asyncio.sleep(0)
            if writes:
                world.troubles.check(arguments)
            result = call(*arguments)
            if not world.passes(where, "after", incarnation):
                raise StoreUnavailable("the store did not answer (it was written)")
        except Killed:
            await self._never()
        if where == "append" or world.chance() < 0.2:
            # Between the write and its acknowledgement other things can happen, and what was read gets old.
            await asyncio.sleep(world.delay())
        return result

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a plain handler at one instant of virtual time; like a thread, it goes on when nobody awaits it.

        It counts as begun from the call until it has ended, or was taken back by cancelling the future.
        """
        context = _context_of(call)
        if context is not None:
            self._world.note("began", context)
        begun = [] if context is None else [context]
        answer = asyncio.shield(self._world.loop.create_task(self._handle(call, begun)))
        answer.add_done_callback(lambda done: self._end(begun) if done.cancelled() else None)
        return answer

    def _end(self, begun: list[StepContext]) -> None:
        if begun and self._incarnation.alive:
            self._world.note("ended", begun.pop())

    async def _handle(self, call: Callable[[], Result], begun: list[StepContext]) -> Result:
        world, incarnation = self._world, self._incarnation
        try:
            await asyncio.sleep(world.delay())
            if not world.passes("effect", "before", incarnation):
                raise ConnectionError("the request was lost")
            if incarnation.paused:
                await asyncio.sleep(0)
            try:
                result = call()
            finally:
                if not world.passes("effect", "after", incarnation):
                    raise ConnectionError("the answer was lost")
            await asyncio.sleep(world.delay())
            return result
        except Killed:
            await self._never()
        finally:
            self._end(begun)

    async def _never(self) -> NoReturn:
        await self._world.loop.create_future()
        raise AssertionError("a process that has died went on")

    def close(self) -> None:
        """Do nothing: no thread was started."""


def _context_of(call: Callable[[], Any]) -> StepContext | None:
    """Return the `StepContext` among the arguments that the engine bound to a handler; None if there is none."""
    given: dict[str, Any] = getattr(call, "keywords", {})
    return next((value for value in given.values() if isinstance(value, StepContext)), None)
