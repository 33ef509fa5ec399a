"""The contract of a choreography as data, and how a process is judged by the events that came. Pure.

Only which events came counts, and how often, never their order: events may overtake each other. The rules, in order:

1. An event that completes the process contradicts one after which it can only fail: stuck.
2. An event that completes the process came: completed.
3. An event that fails the process came, and every effect has been undone: failed.
4. An event came after which only a person can go on, and nobody has: stuck.
5. The time is over: stuck if an effect stands, or if an event shows that something was half done; otherwise failed.
6. An event came after which it can only fail, and an effect stands or has been undone: compensating.
7. Anything else: still running.

An effect stands until its compensating event has come as often as the effect.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Raw, Struct

from sagalog.errors import InvalidInput
from sagalog.saga.identifiers import check_recorded
from sagalog.saga.payload.payload_type import PayloadType

Why = Literal["", "contradiction", "completed", "failed", "person", "time", "failing"]


class Reaction(Struct, frozen=True):
    """A participant's handler of an event, with the events that it may answer with, as alternative `ways`.

    `participant` and `handler` are empty for events that come from outside.
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
    """The judgement of a process: its status, the reason, and the names of the events that are the reason."""

    status: Literal["pending", "compensating", "completed", "failed", "stuck"]
    why: Why = ""
    by: tuple[str, ...] = ()


class Contract(Struct, frozen=True):
    """The events of a choreographed process, by name, and what each of them means.

    `compensations` gives for each effect the event that undoes it, or None if nothing must be undone. `failing` are
    the events after which the process can only fail. `order` numbers the events from the start of the process.
    `reactions` is empty for a bus that is only observed.
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
        """Tell whether an event says that something was done; each such event is a step."""
        return name in self.compensations or name in self.completes

    def effect_of(self, step: str) -> str:
        """Return the name of the event of a step; the second event of a name is the step `name:2`."""
        return step if self.is_effect(step) else step.rpartition(":")[0]

    def read(self, step: str, data: Raw) -> Any:
        """Return the event of a step, decoded."""
        return self.events[self.effect_of(step)].read(data)

    def key_of(self, name: str, data: Raw) -> str:
        """Return the business key in an event; raises `InvalidInput` or `InvalidIdentifier` if it has none."""
        found: object = getattr(self.events[name].take(data), self.key)
        if not isinstance(found, str | int) or isinstance(found, bool):
            raise InvalidInput(f"expected text or a whole number in {self.key}, found {type(found).__name__}")
        return check_recorded(str(found), self.what_key_of(name))

    def what_key_of(self, name: str) -> str:
        """Return how errors name the key of an event."""
        return f"the key {self.key} of event {name}"

    def sorted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return names in the order of the process, from its start to its ends."""
        return tuple(sorted(set(names), key=lambda name: (self.order.get(name, len(self.order)), name)))

    def failures(self, seen: Iterable[str]) -> tuple[str, ...]:
        """Return the events after which the process can only fail, likely causes first and compensations last."""
        undoing = set(self.compensations.values())
        return tuple(sorted(self.sorted(name for name in seen if name in self.failing), key=undoing.__contains__))

    def judge(self, seen: Mapping[str, int], standing: Iterable[str], undone: bool, over: bool) -> Verdict:
        """Return the status of a process and the reason; the rules are at the head of this module.

        `seen` counts the events that came, `standing` are the effects that stand. `undone`: some effect has been
        undone. `over`: the process's time is over.
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
        """Tell whether an event came that is neither a start, nor an effect, nor a compensating event."""
        known = {*self.starts, *self.compensations, *self.compensations.values()}
        return any(name not in known for name in seen)

    def after(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the events that may come from outside after these events."""
        outside = [reaction for reaction in self.reactions if not reaction.handler and reaction.event in names]
        return self.sorted(name for reaction in outside for name in reaction.outputs)

    def next(self, seen: Mapping[str, int], standing: Iterable[str]) -> tuple[str, ...]:
        """Return the events that may come next; if effects must be undone, only the events that undo them."""
        if any(name in self.failing for name in seen):
            undoing = self.sorted(undo for name in standing if (undo := self.compensations.get(name)) is not None)
            if undoing:
                return undoing
        found: dict[str, None] = {} if any(name in seen for name in self.starts) else dict.fromkeys(self.starts)
        for reaction in self.reactions:
            if reaction.event in seen and not any(name in seen for name in reaction.outputs):
                found.update(dict.fromkeys(name for name in reaction.outputs if name in self.events))
        return self.sorted(found or [name for name in (*self.completes, *self.fails) if name not in seen])
