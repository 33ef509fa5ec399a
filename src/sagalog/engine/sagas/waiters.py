"""Waits for sagas to end: told by their runners if they are driven here, otherwise by polling their rows."""

import asyncio
import logging
from types import TracebackType

from sagalog.engine.hint import Hint
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import NotRunning, StoreError
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import AT_REST, ENDED
from sagalog.store import StatusRow

logger = logging.getLogger("sagalog.engine")

# A caller with a time limit of zero still learns of sagas that have ended.
LAST_LOOK_SECONDS = 0.5
CLOSED = "the process manager was closed; the saga goes on elsewhere or later"


def not_known(what: str, seconds: float | None) -> str:
    """Return the error that the database gave no answer within the time to wait."""
    return (
        f"nobody knows yet whether {what}, after {seconds or 0:g} s: the database takes longer to answer; look for "
        "long transactions and locks. Asking again, or starting again with the same key, is safe"
    )


def still_going(row: StatusRow, seconds: float | None) -> str:
    """Return the error that a saga has not ended within the time to wait, and what it waits for, if known."""
    what = f", waiting for {row.waiting_for}" if row.waiting_for is not None else ""
    which = f"saga {row.saga_name} {row.saga_key}"
    return f"{which} is still {row.status} after {seconds or 0:g} s{what}; it goes on, ask again later"


class NoLongerThan:
    """A time limit for the waits within; a read that is abandoned goes on in its thread."""

    def __init__(self, seconds: float | None) -> None:
        self._scope = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        """Begin the time limit."""
        await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the time limit; other exceptions of the block are raised as they are."""
        try:
            await self._scope.__aexit__(kind, problem, traceback)
        except TimeoutError:
            # This scope raises `TimeoutError` only for its own limit; one raised in the block passes unchanged.
            return True
        return False


async def end_of(runner: SagaRunner) -> SagaState | None:
    """Wait for a saga that runs in this process; return None if its row has to be read."""
    if not runner.has_left:
        left = asyncio.get_running_loop().create_future()
        runner.awaited = (*runner.awaited, left)
        await left
    # A saga that was stuck may have been resumed since.
    return runner.state if runner.state.status in ENDED else None


class Waiters:
    """The callers that wait for a saga to end or to be stuck."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._poll = surroundings.limits.poll / 1e6
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._task: Loop | None = None
        self._hint = Hint()
        self._closed = False

    def finished(self, saga_id: str) -> None:
        """Wake the callers that wait for this saga."""
        for future in self._waiters.pop(saga_id, ()):
            if not future.done():
                future.set_result(None)

    def hint(self) -> None:
        """Read the rows now instead of at the next poll."""
        self._hint.give()

    async def wait(self, saga_id: str) -> None:
        """Wait until the saga has ended or is stuck; raises `NotRunning` once this is closed."""
        if self._closed:
            raise NotRunning(CLOSED)
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.setdefault(saga_id, []).append(future)
        if self._task is None:
            self._task = Loop(self._look, "sagalog-waiting")
        try:
            await future
        finally:
            left = [other for other in self._waiters.get(saga_id, ()) if other is not future]
            if left:
                self._waiters[saga_id] = left
            else:
                self._waiters.pop(saga_id, None)

    async def _look(self) -> None:
        while True:
            self._hint.forget()
            await self._hint.wait(self._poll)
            if not self._waiters:
                continue
            try:
                rows = await self._blocking.read(self._store.statuses, list(self._waiters))
            except StoreError as problem:
                logger.warning("cannot see whether sagas have ended: %s", problem)
                continue
            except Exception:
                # After any error the loop goes on, so that the callers are answered later.
                logger.exception("cannot see whether sagas have ended")
                continue
            for saga_id, row in rows.items():
                if row.status in AT_REST:
                    self.finished(saga_id)

    async def close(self) -> None:
        """Stop reading; callers that still wait get `NotRunning`."""
        self._closed = True
        if self._task is not None:
            await self._task.stop()
        for futures in self._waiters.values():
            for future in futures:
                if not future.done():
                    future.set_exception(NotRunning(CLOSED))
