"""Identities that are made of others: no two are the same, whatever the parts are called; what was is as it was."""

from collections.abc import Iterator
from itertools import product
from typing import Literal

import pytest
from hypothesis import example
from hypothesis import given as generated
from hypothesis import strategies as st
from msgspec import Raw, Struct

from sagalog import Choreography, Event, Saga, StepContext
from sagalog.errors import DefinitionError
from sagalog.messages import Envelope
from sagalog.participant_kit.turn import delivered
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.identifiers import effect_id, effect_of, needs_mark, note_id, part_name
from sagalog.saga.messages.handlers import output_id
from sagalog.saga.redecide import first_divergence
from sagalog.testing.kernel import given, started

SAGA = "0199c6f0-0000-7000-8000-000000000001"
# Names of the separators and of what is joined with them, and of little else.
PIECES = st.lists(st.sampled_from([":", "undo", "note", "2", "10", "0", "[0]", "pay", "\n", "#", "%"]), min_size=1)
NAMES = PIECES.map("".join)
DIRECTIONS: tuple[Literal["action", "compensation"], ...] = ("action", "compensation")


def identities(names: set[str]) -> Iterator[str]:
    for name, direction, number in product(sorted(names), DIRECTIONS, (0, 1, 2, 9)):
        yield effect_id(SAGA, name, direction, number)
    for version in range(1, 12):
        yield note_id(SAGA, version)


@generated(st.sets(NAMES, min_size=2, max_size=8))
def test_no_two_effects_and_no_effect_and_note_have_the_same_identity(names: set[str]) -> None:
    """Invariant 6."""
    found = list(identities(names))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "others", [("pay", "pay:undo"), ("pay", "pay:2"), ("pay", "pay:undo:2", "pay:undo"), ("note",)]
)
def test_the_names_that_met_do_not_meet_any_more(others: tuple[str, ...]) -> None:
    found = list(identities(set(others)))
    assert len(set(found)) == len(found)


@generated(NAMES, st.sampled_from(DIRECTIONS), st.integers(0, 12))
def test_an_ordinary_name_is_joined_as_it_always_was(
    name: str, direction: Literal["action", "compensation"], number: int
) -> None:
    plain = effect_id(SAGA, name, direction, number, marked=False)
    undo = ":undo" if direction == "compensation" else ""
    assert plain == f"{SAGA}:{name}{undo}" + (f":{number + 1}" if number else "")
    assert needs_mark(name) or effect_id(SAGA, name, direction, number) == plain


@generated(NAMES, st.sampled_from(DIRECTIONS), st.integers(0, 12), st.booleans())
def test_an_identity_says_what_it_is_of(
    name: str, direction: Literal["action", "compensation"], number: int, marked: bool
) -> None:
    identity = effect_id(SAGA, name, direction, number, marked)
    action = effect_id(SAGA, name, "action", 0, marked)
    assert effect_of(SAGA, name, identity) == (action, direction == "compensation")
    context = StepContext(
        saga_id=SAGA, saga_name="s", key="k", correlation_id="c", causation_id=None, step=name, attempt=1,
        idempotency_key=identity,
    )  # fmt: skip
    assert context.action_key == action


def command(id: str, step: str) -> Envelope:
    return Envelope(
        id=id,
        kind="command",
        name="Do",
        source="x",
        correlation_id="c",
        time=0,
        data=Raw(b"{}"),
        saga_id=SAGA,
        step=step,
    )


@generated(st.sets(NAMES, min_size=2, max_size=6), st.integers(0, 3))
def test_the_inbox_of_a_participant_tells_the_actions_of_all_steps_apart(names: set[str], number: int) -> None:
    actions: dict[str, str] = {}
    for name, direction in product(sorted(names), DIRECTIONS):
        found = delivered(command(effect_id(SAGA, name, direction, number), name), None)
        assert found.undoes == (direction == "compensation")
        assert actions.setdefault(found.action, name) == name
    assert len(actions) == len(names)


# So few names, of so few letters, that what is joined carelessly meets in nearly every list of them.
FEW = st.text(":a1", min_size=1, max_size=2)


@generated(st.lists(st.tuples(FEW, FEW, st.just("") | FEW, st.integers(0, 1)), min_size=2, max_size=60, unique=True))
@example([("m", "a:b", "c", 0), ("m:a", "b", "c", 0)])
@example([("m", "a", "", 11), ("m", "a", "1", 1)])
def test_no_two_answers_have_the_same_id(parts: list[tuple[str, str, str, int]]) -> None:
    """Invariant 6."""
    assert len({output_id(*one) for one in parts}) == len(parts)


@generated(st.lists(st.tuples(NAMES, st.integers(0, 999_999)), min_size=2, max_size=6, unique=True))
def test_no_two_parts_of_steps_have_the_same_name(parts: list[tuple[str, int]]) -> None:
    assert len({part_name(*one) for one in parts}) == len(parts)


class Order(Struct, frozen=True):
    order_id: str


def saga_with(*names: str) -> Saga[Order]:
    saga = Saga("orders", input=Order)

    def act(order: Order) -> None: ...

    for name in names:
        saga.step(name=name, compensation=None)(act)
    return saga


def test_a_saga_is_marked_from_its_start_and_one_that_began_before_keeps_its_identities() -> None:
    saga = saga_with("pay", "pay:undo")
    told = given(saga, started(saga, Order("o-1")))
    assert told.state is not None
    assert told.state.marked
    old = e.SagaStarted(
        time=0, saga="orders", version=1, digest=saga.definition.digest, input=Raw(b'{"order_id":"o-1"}'), key="k",
        correlation_id="k", deadline=86_400_000_000,
    )  # fmt: skip
    before = given(saga, old)
    assert before.state is not None
    assert not before.state.marked
    went_on = before.when(i.ActionSucceeded("pay", 1, 0, e.EMPTY), 0).then(e.StepSucceeded)
    assert first_divergence(saga.definition, went_on.events) is None


def test_the_start_of_an_ordinary_saga_is_recorded_as_it_always_was() -> None:
    assert not saga_with("pay", "ship:now").definition.marked
    assert saga_with("pay", "note").definition.marked


class Shipped(Event):
    order_id: str


class ShippedTwice(Event):
    NAME = "Shipped:2"
    order_id: str


class Ordered(Event):
    order_id: str


class Closed(Event):
    order_id: str


def test_an_event_may_not_have_the_name_of_the_second_one_of_another() -> None:
    choreography = Choreography(
        "shipping",
        key="order_id",
        starts_with=Ordered,
        completes_with=Closed,
        compensates={Shipped: None, ShippedTwice: None},
        observed=True,
    )
    with pytest.raises(DefinitionError, match="Shipped:2 has the name that a later Shipped is known by"):
        _ = choreography.definition
