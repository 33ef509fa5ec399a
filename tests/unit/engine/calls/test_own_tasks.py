"""Each async handler has a task of its own, as far as it can tell: those that do not wait share what nobody knows."""

import asyncio
import contextvars
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sagalog.engine.calls.own_task import OwnTask, OwnTasks

Handler = Callable[[], Coroutine[Any, Any, Any]]
VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def pass_by() -> int:
    """Give what tells a task as long as it lives, and leave nothing of it behind."""
    return id(current())


def made(handler: Handler) -> Coroutine[Any, Any, Any]:
    """Make the coroutine of a handler without arguments."""
    return handler()


async def ended(own: OwnTask) -> Any:
    """Wait for the end of a handler, for a second at most; return its result, or raise what it raised."""
    over: asyncio.Future[asyncio.Future[Any]] = asyncio.get_running_loop().create_future()
    own.when_ended(1, over.set_result)
    return (await over).result()


def tasks_of(*handlers: Handler) -> list[Any]:
    """Run handlers in one turn of the loop, and return what each returned."""
    tasks = OwnTasks(lambda what, seconds: None)

    async def test() -> list[Any]:
        found: list[Any] = []
        for handler in handlers:
            own, value = tasks.begin("it", made, handler)
            found.append(value if own is None else await ended(own))
        return found

    return asyncio.run(test())


def test_handlers_that_do_not_wait_share_a_task() -> None:
    """This is what makes them cheap; the other tests would pass without it."""
    assert len(set(tasks_of(*[pass_by] * 50))) == 1


def test_a_handler_is_not_run_in_the_task_of_whoever_calls_it() -> None:
    async def test() -> bool:
        own, value = OwnTasks(lambda what, seconds: None).begin("it", made, pass_by)
        return own is None and value != id(asyncio.current_task())

    assert asyncio.run(test())


KEPT: list[Any] = []


async def keep() -> int:
    KEPT.append(current())
    return id(current())


async def keep_weakly() -> int:
    KEPT.append(weakref.ref(current()))
    return id(current())


async def cancel() -> int:
    current().cancel()
    return id(current())


async def cancel_and_think_better_of_it() -> int:
    current().cancel()
    current().uncancel()
    return id(current())


async def want_to_be_told() -> int:
    current().add_done_callback(KEPT.append)
    return id(current())


async def rename() -> int:
    current().set_name("mine")
    return id(current())


async def hang_something_on_it() -> int:
    current().tenant = "mine"  # type: ignore[attr-defined]
    return id(current())


async def ask_its_name() -> int:
    KEPT.append(current().get_name())
    return id(current())


async def ask_what_runs_it() -> int:
    KEPT.append(current().get_coro())
    return id(current())


async def ask_its_context() -> int:
    """On Python 3.11 nobody can."""
    if sys.version_info >= (3, 12):
        KEPT.append(current().get_context())
    else:
        KEPT.append(current())
    return id(current())


async def leave_something() -> int:
    VARIABLE.set("left")
    return id(current())


async def leave_a_watchdog() -> int:
    asyncio.get_running_loop().call_soon(current().cancel)
    return id(current())


async def fail() -> int:
    KEPT.append(id(current()))
    raise ValueError("no")


@pytest.mark.parametrize(
    "handler",
    [
        keep,
        keep_weakly,
        cancel,
        cancel_and_think_better_of_it,
        want_to_be_told,
        rename,
        hang_something_on_it,
        ask_its_name,
        ask_what_runs_it,
        ask_its_context,
        leave_something,
        leave_a_watchdog,
    ],
)
def test_a_task_that_somebody_knows_or_has_changed_is_not_given_to_the_next(handler: Handler) -> None:
    KEPT.clear()

    async def look() -> tuple[int, str, str, int, bool]:
        return id(current()), VARIABLE.get(), current().get_name(), current().cancelling(), hasattr(current(), "tenant")

    first, (second, *seen, name, cancelling, has_tenant) = tasks_of(handler, look)
    assert first != second
    assert (seen, cancelling, has_tenant) == (["unset"], 0, False)
    assert name != "mine"


