"""Whatever is given to a declaration, by whatever mistake, is taken or refused in a sentence: nothing fails inside."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from sagalog import Choreography, Command, Event, Participant, Refused, Retry, Saga
from sagalog.errors import SagalogError
from sagalog.participant_kit import ParticipantKit
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.transports.faststream import FastStreamTransport


@dataclass
class Order:
    order_id: str


class Ordered(Event):
    order_id: str


class Packed(Event):
    order_id: str


class Pack(Command):
    order_id: str


async def handler(order: Order) -> None: ...


async def each(line: str) -> None: ...


async def undo(nothing: None) -> None: ...


def command(order: Order) -> Pack:
    return Pack(order_id=order.order_id)


def undo_command(packed: Packed | None, order: Order) -> Pack:
    return Pack(order_id=order.order_id)


async def answer(event: Ordered) -> None: ...


async def packs(given: Pack) -> None: ...


def key_of(order: Any) -> str:
    return str(order.order_id)


def same(order: Order) -> Order:
    return order


def lines_of(order: Order) -> list[str]:
    return [order.order_id]


def packing() -> Participant:
    """Return a participant that packs what is ordered."""
    desk = Participant("packing")

    @desk.on
    async def pack(event: Ordered) -> Packed:
        return Packed(order_id=event.order_id)

    assert pack.__name__ == "pack"
    return desk


# Untyped here: no type checker would let pass what they are given.
ANY_SAGA: Any = Saga
ANY_PARTICIPANT: Any = Participant
ANY_CHOREOGRAPHY: Any = Choreography
ANY_TRANSPORT: Any = FastStreamTransport
ANY_PROCESS_MANAGER: Any = ProcessManager
ANY_KIT: Any = ParticipantKit
ANY_SETTINGS: Any = Settings
COMPENSATING = ["handler", "retry", "timeout"]
HANDLING = ["given", "name", "retry", "timeout"]

Declare = Callable[..., Any]
TABLE: list[tuple[Declare, str]] = []


def of(like: Any) -> Callable[[Declare], Declare]:
    """Try a function with each of these parameters, or with each that another function has."""

    def register(declare: Declare) -> Declare:
        names: list[str] = list(inspect.signature(like).parameters) if callable(like) else like
        TABLE.extend((declare, name) for name in names if name != "self")
        return declare

    return register


@of(Saga)
def a_saga(**given: Any) -> Any:
    saga = ANY_SAGA(**({"name": "orders", "input": Order, "key": key_of} | given))
    saga.step(compensation=None)(handler)
    return saga.definition and saga


@of(ANY_SAGA.step)
def a_step(handler: Any = handler, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.step(**({"compensation": None} | given))(handler)
    return saga.definition


@of(ANY_SAGA.step)
def a_step_for_each(handler: Any = each, **given: Any) -> Any:
    return a_step(handler, **({"for_each": lines_of} | given))


@of(COMPENSATING)
def a_compensation(handler: Any = undo, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.step(globals()["handler"]).compensate(**given)(handler)
    return saga.definition


@of(ANY_SAGA.request)
def a_request(reply: Any = Packed, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.request(reply, **({"compensation": None} | given))(command)
    return saga.definition


@of([*COMPENSATING, "reply", "refused"])
def a_compensation_of_a_request(handler: Any = undo_command, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.request(Packed)(command).compensate(**given)(handler)
    return saga.definition


@of(ANY_SAGA.wait_for)
def a_wait(event: Any = Packed, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.wait_for(event, **({"key": key_of} | given))
    return saga.definition


@of(ANY_SAGA.sleep)
def a_sleep(duration: Any = 1, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order)
    saga.sleep(duration, **given)
    return saga.definition


@of(ANY_SAGA.started_by)
def a_start_by_an_event(event: Any = Ordered, **given: Any) -> Any:
    saga = ANY_SAGA("orders", input=Order, key=key_of)
    saga.wait_for(Packed, key=key_of)
    saga.started_by(event, **({"input": same} | given))
    return saga.definition


OTHER = a_saga(name="other")


@of(ANY_SAGA.child)
def a_child(saga: Any = OTHER, **given: Any) -> Any:
    parent = ANY_SAGA("orders", input=Order)
    parent.child(saga, **({"input": same} | given))
    return parent.definition


@of(["saga", "name", "pivot", "when", "compensation"])
def a_child_by_a_function(saga: Any = OTHER, **given: Any) -> Any:
    parent = ANY_SAGA("orders", input=Order)
    parent.child(saga, **given)(same)
    return parent.definition


@of(Retry)
def a_policy(**given: Any) -> Any:
    return Retry(**given)


@of(Participant)
def a_participant(name: Any = "desk", **given: Any) -> Any:
    desk = ANY_PARTICIPANT(name, **given)
    desk.on(answer)
    return desk.definition


@of(HANDLING)
def a_reaction(given: Any = Ordered, **options: Any) -> Any:
    desk = ANY_PARTICIPANT("desk")
    decorate = desk.on(given, **options)
    if given is None or isinstance(given, type):
        decorate(answer)
    return desk.definition


@of(HANDLING)
def a_handler(given: Any = Pack, **options: Any) -> Any:
    desk = ANY_PARTICIPANT("desk")
    decorate = desk.handles(given, **options)
    if given is None or isinstance(given, type):
        decorate(packs)
    return desk.definition


@of(Choreography)
def a_choreography(**given: Any) -> Any:
    usual = {"name": "packing", "key": "order_id", "starts_with": Ordered, "completes_with": Packed}
    return ANY_CHOREOGRAPHY(**(usual | {"participants": [packing()]} | given)).definition


@of([*Settings.model_fields, "no_such_setting"])
def settings(**given: Any) -> Any:
    return ANY_SETTINGS(**given)


@of(["environment"])
def settings_of_an_environment(environment: Any) -> Any:
    return ANY_SETTINGS.from_environment(environment)


@of(ProcessManager)
def a_process_manager(database: Any = "memory://", **given: Any) -> Any:
    return ANY_PROCESS_MANAGER(database, **given)


@of(["name"])
def a_kit(name: Any) -> Any:
    return ANY_KIT(name)


@of(FastStreamTransport)
def a_transport(address: Any = "nats://127.0.0.1", **given: Any) -> Any:
    return ANY_TRANSPORT(address, **({"service": "shop"} | given))


def nothing() -> None: ...


class Unsayable:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        return "unsayable\n" * 50


WRONG: dict[str, object] = {
    "a number": 3,
    "a negative number": -3,
    "a fraction": 0.5,
    "no number": float("nan"),
    "a number beyond all": 10**400,
    "a word": "yes",
    "a duration in words": "1m",
    "no word": "",
    "bytes": b"yes",
    "None": None,
    "True": True,
    "a list": [],
    "a list of numbers": [1],
    "a list of lists": [[]],
    "a tuple of words": ("a", "b"),
    "a mapping": {},
    "a mapping of words": {"a": 1},
    "a set": {1},
    "a class": int,
    "a class of events": Packed,
    "a class of commands": Pack,
    "an event": Packed(order_id="1"),
    "a timedelta": timedelta(seconds=-1),
    "a function of nothing": nothing,
    "a function of one": same,
    "a coroutine function": handler,
    "a saga": a_saga(),
    "a participant": packing(),
    "a path": Path("shop.db"),
    "an exception": Refused("no"),
    "a generic type": list[int],
    "an object": Unsayable(),
}


def name_of(cell: object) -> str:
    return cell if isinstance(cell, str) else cast(Callable[..., Any], cell).__name__


@pytest.mark.parametrize(("declare", "parameter"), TABLE, ids=name_of)
def test_whatever_is_given_is_taken_or_refused_in_a_sentence(declare: Declare, parameter: str) -> None:
    failed: list[str] = []
    for what, wrong in WRONG.items():
        try:
            declare(**{parameter: wrong})
        except SagalogError as problem:
            text = str(problem)
            if len(text) > 2_000 or any(word in text for word in ("object has no attribute", "object is not")):
                failed.append(f"{what}: says {text[:300]}")
        except Exception as problem:
            failed.append(f"{what}: {type(problem).__name__}: {str(problem)[:150]}")
    assert not failed, "\n".join(failed)
