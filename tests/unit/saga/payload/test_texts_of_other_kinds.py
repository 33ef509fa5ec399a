"""A name that is another kind of text is taken as the text it is; what is none is refused, not taken as not given."""

import asyncio
import enum
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import pytest
from sagas.greeting import QUICK

from sagalog import Choreography, Event, Participant, Saga
from sagalog.errors import DefinitionError, InvalidIdentifier, InvalidInput, NotRunning, SagalogError
from sagalog.participant_kit import ParticipantKit
from sagalog.process_manager import ProcessManager


class Text(str):
    """Any other kind of text."""

    __slots__ = ()


class Names(enum.StrEnum):
    """Names that are written down once."""

    SAGA = "one"
    STEP = "two"


class Began(Event):
    key: str


class Ended(Event):
    key: str


def named(saga: Any, step: Any) -> list[Saga[str]]:
    made = Saga(saga, input=str)

    @made.step(name=step, compensation=None)
    def act(given: str) -> str:
        return given

    made.sleep(0.001, name=Text("pause"))
    made.wait_for(Began, key=lambda event: event.key, name=Text("wait"), when=lambda _: False)
    child = Saga(Text("inner"), input=str)
    child.sleep(0.001)
    made.child(child, input=lambda given: given, name=Text("child"), compensation=None)
    made.child(child, input=lambda given: given, compensation=None)
    return [made, child]


@pytest.mark.parametrize(("saga", "step"), [(Text("one"), Text("two")), (Names.SAGA, Names.STEP)])
def test_a_saga_runs_whose_names_are_another_kind_of_text(saga: Any, step: Any) -> None:
    sagas = named(saga, step)
    made = sagas[0]
    names = [made.name, *(one.name for stage in made.definition.stages for one in stage)]
    assert (names, {type(name) for name in names}) == (["one", "two", "pause", "wait", "child", "inner"], {str})

    async def run() -> Any:
        async with ProcessManager("memory://", sagas=sagas, settings=QUICK) as manager:
            return await manager.execute(made, "x", key=Text("k"), timeout=5)

    assert asyncio.run(run()).data["two"] == "x"


def test_choreographies_and_participants_have_plain_names() -> None:
    choreography = Choreography(Text("flow"), key="key", starts_with=Began, completes_with=Ended, observed=True)
    desk = Participant(Text("desk"))

    @desk.on(name=Text("hear"))
    def hear(event: Began) -> None: ...

    (handlers,) = desk.definition.handlers.values()
    names = [choreography.name, choreography.definition.name, desk.name, handlers[0].name]
    assert (names, {type(name) for name in names}) == (["flow", "flow", "desk", "hear"], {str})


def test_a_participant_kit_takes_ids_that_are_another_kind_of_text() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    kit = ParticipantKit(Text("desk"))
    kit.create(connection)
    for is_new in (True, False):
        with kit.once(connection, Text("c-1"), correlation_id=Text("o-1")) as turn:
            assert turn.is_new == is_new
            if is_new:
                turn.answer(Ended(key="x"))
    with kit.once(connection, "c-2", undoes=Text("c-1")) as turn:
        turn.answer(None)
    connection.close()


@pytest.mark.parametrize("wrong", [0, [], "", False, b"x"])
def test_what_is_no_name_is_not_taken_as_not_given(wrong: Any) -> None:
    saga, other, desk = Saga("s", input=str), Saga("o", input=str), Participant("p")

    def act(given: str) -> str:
        return given

    def hear(event: Began) -> None: ...

    ways: list[Callable[[], object]] = [
        lambda: saga.step(name=wrong)(act),
        lambda: saga.wait_for(Began, key=lambda event: event.key, name=wrong),
        lambda: saga.sleep(1, name=wrong),
        lambda: saga.child(other, input=lambda given: given, name=wrong),
        lambda: desk.on(name=wrong)(hear),
    ]
    for declare in ways:
        with pytest.raises(DefinitionError, match="expected a text for name="):
            declare()


@pytest.mark.parametrize("message", [None, "c-1", {}])
def test_what_is_no_message_is_refused_by_a_participant_kit(message: Any) -> None:
    kit = ParticipantKit("desk")
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(InvalidInput, match="expected an Envelope"),
    ):
        kit.handle(connection, message, lambda: None)


def test_what_is_no_clock_is_refused_by_a_participant_kit() -> None:
    with pytest.raises(DefinitionError, match="expected now of clock=, found 5"):
        ParticipantKit("desk", clock=cast(Any, 5))


def test_a_process_manager_that_was_never_open_cannot_be_closed() -> None:
    with pytest.raises(NotRunning, match="not open; use `async with manager:`"):
        asyncio.run(ProcessManager("memory://").__aexit__(None, None, None))


def test_a_process_manager_whose_loop_is_gone_says_what_to_do() -> None:
    manager = ProcessManager("memory://")
    asyncio.run(manager.__aenter__())

    async def close() -> None:
        await manager.__aexit__(None, None, None)

    async def reopen() -> None:
        await manager.__aenter__()

    for ask in (close, reopen):
        with pytest.raises(SagalogError, match="its event loop was closed while it was open; build another") as caught:
            asyncio.run(ask())
        assert "run_coroutine_threadsafe" not in str(caught.value)


@pytest.mark.parametrize("reason", ["", "a\x00b", "a\nb", "x" * 4001, "\u200b"])
def test_a_reason_for_parking_is_as_any_other(reason: str) -> None:
    async def park() -> None:
        async with ProcessManager("memory://", settings=QUICK) as manager:
            with pytest.raises(InvalidIdentifier, match="the reason"):
                await manager.park("text", source="elsewhere", reason=reason)

    asyncio.run(park())
