"""Given / when / then for the kernel: what does a saga decide after an input? No handler is run.

After Emmett's decider specifications:

    given(saga, started(saga, order)).when(ActionFailed(...)).then(StepFailed, SagaFailed)
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from sagalog.codec import encode_json
from sagalog.messages import Command, Envelope, Event, name_of
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.decide import decide
from sagalog.saga.declare import Saga
from sagalog.saga.definition import Definition
from sagalog.saga.events import Direction, SagaEvent, SagaStarted
from sagalog.saga.evolve import fold
from sagalog.saga.identifiers import effect_id
from sagalog.saga.inputs import Input, Receive, RequestMade
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.react import Effect, react
from sagalog.saga.state import SagaState
from sagalog.testing.clock import NOON, microseconds

START = microseconds(NOON)

Expected = SagaEvent | type[SagaEvent]


def started(saga: Saga[Any] | Choreography, input: Any, *, key: str = "key", at: int = START) -> SagaStarted:
    """Return the event that starts a saga at `at` (microseconds since the epoch); a choreography takes no input."""
    definition = saga.definition
    return SagaStarted(
        time=at,
        saga=definition.name,
        version=definition.version,
        digest=definition.digest,
        key=key,
        input=definition.input.write(input, "the input"),
        correlation_id=key,
        deadline=None if definition.timeout is None else at + definition.timeout,
        kind="choreography" if isinstance(definition, ChoreographyDefinition) else "saga",
        marked=definition.marked,
    )


def message(
    event: Event, *, id: str = "message", causation_id: str | None = None, correlation_id: str = "key", at: int = START
) -> Receive:
    """Return the input for an event that comes for a saga; for a reply, `causation_id` is the command's id."""
    kind = type(event)
    data = PayloadType(kind).write(event, "the event")
    return Receive(
        Envelope(
            id=id,
            kind="event",
            name=name_of(kind),
            source="test",
            correlation_id=correlation_id,
            causation_id=causation_id,
            time=at,
            data=data,
        )
    )


def made(
    step: str,
    command: Command,
    *,
    attempt: int = 1,
    round: int = 0,
    direction: Direction = "action",
    saga_id: str = "saga",
) -> RequestMade:
    """Return the input for a command that the function of a request returned; `effect_id` makes the command's id."""
    kind = type(command)
    data = PayloadType(kind).write(command, "the command")
    command_id = effect_id(saga_id, step, direction, round)
    return RequestMade(step, direction, round, attempt, command_id, name_of(kind), data)


def given(saga: Saga[Any] | Choreography, *events: SagaEvent) -> "Given":
    """Begin a specification with a saga's history; without events the saga does not exist yet."""
    return Given(saga.definition, events)


class Given:
    """A saga and its history."""

    def __init__(self, definition: Definition, events: Sequence[SagaEvent]) -> None:
        self.definition = definition
        self.events = list(events)

    @property
    def state(self) -> SagaState | None:
        """Return the state after the given events."""
        return fold(self.events) if self.events else None

    @property
    def effects(self) -> list[Effect]:
        """Return what `react` says ought to be going on after the given events."""
        return [] if self.state is None else react(self.definition, self.state)

    def when(self, told: Input, now: int | None = None) -> "When":
        """Give the saga an input at `now` (microseconds since the epoch; default: the time of the last given event)."""
        at = now if now is not None else (self.events[-1].time if self.events else START)
        return When(self, told, at)


class When:
    """A saga with its history and an input; `then` compares what it decides."""

    def __init__(self, given: Given, told: Input, now: int) -> None:
        self._given = given
        self._told = told
        self._now = now

    def decided(self) -> list[SagaEvent]:
        """Return the events that the saga decides; raises what `decide` raises."""
        return decide(self._given.definition, self._given.state, self._told, self._now)

    def then(self, *expected: Expected) -> Given:
        """Expect exactly these events, given as classes, or as events whose `time` is not compared.

        Returns a `Given` with the new events, to go on from. Raises `AssertionError` that shows both sides.
        """
        found = self.decided()
        if len(found) != len(expected) or not all(map(_fits, expected, found)):
            raise AssertionError(self._told_apart(expected, found))
        return Given(self._given.definition, [*self._given.events, *found])

    def then_nothing(self) -> Given:
        """Expect no events."""
        return self.then()

    def then_raises(self, error: type[Exception]) -> Exception:
        """Expect an error, and return it. Raises `AssertionError` if there is none."""
        try:
            found = self.decided()
        except error as problem:
            return problem
        raise AssertionError(f"{self._told_apart((), found)}\nexpected {error.__name__} to be raised")

    def _told_apart(self, expected: Sequence[Expected], found: Sequence[SagaEvent]) -> str:
        given = self._given
        lines = [f"given {given.definition.name}:", *_lines(given.events)]
        lines += ["when", _line(self._told), "expected", *_lines(expected)]
        return "\n".join([*lines, "found", *_lines(found)])


def _fits(expected: Expected, found: SagaEvent) -> bool:
    if isinstance(expected, type):
        return type(found) is expected
    return msgspec.structs.replace(expected, time=found.time) == found


def _lines(what: Sequence[object]) -> list[str]:
    return [_line(one) for one in what] or ["    nothing"]


def _line(what: object) -> str:
    if isinstance(what, type):
        return f"    {what.__name__}(...)"
    if isinstance(what, msgspec.Struct):
        fields: dict[str, Any] = msgspec.json.decode(encode_json(what))
        fields.pop("time", None)
        shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        return f"    {type(what).__name__}({shown})"
    return f"    {what}"
