"""An async handler in a task of its own, so that what it does to its task does not affect the engine's tasks.

A handler may cancel itself, or leave code behind that does; that ends only its own attempt. Its first part, until it
first waits, is run at once, so that a handler that never waits needs no turn of the event loop. It already sees its own
task then.
"""

import asyncio
import contextvars
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from weakref import getweakrefcount

from sagalog.engine.carrying import carried
from sagalog.engine.ending import TELL_AGAIN

logger = logging.getLogger("sagalog.engine")

# The documentation of asyncio asks every implementation of tasks to call these two when it runs one.
_enter = asyncio.tasks._enter_task  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
_leave = asyncio.tasks._leave_task  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

Of = TypeVar("Of")

# Called with what blocked the event loop, and for how many seconds.
HeldUp = Callable[[str, float], None]


class HandlerTask(asyncio.Task[Any]):
    """A task that notices when its state was changed or read; then it cannot be reused for another handler."""

    is_touched = False

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute as any task does, and note it."""
        super().__setattr__("is_touched", True)
        super().__setattr__(name, value)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task as usual, and note it."""
        self.is_touched = True
        return super().cancel(msg)

    def get_name(self) -> str:
        """Return the name, and note it, because another handler would see the same name."""
        self.is_touched = True
        return super().get_name()

    def set_name(self, value: object) -> None:
        """Name the task as usual, and note it."""
        self.is_touched = True
        super().set_name(value)

    def get_coro(self) -> Any:
        """Return the coroutine, and note it, because it would run another handler."""
        self.is_touched = True
        return super().get_coro()

    if sys.version_info >= (3, 12):

        def get_context(self) -> contextvars.Context:
            """Return its context, in which something may be changed then."""
            self.is_touched = True
            return super().get_context()

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: contextvars.Context | None = None) -> None:
        """Add a callback as usual, and note it."""
        self.is_touched = True
        super().add_done_callback(fn, context=context)


