"""The contract of a choreography as data, and what has become of a process by the events that came. Pure.

What is judged is which events came, and how often, never in what order: events overtake each other.

1. An event that completes the process and one after which it can only fail contradict each other: it is stuck.
2. One that completes it: completed.
3. One that it fails with, and every effect has been undone: failed.
4. One that only a person can go on from, and nobody has: stuck.
5. Its time is over: stuck if an effect stands, or if something came that says it was half done; otherwise failed.
6. One after which it can only fail, and an effect stands or has been undone: compensating.
7. Anything else: it is still going on.

An effect stands until the event that undoes it has come, as many times as the effect has.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Raw, Struct

from sagalog.errors import InvalidInput
from sagalog.saga.identifiers import check_recorded
from sagalog.saga.payload.payload_type import PayloadType

Why = Literal["", "contradiction", "completed", "failed", "person", "time", "failing"]


class Reaction(Struct, frozen=True):
    """A participant's handler of an event, and the names of the events that it may answer with, way by way.

    Without a name of its own it is whoever is outside.
    """

    participant: str
    handler: str
    event: str
    ways: tuple[tuple[str, ...], ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return every event that it may answer with."""
        return tuple(dict.fromkeys(name for way in self.ways for name in way))


class Verdict(Struct, frozen=True):
    """What has become of a process, why, and the names of the events that say so."""

    status: Literal["pending", "compensating", "completed", "failed", "stuck"]
    why: Why = ""
    by: tuple[str, ...] = ()


class Contract(Struct, frozen=True):
    """Which events a choreographed process is made of, by name, and what each of them says.

    `compensations` gives for each effect what undoes it, or None if nothing has to be undone. `failing` are the events
    after which it can only fail. `order` is how far each is from the start. `reactions` is empty where a bus is only
    observed.
    """

    key: str
    events: dict[str, PayloadType]
    starts: tuple[str, ...]
    completes: tuple[str, ...]
    fails: tuple[str, ...]
    compensations: dict[str, str | None]
    stuck_with: tuple[str, ...] = ()
    from_outside: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    order: dict[str, int] = {}
    reactions: tuple[Reaction, ...] = ()

    def is_effect(self, name: str) -> bool:
        """Tell whether an event says that something was done, so that it is a step."""
        return name in self.compensations or name in self.completes

    def effect_of(self, step: str) -> str:
        """Return the name of the event that a step is: of the second one of a name, the step is called `name:2`."""
        return step if self.is_effect(step) else step.rpartition(":")[0]

    def read(self, step: str, data: Raw) -> Any:
        """Return the event that a step is."""
        return self.events[self.effect_of(step)].read(data)

    def key_of(self, name: str, data: Raw) -> str:
        """Return the business key that an event holds; raises `InvalidInput` and `InvalidIdentifier`."""
        found: object = getattr(self.events[name].take(data), self.key)
        if not isinstance(found, str | int) or isinstance(found, bool):
            raise InvalidInput(f"expected text or a whole number in {self.key}, found {type(found).__name__}")
        return check_recorded(str(found), self.what_key_of(name))

    def what_key_of(self, name: str) -> str:
        """Return what the key of an event is called."""
        return f"the key {self.key} of event {name}"

    def sorted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return names from the start of the process to its ends."""
        return tuple(sorted(set(names), key=lambda name: (self.order.get(name, len(self.order)), name)))

    def failures(self, seen: Iterable[str]) -> tuple[str, ...]:
        """Return those after which the process can only fail, the likeliest cause first: what undoes is never it."""
        undoing = set(self.compensations.values())
        return tuple(sorted(self.sorted(name for name in seen if name in self.failing), key=undoing.__contains__))

    def judge(self, seen: Mapping[str, int], standing: Iterable[str], undone: bool, over: bool) -> Verdict:
        """Return what has become of a process; see the head of this module.

        `seen` counts the events that came, `standing` are the effects that stand, `undone` says that one has been
        undone, and `over` that its time is.
        """
        bad = self.failures(seen)
        completed = self.sorted(name for name in seen if name in self.completes)
        stands = tuple(standing)
        if completed and bad:
            return Verdict("stuck", "contradiction", (completed[0], bad[0]))
        if completed:
            return Verdict("completed", "completed", completed)
        if not stands and any(name in self.fails for name in bad):
            return Verdict("failed", "failed", bad)
        waiting = [name for name in self.stuck_with for _ in range(seen.get(name, 0))]
        if len(waiting) > sum(seen.get(name, 0) for name in self.from_outside):
            return Verdict("stuck", "person", self.sorted(waiting))
        if over:
            return Verdict("stuck" if stands or self._is_half_done(seen) else "failed", "time", stands or bad)
        if bad and (stands or undone):
            return Verdict("compensating", "failing", bad)
        return Verdict("pending")

    def _is_half_done(self, seen: Mapping[str, int]) -> bool:
        """Tell whether something came that is neither the start, nor an effect, nor what undoes one."""
        known = {*self.starts, *self.compensations, *self.compensations.values()}
        return any(name not in known for name in seen)

    def after(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return what somebody outside may publish after these events."""
        outside = [reaction for reaction in self.reactions if not reaction.handler and reaction.event in names]
        return self.sorted(name for reaction in outside for name in reaction.outputs)

    def next(self, seen: Mapping[str, int], standing: Iterable[str]) -> tuple[str, ...]:
        """Return the events that may come next, those that undo what stands before all others."""
        if any(name in self.failing for name in seen):
            undoing = self.sorted(undo for name in standing if (undo := self.compensations.get(name)) is not None)
            if undoing:
                return undoing
        found: dict[str, None] = {} if any(name in seen for name in self.starts) else dict.fromkeys(self.starts)
        for reaction in self.reactions:
            if reaction.event in seen and not any(name in seen for name in reaction.outputs):
                found.update(dict.fromkeys(name for name in reaction.outputs if name in self.events))
        return self.sorted(found or [name for name in (*self.completes, *self.fails) if name not in seen])
