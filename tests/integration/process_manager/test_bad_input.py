"""Whatever is wrong with what a process manager is given: one clear error that says what to do, and nothing is lost."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sagas.greeting import QUICK, Card, Greeting, greet, run

from sagalog import Saga
from sagalog.errors import (
    DefinitionError,
    InvalidIdentifier,
    InvalidInput,
    InvalidSettings,
    MissingKey,
    NotRunning,
    PayloadTooLarge,
    SagaNotFound,
    ServiceNotProvided,
    UnknownSaga,
    WaitTimeout,
)
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/greetings.db"


async def start(database: str, value: Any, **options: Any) -> dict[str, dict[str, int]]:
    """Try a start that must fail, and return how many sagas there are afterwards."""
    saga = options.pop("saga", None) or greet()
    async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
        try:
            await manager.start(saga, value, **options)
        finally:
            assert await manager.counts() == {}
    raise AssertionError("the start was not refused")


def test_an_unknown_saga_is_refused_with_those_that_are_known(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.start(Saga("other", input=Greeting), Greeting("ada"), key="ada")

    with pytest.raises((UnknownSaga, DefinitionError)) as told:
        run(ask())
    assert "other" in str(told.value)


def test_another_version_of_a_known_saga_is_refused(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.start(greet(version=2), Greeting("ada"))

    with pytest.raises(UnknownSaga, match=r"greet version 1.*found greet version 2; add it to sagas="):
        run(ask())


def test_an_input_of_another_type_is_refused(database: str) -> None:
    with pytest.raises(InvalidInput, match="expected Greeting, found Card"):
        run(start(database, Card("x"), key="ada"))


def test_an_input_with_a_wrong_field_is_refused(database: str) -> None:
    with pytest.raises(InvalidInput, match="times"):
        run(start(database, Greeting("ada", times="three")))  # type: ignore[arg-type]


def test_a_payload_over_the_cap_is_refused_with_its_size(database: str) -> None:
    with pytest.raises(
        PayloadTooLarge, match=r"300,0\d\d bytes of JSON, the cap is 262,144; store large data elsewhere"
    ):
        run(start(database, Greeting("x" * 300_000), key="ada"))


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a\x00b", r"U\+0000"),
        ("k" * 10_000, "found 10,000"),
        ("", "found 0"),
        ("a\nb", r"U\+000A"),
        ("a\ud800", r"U\+D800"),
        (7, "found int"),
    ],
)
def test_a_key_that_no_store_can_keep_is_refused(database: str, key: Any, found: str) -> None:
    with pytest.raises(InvalidIdentifier, match=found):
        run(start(database, Greeting("ada"), key=key))


@pytest.mark.parametrize("what", ["correlation_id", "causation_id"])
def test_a_correlation_or_causation_id_with_a_nul_is_refused(database: str, what: str) -> None:
    with pytest.raises(InvalidIdentifier, match=r"U\+0000"):
        run(start(database, Greeting("ada"), **{what: "a\x00"}))


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"])
def test_text_that_no_store_can_keep_is_refused_inside_an_input(database: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        run(start(database, Greeting(name), key="ada"))


def test_a_start_without_a_key_is_refused_and_told_how_to_give_one(database: str) -> None:
    """Invariant 8: no identity, no entry."""
    saga = Saga("keyless", input=Greeting)

    @saga.step(compensation=None)
    async def nothing(greeting: Greeting) -> None: ...

    assert nothing.name == "nothing"
    with pytest.raises(MissingKey, match=r"pass key=\.\.\., or declare Saga\(key="):
        run(start(database, Greeting("ada"), saga=saga))


def test_a_service_that_is_not_provided_is_named_with_the_step_that_asks_for_it(database: str) -> None:
    class Printer: ...

    saga = Saga("print", input=Greeting)

    @saga.step(compensation=None)
    async def print_card(greeting: Greeting, printer: Printer) -> None: ...

    assert print_card.name == "print_card"
    with pytest.raises(ServiceNotProvided, match=r"print\.print_card: printer: Printer\ngive an instance in services="):
        ProcessManager(database, sagas=[saga])


def test_two_sagas_with_one_name_and_version_are_refused(database: str) -> None:
    with pytest.raises(DefinitionError, match="two sagas are greet version 1"):
        ProcessManager(database, sagas=[greet(), greet()])


def test_a_handler_that_returns_the_wrong_type_makes_its_saga_stuck_and_no_other(database: str) -> None:
    saga = Saga("wrong", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    async def write(greeting: Greeting) -> Card:
        return Card("fine") if greeting.name == "ada" else greeting  # type: ignore[return-value]

    assert write.name == "write"

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            bad = await manager.start(saga, Greeting("bob"))
            good = await manager.start(saga, Greeting("ada"))
            assert (await good.result(5)).status == "completed"
            result = await bad.result(5)
            assert result.status == "stuck"
            assert result.error is not None
            assert "expected Card, found Greeting" in result.error.message
            row = await bad.status()
            assert row.waiting_for == "a person"
            assert row.error_text is not None
            assert "mend the program, then resume" in row.error_text

    run(ask())


def test_a_saga_that_nobody_started_is_not_found(database: str) -> None:
    async def ask() -> None:
        async with ProcessManager(database, sagas=[greet()], settings=QUICK) as manager:
            await manager.status("nobody")

    with pytest.raises(SagaNotFound, match=r"'nobody'.*sagalog list"):
        run(ask())


def test_a_process_manager_that_does_not_run_says_how_to_run_it(database: str) -> None:
    saga = greet()
    with pytest.raises(NotRunning, match="async with"):
        run(ProcessManager(database, sagas=[saga]).start(saga, Greeting("ada")))


def test_waiting_too_short_says_what_the_saga_waits_for_and_leaves_it_alone(database: str) -> None:
    release = asyncio.Event()
    saga = Saga("slow", input=Greeting, key=lambda greeting: greeting.name)

    @saga.step(compensation=None)
    async def wait(greeting: Greeting) -> None:
        await release.wait()

    assert wait.name == "wait"

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            slow = await manager.start(saga, Greeting("ada"))
            with pytest.raises(WaitTimeout, match=r"still started after 0\.01 s, waiting for step wait; it goes on"):
                await slow.result(0.01)
            release.set()
            assert (await slow.result(5)).status == "completed"

    run(ask())


@pytest.mark.parametrize("patience", [0, 0.0, 1e-9, 0.0001, timedelta(0)])
def test_a_saga_that_has_ended_has_its_result_whatever_the_time_to_wait_for_it(
    database: str, patience: float | timedelta
) -> None:
    saga = greet()

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            first = await manager.execute(saga, Greeting("ada"), timeout=5)
            again = await manager.start(saga, Greeting("ada"))
            for found in (
                await manager.result("ada", patience),
                await manager.result(again.id, patience),
                await again.result(patience),
                await manager.execute(saga, Greeting("ada"), timeout=patience),
            ):
                assert found == first
            with pytest.raises(SagaNotFound):
                await manager.result("nobody", patience)

    run(ask())


@pytest.mark.parametrize("address", ["", "shop.db", "mysql://x/y", "sqlite:shop.db", "memory://x"])
def test_an_address_that_names_no_store_is_refused_with_examples(address: str) -> None:
    with pytest.raises(InvalidSettings, match=r"sqlite:///shop\.db or postgresql://"):
        ProcessManager(address)


def test_a_setting_that_cannot_be_is_named_with_its_variable() -> None:
    with pytest.raises(InvalidSettings, match=r"SAGALOG_LEASE.*: expected seconds over 0"):
        Settings.from_environment({"SAGALOG_LEASE": "-1"})


def test_a_saga_can_be_declared_without_loading_any_driver() -> None:
    code = "import sys, sagalog; print([m for m in ('asyncio', 'sqlite3', 'psycopg', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
