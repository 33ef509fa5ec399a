"""A checked saga definition: stages of steps as data, which the kernel's functions read and nobody changes."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import encode

from sagalog.errors import DivergentHistory
from sagalog.saga.binding import Parameter
from sagalog.saga.payload import PayloadType
from sagalog.saga.retry import Retry


class CompensationDefinition(Struct, frozen=True):
    """How a step is undone: the handler, its parameters after the result, its retries, its timeout (microseconds)."""

    handler: Callable[..., Any]
    is_async: bool
    parameters: tuple[Parameter, ...]
    takes_none: bool
    retry: Retry
    timeout: int | None


class StepDefinition(Struct, frozen=True):
    """One step: its action, its compensation (None: declared to need none), and what else was declared of it."""

    name: str
    handler: Callable[..., Any]
    is_async: bool
    parameters: tuple[Parameter, ...]
    result: PayloadType
    retry: Retry
    timeout: int | None
    compensation: CompensationDefinition | None
    pivot: bool
    when: Callable[[Any], bool] | None
    waiting_text: str


class Definition(Struct, frozen=True):
    """A whole saga. `stages` run one after the other, the steps of one stage side by side.

    `stage_after[n]` is the number of the stage that is being done when n steps have succeeded or were skipped.
    `digest` covers name, version and structure: a stored saga is only ever run with the definition it started with.
    """

    name: str
    version: int
    digest: str
    input: PayloadType
    timeout: int | None
    stages: tuple[tuple[StepDefinition, ...], ...]
    stage_after: tuple[int, ...]
    steps: dict[str, StepDefinition]
    pivot: str | None
    has_conditions: bool
    key: Callable[[Any], str] | None
    reruns: bool

    def step(self, name: str) -> StepDefinition:
        """Return a step by name; raises `DivergentHistory` for a name that the definition does not have."""
        try:
            return self.steps[name]
        except KeyError:
            raise DivergentHistory(
                f"expected a step of saga {self.name} version {self.version}, found {name!r}; "
                f"it has {', '.join(self.steps)}"
            ) from None

    def read_input(self, data: Raw) -> Any:
        """Return the typed input of a saga."""
        return self.input.read(data)


def is_async(handler: Callable[..., Any]) -> bool:
    """Tell whether calling `handler` gives a coroutine."""
    return inspect.iscoroutinefunction(inspect.unwrap(handler)) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004
    )


def assemble(
    *,
    name: str,
    version: int,
    input: PayloadType,
    timeout: int | None,
    stages: tuple[tuple[StepDefinition, ...], ...],
    key: Callable[[Any], str] | None,
    reruns: bool,
) -> Definition:
    """Build the definition from checked stages."""
    stage_after = [number for number, stage in enumerate(stages) for _ in stage]
    steps = {step.name: step for stage in stages for step in stage}
    return Definition(
        name=name,
        version=version,
        digest=_digest(name, version, stages),
        input=input,
        timeout=timeout,
        stages=stages,
        stage_after=(*stage_after, len(stages)),
        steps=steps,
        pivot=next((step.name for step in steps.values() if step.pivot), None),
        has_conditions=any(step.when is not None for step in steps.values()),
        key=key,
        reruns=reruns,
    )


def _digest(name: str, version: int, stages: tuple[tuple[StepDefinition, ...], ...]) -> str:
    """Hash what a running saga depends on: the order of its steps and what can be undone; retries may be tuned."""
    shape = [[(s.name, s.pivot, s.when is not None, s.compensation is not None) for s in stage] for stage in stages]
    return hashlib.sha256(encode([name, version, shape])).hexdigest()[:16]
