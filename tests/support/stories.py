"""Short words for telling kernel tests: sagas made of letters, and what happens to them."""

import random
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Raw, Struct

from sagalog import Retry, Saga
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.testing.kernel import START, started

Undo = Literal["takes none", "needs result", "waived"]


class Choice(Struct, frozen=True):
    """Be the input of the made-up sagas: which steps are skipped, and whose condition is a mistake."""

    skipped: tuple[str, ...] = ()
    mistaken: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """Say how a made-up step is declared."""

    name: str
    undo: Undo = "takes none"
    pivot: bool = False
    conditional: bool = False
    attempts: int = 2


def saga_of(*stages: Sequence[Plan], timeout: float | None = 3600.0) -> Saga[Choice]:
    """Make a saga: steps in one stage run side by side."""
    saga = Saga("letters", input=Choice, timeout=timeout)
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
    def act(choice: Choice) -> str:
        return plan.name

    def undo(result: str | None) -> None: ...

    def undo_known(result: str) -> None: ...

    def when(choice: Choice) -> bool:
        if plan.name in choice.mistaken:
            raise KeyError(plan.name)
        return plan.name not in choice.skipped

    retry = Retry(attempts=plan.attempts, delay=10.0, jitter=0.0)
    options: dict[str, Any] = {
        "name": plan.name,
        "retry": retry,
        "when": when if plan.conditional else None,
        "pivot": plan.pivot,
    }
    if plan.undo == "waived" and not plan.pivot and not after_pivot:
        options["compensation"] = None
    declare: Any = saga.step
    step: Any = declare(**options)(act)
    if plan.undo != "waived" and not after_pivot:
        step.compensate(retry=retry)(undo if plan.undo == "takes none" else undo_known)


def began(saga: Saga[Choice], *skipped: str, mistaken: tuple[str, ...] = ()) -> e.SagaStarted:
    """Return the start of a made-up saga."""
    return started(saga, Choice(skipped, mistaken))


def did(step: str, attempt: int = 1) -> i.ActionSucceeded:
    return i.ActionSucceeded(step, attempt, START, Raw(f'"{step}"'.encode()))


def failed(step: str, kind: e.ErrorKind = "error", attempt: int = 1) -> i.ActionFailed:
    return i.ActionFailed(step, attempt, START, e.ErrorInfo(kind.title(), "told so", kind))


def undid(step: str, attempt: int = 1, epoch: int = 0) -> i.UndoSucceeded:
    return i.UndoSucceeded(step, epoch, attempt, START)


def undo_failed(step: str, kind: e.ErrorKind = "error", attempt: int = 1, epoch: int = 0) -> i.UndoFailed:
    return i.UndoFailed(step, epoch, attempt, START, e.ErrorInfo(kind.title(), "told so", kind))


RESUME = i.Resume("ada", "mended")


def any_saga(seeded: random.Random) -> Saga[Choice]:
    """Make a saga at random: sequence, parallel, conditions, pivot, waivers, compensations that need a result."""
    letters = iter("abcdefghijkl")
    stages: list[list[Plan]] = []
    pivot_at = seeded.choice((None, None, 0, 1, 2))
    for number in range(seeded.randrange(1, 4)):
        undo: Undo = seeded.choice(("takes none", "takes none", "needs result", "waived"))
        if number == pivot_at:
            stages.append([Plan(next(letters), undo, pivot=True)])
            continue
        stages.append(
            [
                Plan(
                    next(letters),
                    seeded.choice(("takes none", "takes none", "needs result", "waived")),
                    conditional=seeded.random() < 0.3,
                    attempts=seeded.choice((1, 2, 3)),
                )
                for _ in range(seeded.choice((1, 1, 2, 3)))
            ]
        )
    return saga_of(*stages, timeout=seeded.choice((None, 3600.0)))