def test_a_watchdog_that_one_handler_left_does_nothing_to_the_next() -> None:
    async def wait() -> str:
        await asyncio.sleep(0.01)
        return "waited"

    assert tasks_of(leave_a_watchdog, wait)[1] == "waited"


def test_a_handler_that_waits_has_its_task_to_itself() -> None:
    tasks = OwnTasks(lambda what, seconds: None)
    inside: list[int] = []

    async def wait() -> None:
        inside.append(id(current()))
        await asyncio.sleep(0.01)
        inside.append(id(current()))

    async def test() -> Any:
        _, first = tasks.begin("it", made, pass_by)
        own, _ = tasks.begin("it", made, wait)
        _, last = tasks.begin("it", made, pass_by)
        assert own is not None
        await ended(own)
        return first, last

    first, last = asyncio.run(test())
    assert inside == [first, first]
    assert last != first


@pytest.mark.parametrize("kind", [asyncio.Future, asyncio.futures._PyFuture])  # type: ignore[attr-defined]
@pytest.mark.parametrize("cancelled", [False, True])
def test_handlers_and_others_may_wait_for_the_same(kind: Any, cancelled: bool) -> None:
    """A client that connects, a token that is fetched: whoever needs it waits for the one that is under way."""
    tasks = OwnTasks(lambda what, seconds: None)

    async def test() -> list[Any]:
        shared = kind(loop=asyncio.get_running_loop())

        async def wait() -> Any:
            return await shared

        async def handle() -> Any:
            own, _ = tasks.begin("it", made, wait)
            assert own is not None
            if cancelled:
                assert own.task is not None
                own.task.cancel()
            return await ended(own)

        waiting = [asyncio.create_task(one()) for one in (handle, handle, wait, handle, wait)]
        await asyncio.sleep(0)
        if not cancelled:
            shared.set_result("here")
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(test())
    if cancelled:
        assert [type(one) for one in found] == [asyncio.CancelledError] * 5
    else:
        assert found == ["here"] * 5


def test_what_a_handler_sees_before_it_waits_it_sees_afterwards() -> None:
    async def remember() -> tuple[str, str, str]:
        before = VARIABLE.get()
        VARIABLE.set("mine")
        await asyncio.sleep(0)
        return before, VARIABLE.get(), "done"

    assert tasks_of(pass_by, remember, remember)[1:] == [("unset", "mine", "done")] * 2


def test_a_handler_sees_the_context_of_whoever_calls_it() -> None:
    tasks = OwnTasks(lambda what, seconds: None)

    async def look() -> str:
        return VARIABLE.get()

    async def test() -> list[str]:
        found: list[str] = []
        for value in ("a", "a", "b"):
            VARIABLE.set(value)
            found.append(tasks.begin("it", made, look)[1])
        return found

    assert asyncio.run(test()) == ["a", "a", "b"]


def test_a_handler_that_raises_leaves_its_task_to_nobody() -> None:
    KEPT.clear()

    async def test() -> int:
        tasks = OwnTasks(lambda what, seconds: None)
        with pytest.raises(ValueError, match="no"):
            tasks.begin("it", made, fail)
        _, value = tasks.begin("it", made, pass_by)
        return int(value)

    assert asyncio.run(test()) != KEPT[0]


def test_a_task_that_has_had_its_turn_is_over() -> None:
    tasks = OwnTasks(lambda what, seconds: None)

    async def wait() -> str:
        await asyncio.sleep(0)
        return "waited"

    async def test() -> Any:
        assert tasks.begin("it", made, pass_by)[0] is None
        await asyncio.sleep(0)
        own, _ = tasks.begin("it", made, wait)
        assert own is not None
        return await ended(own)

    assert asyncio.run(test()) == "waited"


def test_another_loop_has_tasks_of_its_own() -> None:
    tasks = OwnTasks(lambda what, seconds: None)
    seen: list[asyncio.AbstractEventLoop] = []

    async def look() -> None:
        seen.append(current().get_loop())

    async def test() -> None:
        tasks.begin("it", made, look)
        # Before the task of the handler has its turn.
        asyncio.get_running_loop().stop()

    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    for loop in loops:
        begun = loop.create_task(test())
        loop.run_forever()
        assert begun.done()
    for loop in loops:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert seen == loops
