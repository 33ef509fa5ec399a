"""Short words for telling kernel tests: sagas made of letters, and what happens to them."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any, Literal

from msgspec import Raw, Struct

from sagalog import Command, Event, Retry, Saga
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.definition import StepKind
from sagalog.testing.kernel import START, Given, given, started

Undo = Literal["takes none", "needs result", "waived"]


class Do(Command):
    step: str


class UndoIt(Command):
    step: str


class Done(Event):
    step: str


class Denied(Event):
    reason: str


class Undone(Event):
    step: str


class Happened(Event):
    key: str


class Begun(Event):
    key: str


class Choice(Struct, frozen=True):
    """The input of the made-up sagas: which steps are skipped, and whose condition is a mistake."""

    skipped: tuple[str, ...] = ()
    mistaken: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """How a made-up step is declared."""

    name: str
    undo: Undo = "takes none"
    pivot: bool = False
    conditional: bool = False
    attempts: int = 2
    kind: StepKind = "call"
    elements: int | None = None
    at_once: bool | int = False


def saga_of(*stages: Sequence[Plan], timeout: float | None = 3600.0) -> Saga[Choice]:
    """Make a saga: steps in one stage run side by side."""
    saga = Saga("letters", input=Choice, timeout=timeout)
    saga.started_by(Begun, input=lambda begun: Choice(), key=lambda begun: begun.key)
    after_pivot = False
    for stage in stages:
        if len(stage) == 1:
            _declare(saga, stage[0], after_pivot)
        else:
            with saga.parallel():
                for plan in stage:
                    _declare(saga, plan, after_pivot)
        after_pivot = after_pivot or any(plan.pivot for plan in stage)
    return saga


def line(*names: str) -> Saga[Choice]:
    """Make a saga of steps one after the other, each with a compensation that takes None and two attempts."""
    return saga_of(*([Plan(name)] for name in names))


def _declare(saga: Saga[Choice], plan: Plan, after_pivot: bool) -> None:
    def when(choice: Choice) -> bool:
        if plan.name in choice.mistaken:
            raise KeyError(plan.name)
        return plan.name not in choice.skipped

    condition = when if plan.conditional else None
    if plan.kind == "child":
        child: dict[str, Any] = {"name": plan.name, "pivot": plan.pivot, "when": condition}
        if plan.undo == "waived":
            child["compensation"] = None
        saga.child(the_child(), input=lambda choice: choice, **child)
    elif plan.kind == "wait":
        saga.wait_for(Happened, key=lambda event: event.key, timeout=90.0, name=plan.name, when=condition)
    elif plan.kind == "sleep":
        saga.sleep(30.0, name=plan.name, when=condition)
    else:
        retry = Retry(attempts=plan.attempts, delay=10.0, jitter=0.0)
        options: dict[str, Any] = {"name": plan.name, "retry": retry, "when": condition, "pivot": plan.pivot}
        if plan.undo == "waived" and not plan.pivot and not after_pivot:
            options["compensation"] = None
        if plan.elements is not None:
            options |= {"for_each": _elements_of(plan), "at_once": plan.at_once}
        declare = _declare_request if plan.kind == "request" else _declare_call
        declare(saga, plan, options, plan.undo != "waived" and not after_pivot)


@cache
def the_child() -> Saga[Choice]:
    saga = Saga("child", input=Choice)

    @saga.step(compensation=None)
    def only(choice: Choice) -> None: ...

    return saga


def _elements_of(plan: Plan) -> Callable[[Choice], list[int]]:
    def elements(choice: Choice) -> list[int]:
        if plan.name in choice.mistaken:
            raise KeyError(plan.name)
        return list(range(plan.elements or 0))

    return elements


def _declare_call(saga: Any, plan: Plan, options: dict[str, Any], undone: bool) -> None:
    def act(choice: Choice) -> str:
        return plan.name

    def act_on(number: int, choice: Choice) -> str:
        return plan.name

    def undo(result: str | None) -> None: ...

    def undo_known(result: str) -> None: ...

    step = saga.step(**options)(act if plan.elements is None else act_on)
    if undone:
        step.compensate(retry=options["retry"])(undo if plan.undo == "takes none" else undo_known)


def _declare_request(saga: Any, plan: Plan, options: dict[str, Any], undone: bool) -> None:
    def ask(choice: Choice) -> Do:
        return Do(step=plan.name)

    def ask_for(number: int, choice: Choice) -> Do:
        return Do(step=f"{plan.name}[{number}]")

    def ask_back(reply: Done | None) -> UndoIt:
        return UndoIt(step=plan.name)

    def ask_back_known(reply: Done) -> UndoIt | None:
        return UndoIt(step=reply.step)

    step = saga.request(Done, refused=Denied, timeout=60, **options)(ask if plan.elements is None else ask_for)
    if not undone:
        return
    # One says what its reply is, the other takes whatever its command leads to.
    if plan.undo == "takes none":
        step.compensate(reply=Undone, refused=Denied, retry=options["retry"])(ask_back)
    else:
        step.compensate(retry=options["retry"])(ask_back_known)


def began(saga: Saga[Choice], *skipped: str, mistaken: tuple[str, ...] = ()) -> e.SagaStarted:
    """Return the start of a made-up saga."""
    return started(saga, Choice(skipped, mistaken))


def start(saga: Saga[Choice], *skipped: str, mistaken: tuple[str, ...] = ()) -> Given:
    """Begin a made-up saga as the engine does, with all that follows at once."""
    first = began(saga, *skipped, mistaken=mistaken)
    told = given(saga).when(i.Start(first.key, first.input, 1, first.correlation_id))
    return told.then(*map(type, told.decided()))


def did(step: str, attempt: int = 1) -> i.ActionSucceeded:
    return i.ActionSucceeded(step, attempt, START, Raw(f'"{step}"'.encode()))


def failed(step: str, kind: e.ErrorKind = "error", attempt: int = 1) -> i.ActionFailed:
    return i.ActionFailed(step, attempt, START, e.ErrorInfo(kind.title(), "told so", kind))


def undid(step: str, attempt: int = 1, epoch: int = 0) -> i.UndoSucceeded:
    return i.UndoSucceeded(step, epoch, attempt, START)


def undo_failed(step: str, kind: e.ErrorKind = "error", attempt: int = 1, epoch: int = 0) -> i.UndoFailed:
    return i.UndoFailed(step, epoch, attempt, START, e.ErrorInfo(kind.title(), "told so", kind))


_NUMBERS = count(1)


def act(verb: e.Verb, step: str | None = None, *, id: str | None = None, **fields: Any) -> i.Act:
    """Return what a person asks for; each is another action, unless it is given an `id`."""
    action_id = id or f"act-{next(_NUMBERS)}"
    return i.Act(action_id=action_id, verb=verb, actor="ada", reason="mended", step=step, **fields)


def resume() -> i.Act:
    return act("resume")


KINDS: tuple[StepKind, ...] = ("call", "call", "request", "request", "wait", "sleep", "child")


def any_saga(seeded: random.Random) -> Saga[Choice]:
    """Make a saga at random: sequence, parallel, conditions, pivot, waivers, compensations that need a result."""
    letters = iter("abcdefghijkl")
    stages: list[list[Plan]] = []
    pivot_at = seeded.choice((None, None, 0, 1, 2))
    for number in range(seeded.randrange(1, 4)):
        undo: Undo = seeded.choice(("takes none", "takes none", "needs result", "waived"))
        if number == pivot_at:
            stages.append([Plan(next(letters), undo, pivot=True, kind=seeded.choice(("call", "request")))])
            continue
        stages.append(
            [
                Plan(
                    next(letters),
                    seeded.choice(("takes none", "takes none", "needs result", "waived")),
                    conditional=seeded.random() < 0.3,
                    attempts=seeded.choice((1, 2, 3)),
                    kind=seeded.choice(KINDS),
                    elements=seeded.choice((None, None, None, 0, 1, 3, 5)),
                    at_once=seeded.choice((False, True, 2)),
                )
                for _ in range(seeded.choice((1, 1, 2, 3)))
            ]
        )
    return saga_of(*stages, timeout=seeded.choice((None, 3600.0)))