class OwnTask(Coroutine[Any, Any, Any]):
    """The coroutine of a handler's task. It wraps the handler's own, whose first part runs before the task begins."""

    __slots__ = (
        "_awaited",
        "_handler",
        "_held_up",
        "_known_by",
        "_timer",
        "context",
        "has_ended",
        "is_overdue",
        "loop",
        "task",
        "what",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context, held_up: HeldUp) -> None:
        self.loop = loop
        self.context = context
        self.what = ""
        self.has_ended = False
        self.is_overdue = False
        self._held_up = held_up
        self._handler: Coroutine[Any, Any, Any] | None = None
        # What the first part waits for, until the task has begun to.
        self._awaited: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self.task: HandlerTask | None = HandlerTask(self, loop=loop, context=context)
        self._known_by = sys.getrefcount(self.task), getweakrefcount(self.task)

    def suits(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> bool:
        """Tell whether the task can be reused for the next handler, without a trace of the one before.

        This is so if it has not run, nothing else refers to it or changed it, and its context is unchanged.
        """
        if self.loop is not loop or self.task is None or self.task.is_touched:
            return False
        if self._known_by != (sys.getrefcount(self.task), getweakrefcount(self.task)):
            return False
        own = self.context
        if len(own) != len(context):
            return False
        for name, value in context.items():  # noqa: SIM110  # it is on the way of every handler
            if own.get(name, self) is not value:
                return False
        return True

    def run_first(self, make: Callable[[Of], Coroutine[Any, Any, Any]], of: Of) -> None:
        """Make the handler's coroutine and run its first part; raises `StopIteration` if it ends without waiting."""
        self._handler = None
        handler = self._handler = make(of)
        awaited = self._awaited = handler.send(None)
        # A future that somebody is about to wait for takes nobody else until that is done, which has to wait for the
        # task's turn; others may wait for the same one before.
        if getattr(awaited, "_asyncio_future_blocking", False):
            awaited._asyncio_future_blocking = False  # noqa: SLF001  # how futures and tasks talk

    def end(self) -> None:
        """Drop the task, which refers to this object: its turn will do nothing."""
        self.has_ended = True
        self.task = self._handler = None

    def when_ended(self, seconds: float | None, then: Callable[["asyncio.Future[Any]"], None]) -> None:
        """Call `then` with the task once it has ended.

        After `seconds` the handler is cancelled, marked `is_overdue`, and still waited for.
        """
        assert self.task is not None
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._tell)
        self.task.add_done_callback(partial(self._over, then))

    def _over(self, then: Callable[["asyncio.Future[Any]"], None], task: "asyncio.Future[Any]") -> None:
        self.task = None
        if self._timer is not None:
            self._timer.cancel()
        then(task)

    def _tell(self) -> None:
        """Cancel the handler, repeatedly if it goes on, because nothing may be undone while it runs."""
        if self.is_overdue:
            logger.warning("%s was cancelled, for its time is over, and goes on: it is waited for", self.what)
        self.is_overdue = True
        assert self.task is not None
        self.task.cancel()
        self._timer = self.loop.call_later(TELL_AGAIN, self._tell)

    def send(self, value: Any) -> Any:
        """Resume after what was waited for."""
        if self.has_ended:
            self.end()
            raise StopIteration
        if self._awaited is not None:
            return self._handed_over()
        assert self._handler is not None
        return self._stretch(self._handler.send, value)

    def throw(self, *problem: Any) -> Any:
        """Pass an exception of the task, usually a cancellation, on to the handler."""
        if self.has_ended:
            self.end()
            raise StopIteration
        # Cancelled before the task began: what is awaited is cancelled, as it is later.
        if self._awaited is not None and self._awaited.cancel():
            return self._handed_over()
        self._awaited = None
        assert self._handler is not None
        return self._stretch(self._handler.throw, problem[-1] if len(problem) == 1 else problem[1] or problem[0])

    def _handed_over(self) -> Any:
        """Give the task what the first part waits for, as if the handler waited for it now."""
        awaited, self._awaited = self._awaited, None
        if asyncio.isfuture(awaited):
            awaited._asyncio_future_blocking = True  # noqa: SLF001
        return awaited

    def close(self) -> None:
        """Close the handler's coroutine."""
        if self._handler is not None:
            self._handler.close()

    def __await__(self) -> Any:
        raise TypeError("it is run by its task alone")

    def _stretch(self, enter: Callable[[Any], Any], given: Any) -> Any:
        """Run the coroutine until it waits again, or ends by `StopIteration`; report if it blocks the loop."""
        since = monotonic()
        try:
            return enter(given)
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as problem:
            raise carried(problem) from None
        finally:
            self._held_up(self.what, monotonic() - since)


class OwnTasks:
    """Makes tasks for handlers, one for each; `held_up` is called when one blocks the event loop.

    The task of a handler that did not wait is reused, if nobody can notice. So a batch of a thousand handlers needs
    only as many tasks as there are handlers that wait.
    """

    def __init__(self, held_up: HeldUp) -> None:
        self._held_up = held_up
        self._spare: OwnTask | None = None

    def begin(self, what: str, make: Callable[[Of], Coroutine[Any, Any, Any]], of: Of) -> tuple[OwnTask | None, Any]:
        """Make a handler's coroutine of something and run its first part.

        Returns the `OwnTask` whose end is to be waited for; or None and the result, if the handler has ended. Raises
        what the handler raises.
        """
        loop = asyncio.get_running_loop()
        outer = asyncio.current_task(loop)
        own = self._spare_or_new(loop)
        own.what = what
        task = own.task
        assert task is not None
        if outer is not None:
            _leave(loop, outer)
        _enter(loop, task)
        since = monotonic()
        try:
            own.context.run(own.run_first, make, of)
        except StopIteration as end:
            own.has_ended = True
            self._spare = own
            return None, end.value
        except (Exception, asyncio.CancelledError):
            own.end()
            raise
        except BaseException as problem:
            own.end()
            raise carried(problem) from None
        finally:
            _leave(loop, task)
            if outer is not None:
                _enter(loop, outer)
            self._held_up(what, monotonic() - since)
        return own, None

    def _spare_or_new(self, loop: asyncio.AbstractEventLoop) -> OwnTask:
        spare, self._spare = self._spare, None
        context = contextvars.copy_context()
        if spare is None or not spare.suits(loop, context):
            return OwnTask(loop, context, self._held_up)
        spare.has_ended = False
        return spare
