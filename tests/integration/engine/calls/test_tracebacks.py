"""Each failed attempt leaves its traceback in the log once, with what caused it, capped, redacted, and harmless."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sagas.greeting import run

from sagalog import Event, Participant, Refused, Retry, Saga
from sagalog.cli.logs import JsonFormatter, LineFormatter
from sagalog.process_manager import ProcessManager, SagaResult
from sagalog.settings import Settings
from sagalog.store import UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore

QUICK = Settings(poll=0.01)
SECRET = "card 4242"


class Order(msgspec.Struct, frozen=True):
    id: str = "o-1"


class Asked(Event):
    id: str


def look_up() -> None:
    raise KeyError(f"customer of {SECRET}")


def order_is_bad() -> Any:
    try:
        look_up()
    except KeyError as cause:
        raise ValueError(f"bad order of {SECRET}") from cause


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(misspelt())


async def misspelt() -> None:
    raise NameError("name 'custmer' is not defined")


def refused() -> None:
    raise Refused(f"no money on {SECRET}")


def huge() -> None:
    raise ValueError("x" * 1_000_000)


def forged() -> None:
    raise ValueError("\x1b]0;\x07owned\u202e\nERROR everything is lost")


def saga_of(does: Callable[[], Any], attempts: int = 2) -> Saga[Order]:
    saga = Saga("orders", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None, retry=Retry(attempts=attempts, delay=0.001))
    async def check(order: Order) -> None:
        found = does()
        if found is not None:
            await found

    assert check.name == "check"
    return saga


def executed(saga: Saga[Order], **options: Any) -> SagaResult:
    async def story() -> SagaResult:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=QUICK, **options) as manager:
            return await manager.execute(saga, Order(), timeout=10)

    return run(story())


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_text]


def test_each_failed_attempt_shows_once_where_it_failed_and_what_caused_it(caplog: pytest.LogCaptureFixture) -> None:
    assert executed(saga_of(order_is_bad)).status == "failed"
    first, second = tracebacks(caplog)
    assert first.getMessage() == f"step check of orders o-1, attempt 1, failed: ValueError: bad order of {SECRET}"
    assert second.getMessage().startswith("step check of orders o-1, attempt 2, failed")
    assert first.levelno == logging.WARNING
    text = first.exc_text or ""
    assert "in look_up" in text
    assert "The above exception was the direct cause of the following exception" in text
    assert "KeyError" in text
    fields = first.__dict__
    assert (fields["saga_key"], fields["step"], fields["attempt"]) == ("o-1", "check", 1)
    assert fields["saga_id"]


def test_a_fault_in_a_group_is_named_and_shown_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    result = executed(saga_of(in_a_group))
    assert result.error is not None
    assert (result.status, result.error.type) == ("stuck", "NameError")
    assert result.error.message == "name 'custmer' is not defined"
    (record,) = tracebacks(caplog)
    assert record.levelno == logging.ERROR
    assert "is at fault: NameError: name 'custmer' is not defined" in record.getMessage()
    assert "in misspelt" in (record.exc_text or "")


def test_what_is_expected_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert executed(saga_of(refused)).status == "failed"
    assert tracebacks(caplog) == []


def test_a_huge_traceback_is_cut_and_keeps_its_two_ends(caplog: pytest.LogCaptureFixture) -> None:
    executed(saga_of(huge, attempts=1))
    (record,) = tracebacks(caplog)
    text = record.exc_text or ""
    assert len(text) < 17_000
    assert text.lstrip().startswith("Traceback (most recent call last)")
    assert text.endswith("xxx")


@pytest.mark.parametrize("formatter", [logging.Formatter(), LineFormatter(), JsonFormatter()])
def test_no_exception_forges_a_line_of_the_log(caplog: pytest.LogCaptureFixture, formatter: logging.Formatter) -> None:
    executed(saga_of(forged, attempts=1))
    (record,) = tracebacks(caplog)
    shown = formatter.format(record)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "\nERROR" not in record.getMessage()
    assert "in forged" in shown


def hidden(text: str) -> str:
    return text.replace("4242", "****")


def everything(caplog: pytest.LogCaptureFixture) -> str:
    shown = logging.Formatter("%(message)s")
    return "\n".join(shown.format(record) for record in caplog.records)


@pytest.mark.parametrize("does", [order_is_bad, refused])
def test_what_is_recorded_and_logged_is_what_the_users_function_leaves(
    does: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = executed(saga_of(does), redact=hidden)
    assert result.error is not None
    assert result.error.message.endswith("card ****")
    assert "4242" not in everything(caplog)
    assert "****" in everything(caplog)


@pytest.mark.parametrize("where", ["when", "for_each", "child", "start"])
def test_what_functions_of_a_declaration_raise_is_redacted_too(where: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    saga: Saga[Order] = Saga("asking", input=Order, key=lambda order: order.id)
    child: Saga[Order] = Saga("child", input=Order)

    @child.step(compensation=None, when=lambda order: order_is_bad() is None)
    async def maybe(order: Order) -> None: ...

    if where == "for_each":

        @saga.step(compensation=None, for_each=lambda order: order_is_bad() or [1])
        async def each(number: int) -> None: ...

        assert each.name == "each"
    elif where == "when":

        @saga.step(compensation=None, when=lambda order: order_is_bad() is None)
        async def perhaps(order: Order) -> None: ...

        assert perhaps.name == "perhaps"
    else:
        saga.child(child, input=lambda order: order)
    saga.started_by(Asked, input=lambda event: order_is_bad() or Order(event.id), key=lambda event: event.id)
    assert maybe.name == "maybe"

    async def story() -> str:
        manager = ProcessManager(MemoryStore(), sagas=[saga, child], settings=QUICK, redact=hidden)
        async with manager:
            if where == "start":
                await manager.publish(Asked(id="1"))
                while not (found := await manager.unmatched(UnmatchedQuery())):
                    await asyncio.sleep(0)
                return found[0].reason
            started = await manager.start(saga, Order())
            while not (stuck := await manager.find(statuses=("stuck",))):
                await asyncio.sleep(0)
            assert started.id
            return f"{stuck[0].error_text} {(await manager.history(stuck[0].saga_id))[-1]}"

    told = run(story())
    assert "****" in told
    assert "4242" not in told + everything(caplog)


def test_what_a_participants_handler_raises_is_shown_and_redacted(caplog: pytest.LogCaptureFixture) -> None:
    shop = Participant("shop", retry=Retry(attempts=2, delay=0.001))

    @shop.on
    def handle(event: Asked) -> None:
        order_is_bad()

    assert handle.__name__ == "handle"

    async def story() -> str:
        async with ProcessManager(MemoryStore(), participants=[shop], settings=QUICK, redact=hidden) as manager:
            await manager.publish(Asked(id="1"), id="m-1")
            while not (found := await manager.unmatched(UnmatchedQuery())):
                await asyncio.sleep(0)
            return found[0].reason

    reason = run(story())
    assert reason.endswith("ValueError: bad order of card ****")
    first, _ = tracebacks(caplog)
    assert first.getMessage().startswith("handler handle of shop, attempt 1 at message m-1, failed: ValueError")
    assert "in look_up" in (first.exc_text or "")
    assert "4242" not in everything(caplog)


def test_a_redactor_that_raises_lets_nothing_out(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    result = executed(saga_of(order_is_bad), redact=broken)
    assert result.error is not None
    assert result.error.message == "(withheld: redact= raised ValueError)"
    assert "4242" not in everything(caplog)


# ---------------------------------------------------------------------------------------------- a loop that is held up


def test_a_handler_that_holds_up_the_event_loop_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    saga = Saga("orders", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None)
    async def busy(order: Order) -> None:
        await asyncio.sleep(0)

    shop = Participant("shop")

    @shop.on
    async def crowded(event: Asked) -> None:
        await asyncio.sleep(0)

    @saga.step(compensation=None)
    def threaded(order: Order) -> None: ...

    assert [busy.name, crowded.__name__, threaded.name] == ["busy", "crowded", "threaded"]

    async def story(longest: float) -> None:
        settings = Settings(poll=0.01, longest_block=longest)
        manager = ProcessManager(MemoryStore(), sagas=[saga], participants=[shop], settings=settings)
        async with manager:
            await manager.publish(Asked(id="1"))
            for name in ("a", "b"):
                assert (await manager.execute(saga, Order(name), timeout=10)).status == "completed"
            while not any("crowded" in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0)

    run(story(longest=1e-9))
    told = [record.getMessage() for record in caplog.records if "held up" in record.getMessage()]
    assert sorted(one.split(" held")[0] for one in told) == ["handler crowded of shop", "step busy of orders"]
    assert all("make it a plain function, which runs in a thread" in one for one in told)
