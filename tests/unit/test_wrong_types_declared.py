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


def key_of(order: Any) -> str:
    return str(order.order_id)


def saga(*, with_step: bool = True, **given: Any) -> Any:
    """Return a saga; typed as anything, since most of what is given here no type checker lets pass."""
    made = Saga(**cast(Any, {"name": "orders", "input": Order, "key": key_of} | given))
    if with_step:
        made.step(compensation=None)(handler)
    return made


def packing() -> Participant:
    desk = Participant("packing")

    @desk.on
    async def pack(event: Ordered) -> Packed:
        return Packed(order_id=event.order_id)

    assert pack.__name__ == "pack"
    return desk


Declare = Callable[..., Any]


def declared(call: Callable[[Any], Any]) -> Any:
    """Return the definition of a saga in which a call has declared something."""
    made = saga()
    call(made)
    return made.definition


DECLARATIONS: dict[str, tuple[Declare, Declare]] = {
    "Saga": (Saga, lambda **given: saga(**given).definition),
    "saga.step": (
        Saga.step,
        lambda handler=handler, **given: declared(
            lambda one: one.step(**{"name": "second", "compensation": None} | given)(handler)
        ),
    ),
    "saga.step for_each": (
        Saga.step,
        lambda handler=each, **given: declared(
            lambda one: one.step(
                **{"name": "second", "compensation": None, "for_each": lambda order: [order.order_id]} | given
            )(handler)
        ),
    ),
    "step.compensate": (
        lambda handler, retry, timeout: None,
        lambda handler=undo, **given: declared(
            lambda one: one.step(name="second")(globals()["handler"]).compensate(**given)(handler)
        ),
    ),
    "saga.request": (
        Saga.request,
        lambda reply=Packed, **given: declared(
            lambda one: one.request(reply, **{"compensation": None} | given)(command)
        ),
    ),
    "request.compensate": (
        lambda handler, reply, refused, retry, timeout: None,
        lambda handler=undo_command, **given: declared(
            lambda one: one.request(Packed)(command).compensate(**given)(handler)
        ),
    ),
    "saga.wait_for": (
        Saga.wait_for,
        lambda event=Packed, **given: declared(lambda one: one.wait_for(event, **{"key": key_of} | given)),
    ),
    "saga.sleep": (
        Saga.sleep,
        lambda duration=1, **given: declared(lambda one: one.sleep(duration, **given)),
    ),
    "saga.started_by": (
        Saga.started_by,
        lambda event=Ordered, **given: declared(lambda one: one.started_by(event, **{"input": key_of} | given)),
    ),
    "saga.started_by beside a wait": (
        Saga.started_by,
        lambda event=Ordered, **given: declared(
            lambda one: (one.wait_for(Packed, key=key_of), one.started_by(event, **{"input": key_of} | given))
        ),
    ),
    "saga.child": (
        Saga.child,
        lambda saga=saga(name="other"), **given: declared(  # noqa: B008
            lambda one: one.child(saga, **{"input": lambda order: order} | given)
        ),
    ),
    "saga.child decorating": (
        lambda saga, name, pivot, when, compensation: None,
        lambda saga=saga(name="other"), **given: declared(  # noqa: B008
            lambda one: one.child(saga, **given)(same)
        ),
    ),
    "Retry": (Retry, Retry),
    "Participant": (
        Participant,
        lambda name="desk", **given: defined(Participant(name, **given), lambda one: one.on(answer)),
    ),
    "participant.on": (
        lambda event, name, retry, timeout: None,
        lambda event=Ordered, **given: defined(
            Participant("desk"), lambda one: applied(one.on(event, **given), event, answer)
        ),
    ),
    "participant.handles": (
        lambda command, name, retry, timeout: None,
        lambda command=Pack, **given: defined(
            Participant("desk"), lambda one: applied(one.handles(command, **given), command, packs)
        ),
    ),
    "Choreography": (
        Choreography,
        lambda **given: Choreography(
            **cast(Any, {
                "name": "packing", "key": "order_id", "starts_with": Ordered, "completes_with": Packed,
                "participants": [packing()],
            } | given)
        ).definition,
    ),
    "Settings": (Settings, Settings),
    "Settings.from_environment": (
        lambda environment, **given: None,
        lambda environment=None, **given: Settings.from_environment(environment, **given),
    ),
    "ProcessManager": (
        ProcessManager,
        lambda database="memory://", **given: ProcessManager(database, **given),
    ),
    "ParticipantKit": (ParticipantKit, lambda name="desk", **given: ParticipantKit(name, **given)),
    "FastStreamTransport": (
        FastStreamTransport,
        lambda address="nats://127.0.0.1", **given: FastStreamTransport(address, **{"service": "shop"} | given),
    ),
}  # fmt: skip


def same(order: Order) -> Order:
    return order


async def answer(event: Ordered) -> None: ...


async def packs(command: Pack) -> None: ...


def applied(decorator: Any, given: object, function: Callable[..., Any]) -> None:
    """Decorate a function, unless what was given was one that was decorated by that."""
    if given is None or isinstance(given, type):
        decorator(function)


def defined(made: Participant, declare: Callable[[Any], Any]) -> Any:
    declare(made)
    return made.definition


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
    "a function of nothing": lambda: None,
    "a function of one": lambda given: given,
    "a coroutine function": handler,
    "a saga": saga(),
    "a participant": packing(),
    "a path": Path("shop.db"),
    "an exception": Refused("no"),
    "a generic type": list[int],
    "an object": Unsayable(),
}
# Named here is what stands for "not given", or what nobody gives by this name.
NOT_GIVEN = {"self", "data"}


def parameters_of(function: Declare) -> list[str]:
    if function is Settings:
        return [*Settings.model_fields, "no_such_setting"]
    return [
        name
        for name, one in inspect.signature(function).parameters.items()
        if name not in NOT_GIVEN and one.kind is not one.VAR_KEYWORD
    ]


TABLE = [(name, parameter) for name, (like, _) in DECLARATIONS.items() for parameter in parameters_of(like)]


@pytest.mark.parametrize(("name", "parameter"), TABLE, ids=[f"{name}({parameter}=)" for name, parameter in TABLE])
def test_whatever_is_given_is_taken_or_refused_in_a_sentence(name: str, parameter: str) -> None:
    _, declare = DECLARATIONS[name]
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
