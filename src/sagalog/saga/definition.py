"""A checked saga definition: stages of steps as data. The kernel's functions read it, and nothing changes it."""

import hashlib
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Raw, Struct
from msgspec.json import encode

from sagalog.errors import DivergentHistory
from sagalog.messages import Message
from sagalog.saga.binding import Parameter
from sagalog.saga.events import ActionTaken, Answer, Direction, EventReceived, StepSucceeded
from sagalog.saga.failure import Redact
from sagalog.saga.identifiers import needs_mark, part_of
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.retry import Retry

# What a step does: call its handler, send the command that its handler returns, wait for an event, wait for a time,
# or run another saga, whose input its handler returns.
StepKind = Literal["call", "request", "wait", "sleep", "child"]

# The user's function that finds attributes, the type of what it takes, and that as it is recorded.
AttributeSource = tuple[Callable[[Any], Any], PayloadType, Raw]


class Exchange(Struct, frozen=True):
    """The commands that a request may send, and its answers. No `success`: any event that is no refusal is one."""

    success: PayloadType | None
    success_name: str | None
    refusals: frozenset[str]
    commands: dict[type[Message], PayloadType]

    def answer_of(self, name: str) -> Answer | None:
        """Return what an event of that name says of the command that caused it; None if it is no answer."""
        if name in self.refusals:
            return "refused"
        return "succeeded" if self.success_name in (None, name) else None


class WaitRule(Struct, frozen=True):
    """The event that a step waits for, and the function that returns the saga's key from it."""

    event: PayloadType
    name: str
    key: Callable[[Any], str]


class StartRule(Struct, frozen=True):
    """An event that starts a saga: the functions for its input and its key (None: the saga's own, from the input)."""

    event: PayloadType
    name: str
    input: Callable[[Any], Any]
    key: Callable[[Any], str] | None


class CancelRule(Struct, frozen=True):
    """An event that cancels a saga, and the function that returns the saga's key from it.

    `prevents`: one that comes before the saga sees to it that the saga cannot begin any more.
    """

    event: PayloadType
    name: str
    key: Callable[[Any], str]
    prevents: bool


class CompensationDefinition(Struct, frozen=True):
    """How a step is undone: the handler, its parameters after the result, its retries, its timeout (microseconds).

    With an `exchange` the handler returns a command, and the reply ends the attempt.
    """

    handler: Callable[..., Any]
    is_async: bool
    parameters: tuple[Parameter, ...]
    takes_none: bool
    retry: Retry
    timeout: int | None
    exchange: Exchange | None = None


class FanOutDefinition(Struct, frozen=True):
    """How a step is made for each element: the function that returns them, their type, the type of all results.

    At most `at_once` of its parts are under way at a time.
    """

    elements: Callable[[Any], Any]
    element: PayloadType
    results: PayloadType
    at_once: int


class ChildRule(Struct, frozen=True):
    """The saga that a step runs. `takes_input`: its handler takes the parent's input by position, and nothing else."""

    definition: "Definition"
    takes_input: bool


class StepDefinition(Struct, frozen=True):
    """One step: its action, its compensation (None: it needs none), and its other options.

    A request has an `exchange`, a wait has a `wait` rule, a sleep's `timeout` is how long it lasts. Waits and sleeps
    have no effect, and their handlers are never called. With `fan` the step is made once for each element; `result`
    is then the result type of one part. `attributes` finds attributes of the saga in the result.
    """

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
    kind: StepKind = "call"
    exchange: Exchange | None = None
    wait: WaitRule | None = None
    fan: FanOutDefinition | None = None
    child: ChildRule | None = None
    attributes: Callable[[Any], Any] | None = None

    def side(self, direction: Direction) -> "StepDefinition | CompensationDefinition | None":
        """Return the declaration of one direction: the step itself, or its compensation (None if it has none)."""
        return self if direction == "action" else self.compensation


class Steps(dict[str, StepDefinition]):
    """The declared steps by name. The name of a part, such as `ship_line[0]`, gives the step it is a part of."""

    def __missing__(self, name: str) -> StepDefinition:
        """Return the step of which `name` is a part; raises `KeyError` if it is none."""
        part = part_of(name)
        step = self.get(part[0]) if part else None
        if step is None or step.fan is None:
            raise KeyError(name)
        return step


