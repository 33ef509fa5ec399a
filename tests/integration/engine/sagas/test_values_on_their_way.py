"""Values that go through a saga: the next step gets what was given, and what cannot be kept is refused at once."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, FutureDatetime, SecretStr, field_validator
from pydantic.alias_generators import to_camel
from sagas.greeting import QUICK, run

from sagalog import Event, Saga
from sagalog.errors import DefinitionError, InvalidInput
from sagalog.process_manager import ProcessManager


class Visit(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    visit_id: str
    begins_at: FutureDatetime
    note: str | None = Field(None, alias="theNote")

    @field_validator("visit_id")
    @classmethod
    def _prefixed(cls, visit_id: str) -> str:
        return f"v-{visit_id}"


class Booked(BaseModel):
    room: str


class Suite(Booked):
    balcony: bool = True


# As it was when it was accepted; the time has passed since.
VISIT = Visit.model_construct(visit_id="v-1", begins_at=datetime(2020, 1, 2, tzinfo=UTC), note="x")


def book(returns: Any) -> Saga[Visit]:
    saga = Saga("visit", input=Visit, key=lambda visit: visit.visit_id)

    @saga.step
    def reserve(visit: Visit) -> Booked:
        return returns  # type: ignore[no-any-return]

    @reserve.compensate
    def cancel(booked: Booked) -> None: ...

    @saga.step(compensation=None)
    def tell(visit: Visit, booked: Booked) -> dict[str, Any]:
        return {"visit": visit.visit_id, "note": visit.note, "year": visit.begins_at.year, "room": booked.room}

    return saga


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/visits.db"


def test_every_step_gets_the_input_as_it_was_given_when_its_rules_allow_it_no_more(database: str) -> None:
    """Invariant 11."""

    async def ask() -> None:
        saga = book(Booked(room="a"))
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            result = await manager.execute(saga, VISIT)
            assert (result.status, result.data["tell"]) == (
                "completed",
                {"visit": "v-1", "note": "x", "year": 2020, "room": "a"},
            )

    run(ask())


def test_a_result_that_would_be_cut_down_is_a_fault_at_the_step_that_has_it(database: str) -> None:
    """Invariant 12."""

    async def ask() -> None:
        saga = book(Suite(room="a"))
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            result = await manager.execute(saga, VISIT)
            assert result.status == "stuck"
            assert result.error is not None
            assert (result.error.kind, result.error.type) == ("fault", "InvalidInput")
            assert "the result of step reserve" in result.error.message
            assert "$: Suite was given and Booked would be read back" in result.error.message

    run(ask())


def test_a_start_with_what_cannot_be_kept_is_refused_with_its_path(database: str) -> None:
    class Measured(BaseModel):
        values: list[float]

    saga = Saga("measure", input=Measured)

    @saga.step(compensation=None)
    def look(measured: Measured) -> None: ...

    async def ask() -> None:
        async with ProcessManager(database, sagas=[saga], settings=QUICK) as manager:
            with pytest.raises(InvalidInput, match=r"the input of saga measure: \$\.values\[1\]: NaN"):
                await manager.start(saga, Measured(values=[1.0, math.nan]), key="1")
            assert await manager.counts() == {}

    run(ask())


def test_an_event_with_what_cannot_be_kept_is_not_published(database: str) -> None:
    class Seen(Event):
        what: dict[str, Any]

    class Whispered(Event):
        password: SecretStr

    async def ask() -> None:
        async with ProcessManager(database, sagas=[book(Booked(room="a"))], settings=QUICK) as manager:
            with pytest.raises(InvalidInput, match=r"event Seen .*\$\.what\.at: datetime was given and str"):
                await manager.publish(Seen(what={"at": VISIT.begins_at}))
            with pytest.raises(InvalidInput, match=r"event Seen: \$.what: expected object, found int"):
                await manager.publish(Seen(what=3))  # type: ignore[arg-type]
            with pytest.raises(InvalidInput, match="only asterisks would be kept"):
                await manager.publish(Whispered(password=SecretStr("x")))

    run(ask())


def test_a_saga_that_is_declared_with_a_secret_says_what_to_do_instead() -> None:
    class Login(BaseModel):
        password: SecretStr

    saga = Saga("log-in", input=Login)

    @saga.step(compensation=None)
    def enter(login: Login) -> Login:
        return login

    with pytest.raises(DefinitionError, match=r"Login\.password is a SecretStr.*pass a reference to the secret"):
        _ = saga.definition