class Definition(Struct, frozen=True):
    """A whole saga. `stages` run one after the other, the steps of one stage side by side.

    `stage_after[n]` is the number of the stage that is being done when n steps have succeeded or were skipped;
    `stage_of` is that of each step.
    `has_questions`: some step has a condition or elements, for which user functions are called when it is reached.
    `digest` covers name, version and structure: a stored saga only ever runs with the definition it started with.
    `starts` and `cancels` are the events that start and cancel a saga, by name; `waits` are the steps that wait for an
    event, by its name.
    `has_children`: some step is another saga. `plain`: only outcomes of handlers, the deadline, and (for a child) a
    request of its parent ever move it.
    `redact`, if set by the process, decides what may be recorded of the exceptions of user functions.
    `marked`: some step has a name that `effect_id` marks.
    `attributes` finds attributes in the input. `attributed`: what comes later brings some, too. The digest leaves both
    out, because they say nothing about the course.
    """

    name: str
    version: int
    digest: str
    input: PayloadType
    timeout: int | None
    stages: tuple[tuple[StepDefinition, ...], ...]
    stage_after: tuple[int, ...]
    steps: Steps
    pivot: str | None
    has_questions: bool
    key: Callable[[Any], str] | None
    reruns: bool
    starts: dict[str, StartRule]
    waits: dict[str, tuple[str, ...]]
    plain: bool
    has_children: bool = False
    redact: Redact | None = None
    marked: bool = False
    attributes: Callable[[Any], Any] | None = None
    attributed: bool = False
    cancels: dict[str, CancelRule] = {}
    stage_of: dict[str, int] = {}

    def step(self, name: str) -> StepDefinition:
        """Return a step by name; raises `DivergentHistory` for a name that the definition does not have."""
        try:
            return self.steps[name]
        except KeyError:
            raise DivergentHistory(
                f"expected a step of saga {self.name} version {self.version}, found {name!r}; "
                f"it has {', '.join(self.steps)}"
            ) from None

    def find(self, name: str) -> StepDefinition | None:
        """Return a step, or the step of which `name` is a part; None if the definition has neither."""
        try:
            return self.steps[name]
        except KeyError:
            return None

    def attribute_source(self, event: StepSucceeded | EventReceived | ActionTaken) -> AttributeSource | None:
        """Return how attributes are found in what an event records; None if they are not."""
        if isinstance(event, EventReceived):
            return None
        if isinstance(event, StepSucceeded):
            step, result = self.step(event.step), event.result
        elif event.verb != "amend":
            return None
        elif event.step is None:
            return None if self.attributes is None else (self.attributes, self.input, event.value)
        else:
            step, result = self.step(event.step), event.value
        return None if step.attributes is None else (step.attributes, step.result, result)

    def read_input(self, data: Raw) -> Any:
        """Return the typed input of a saga."""
        return self.input.read(data)


def assemble(
    *,
    name: str,
    version: int,
    input: PayloadType,
    timeout: int | None,
    stages: tuple[tuple[StepDefinition, ...], ...],
    key: Callable[[Any], str] | None,
    reruns: bool,
    starts: tuple[StartRule, ...] = (),
    attributes: Callable[[Any], Any] | None = None,
    cancels: tuple[CancelRule, ...] = (),
) -> Definition:
    """Build the definition from checked stages."""
    stage_after = [number for number, stage in enumerate(stages) for _ in stage]
    steps = Steps({step.name: step for stage in stages for step in stage})
    waits: dict[str, tuple[str, ...]] = {}
    for step in steps.values():
        if step.wait is not None:
            waits[step.wait.name] = (*waits.get(step.wait.name, ()), step.name)
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
        has_questions=any(step.when is not None or step.fan is not None for step in steps.values()),
        key=key,
        reruns=reruns,
        starts={rule.name: rule for rule in starts},
        waits=waits,
        plain=all(step.kind == "call" for step in steps.values()),
        has_children=any(step.child is not None for step in steps.values()),
        marked=any(map(needs_mark, steps)),
        attributes=attributes,
        attributed=any(step.attributes is not None for step in steps.values()),
        cancels={rule.name: rule for rule in cancels},
        stage_of={step.name: number for number, stage in enumerate(stages) for step in stage},
    )


def _digest(name: str, version: int, stages: tuple[tuple[StepDefinition, ...], ...]) -> str:
    """Hash what a running saga depends on: the order of its steps and what can be undone. Retries are left out."""
    shape = [[_shape(step) for step in stage] for stage in stages]
    return hashlib.sha256(encode([name, version, shape])).hexdigest()[:16]


def _shape(step: StepDefinition) -> list[Any]:
    shape: list[Any] = [step.name, step.pivot, step.when is not None, step.compensation is not None]
    if step.kind != "call":
        # The messages are included: a running saga would not recognize another reply type as its answer.
        names = step.exchange.success_name if step.exchange is not None else None
        shape += [step.kind, names if step.wait is None else step.wait.name]
    if step.child is not None:
        shape += [step.child.definition.name, step.child.definition.version]
    if step.fan is not None:
        shape.append("for_each")
    return shape
